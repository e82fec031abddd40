/* SPDX-License-Identifier: MIT */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/number.h"
#include "base/pidfd.h"
#include "keepalive/visit.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* include/uapi/linux/pidfd.h, 6.9 */
#endif

/* ----------------------------------------------------------------------------- what /proc tells */

/* The start of a file of a thread, NUL-terminated; its length or -errno. */
static ssize_t read_start(const char *thread, const char *name, char *buf, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[48];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%s/%s", thread, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return n;
}

/* proc_pid_status(5) */
int target_process(pid_t tid, pid_t *ret)
{
	static const char key[] = "\nTgid:\t";
	char thread[16], text[512], *at;
	int64_t pid;
	ssize_t n;

	snprintf(thread, sizeof(thread), "%d", tid);
	n = read_start(thread, "status", text, sizeof(text));
	if (n < 0)
		return (int)n;
	at = strstr(text, key);
	if (!at)
		return -EIO;
	at += sizeof(key) - 1;
	if (number_parse(at, strcspn(at, "\n"), 1, INT32_MAX, &pid) < 0)
		return -EIO;
	*ret = (pid_t)pid;
	return 0;
}

/* Is it of this PID namespace? */
static bool has_proc(void)
{
	char itself[16], self[16];
	ssize_t n = readlink("/proc/self", self, sizeof(self) - 1);

	if (n < 0)
		return false;
	self[n] = '\0';
	snprintf(itself, sizeof(itself), "%d", getpid());
	return strcmp(self, itself) == 0;
}

/* proc_pid(5): by its effective user and group, root's where it may not be dumped. */
static bool has_our_user(const char *thread)
{
	struct stat its;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%s", thread);
	return stat(path, &its) == 0 && its.st_uid == geteuid() && its.st_gid == getegid();
}

/* To read this much is not what Yama forbids: PTRACE_MODE_READ in ptrace(2). */
static bool has_our_netns(const struct targets *targets, const char *thread)
{
	struct stat its;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%s/ns/net", thread);
	return stat(path, &its) == 0 && its.st_dev == targets->netns_dev &&
	       its.st_ino == targets->netns_ino;
}

static bool has_our_cgroups(const char *thread)
{
	char ours[4096], its[4096];
	ssize_t n = read_start("self", "cgroup", ours, sizeof(ours));

	return n >= 0 && n < (ssize_t)sizeof(ours) - 1 &&
	       read_start(thread, "cgroup", its, sizeof(its)) == n &&
	       memcmp(ours, its, (size_t)n) == 0;
}

bool target_is_alike(const struct targets *targets, pid_t tid)
{
	char thread[16];

	snprintf(thread, sizeof(thread), "%d", tid);
	return targets->has_proc && has_our_user(thread) && has_our_netns(targets, thread) &&
	       has_our_cgroups(thread);
}

/* --------------------------------------------------------------------------------- descriptors */

/* Before 6.9 there are pidfds of processes alone: a thread's descriptors are its process's then. */
static int open_thread(pid_t tid)
{
	pid_t pid;
	int fd, r;

	fd = pidfd_of(tid, PIDFD_THREAD);
	if (fd != -EINVAL)
		return fd;
	r = target_process(tid, &pid);
	return r < 0 ? r : pidfd_of(pid, 0);
}

void targets_init(struct targets *targets, unsigned n_slots)
{
	struct stat netns = {0};

	targets->has_proc = has_proc() && stat("/proc/self/ns/net", &netns) == 0;
	targets->netns_dev = netns.st_dev;
	targets->netns_ino = netns.st_ino;
	targets->n_slots = MAX(n_slots, 1U);
	for (size_t i = 0; i < TARGET_SLOTS; i++)
		targets->slots[i] = (struct target_slot){.pidfd = -1};
}

static void forget(struct target_slot *slot)
{
	cleanup_close(&slot->pidfd);
	*slot = (struct target_slot){.pidfd = -1};
}

static void forget_all(struct targets *targets)
{
	for (size_t i = 0; i < TARGET_SLOTS; i++)
		forget(&targets->slots[i]);
}

static bool is_short(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

static int try_fd(struct targets *targets, pid_t tid, int fd)
{
	struct target_slot *slot = &targets->slots[(unsigned)tid % targets->n_slots];
	bool known = slot->tid == tid;
	int got;

	if (known) {
		got = pidfd_duplicate(slot->pidfd, fd);
		if (got != -ESRCH)
			return got;
		/* The number is a new thread's. */
	}
	forget(slot);
	got = open_thread(tid);
	if (got < 0)
		return got;
	*slot = (struct target_slot){tid, got};
	return pidfd_duplicate(slot->pidfd, fd);
}

int target_fd(struct targets *targets, pid_t tid, int fd)
{
	int got = try_fd(targets, tid, fd);

	if (is_short(got)) {
		/* What is kept has used up what descriptors there are. */
		forget_all(targets);
		got = try_fd(targets, tid, fd);
	}
	/* Sandboxes say the one or the other. */
	return got == -ENOSYS ? -EPERM : got;
}

bool target_is_open(struct targets *targets, pid_t tid)
{
	/* __pidfd_fget() looks for the right before it looks for the descriptor. */
	return target_fd(targets, tid, -1) != -EPERM;
}

/* ------------------------------------------------------------------------------ what is allowed */

/* Documentation/admin-guide/LSM/Yama.rst */
static enum target_reach yama_reach(void)
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	char scope = '0';

	if (fd >= 0 && read(fd, &scope, 1) != 1)
		scope = '0';
	if (scope == '0' || (scope != '3' && visit_has_capability(CAP_SYS_PTRACE)))
		return TARGET_ALL;
	return scope == '1' ? TARGET_DECLARED : TARGET_NONE;
}

/* Tried on this process. */
int target_probe(enum target_reach *ret)
{
	_cleanup_close_ int fd = -1, pidfd = -1, got = -1;

	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	pidfd = pidfd_of(getpid(), 0);
	if (pidfd < 0)
		return pidfd;
	got = pidfd_duplicate(pidfd, fd);
	if (is_short(got))
		return got;
	*ret = got < 0 ? TARGET_NONE : yama_reach();
	return 0;
}

enum target_reach target_reach(void)
{
	enum target_reach reach;

	return target_probe(&reach) < 0 ? TARGET_ALL : reach;
}
