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

static bool is_short(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

/* ----------------------------------------------------------------------------- what /proc tells */

/* The start of a file of a thread, NUL-terminated; its length or -errno. */
static int read_start(const char *thread, const char *name, char *buf, size_t size)
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
	return (int)n;
}

/* Number i of a line of proc_pid_status(5), counted from 0; -errno. */
static int64_t status_number(const char *status, const char *key, unsigned i)
{
	const char *at = strstr(status, key);
	int64_t number;

	if (!at)
		return -EIO;
	at += strlen(key);
	while (i--)
		at += strcspn(at, "\t\n") + 1;
	if (number_parse(at, strcspn(at, "\t\n"), 0, INT64_MAX, &number) < 0)
		return -EIO;
	return number;
}

/* Long enough for what is read of it; the groups, which may be many, come later. */
#define STATUS_SIZE 512

static int process_of(pid_t tid, pid_t *ret)
{
	char thread[16], status[STATUS_SIZE];
	int64_t pid;
	int r;

	snprintf(thread, sizeof(thread), "%d", tid);
	r = read_start(thread, "status", status, sizeof(status));
	if (r < 0)
		return r;
	pid = status_number(status, "\nTgid:\t", 0);
	if (pid < 0)
		return -EIO;
	*ret = (pid_t)pid;
	return 0;
}

/* Those of /proc are ours if it is of our PID namespace. */
static bool is_our_proc(void)
{
	char itself[16], self[16];
	ssize_t n = readlink("/proc/self", self, sizeof(self) - 1);

	if (n < 0)
		return false;
	self[n] = '\0';
	snprintf(itself, sizeof(itself), "%d", getpid());
	return strcmp(self, itself) == 0;
}

/* By the ids that a socket gets: those of the filesystem, last of the four. */
static int has_our_user(const char *thread)
{
	char status[STATUS_SIZE];
	int r = read_start(thread, "status", status, sizeof(status));

	if (r < 0)
		return r;
	return status_number(status, "\nUid:\t", 3) == (int64_t)geteuid() &&
	       status_number(status, "\nGid:\t", 3) == (int64_t)getegid();
}

/* To read this much is not what Yama forbids: PTRACE_MODE_READ in ptrace(2). */
static int has_our_netns(const struct targets *targets, const char *thread)
{
	struct stat its;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%s/ns/net", thread);
	if (stat(path, &its) < 0)
		return -errno;
	return its.st_dev == targets->netns_dev && its.st_ino == targets->netns_ino;
}

static int has_our_cgroups(const char *thread)
{
	char ours[4096], its[4096];
	int n = read_start("self", "cgroup", ours, sizeof(ours)), r;

	if (n < 0)
		return n;
	r = read_start(thread, "cgroup", its, sizeof(its));
	if (r < 0)
		return r;
	return r == n && n < (int)sizeof(ours) - 1 && memcmp(ours, its, (size_t)n) == 0;
}

int target_is_alike(const struct targets *targets, pid_t tid)
{
	char thread[16];
	int r = targets->has_proc;

	snprintf(thread, sizeof(thread), "%d", tid);
	if (r > 0)
		r = has_our_user(thread);
	if (r > 0)
		r = has_our_netns(targets, thread);
	if (r > 0)
		r = has_our_cgroups(thread);
	return r >= 0 || is_short(r) ? r : 0;
}

uint64_t target_socket(pid_t tid, int fd)
{
	static const char kind[] = "socket:[";
	char path[48], text[48];
	int64_t inode;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tid, fd);
	n = readlink(path, text, sizeof(text) - 1);
	if (n < (ssize_t)sizeof(kind))
		return 0;
	text[n] = '\0';
	if (strncmp(text, kind, sizeof(kind) - 1) != 0)
		return 0;
	n = (ssize_t)sizeof(kind) - 1;
	return number_parse(text + n, strcspn(text + n, "]"), 1, INT64_MAX, &inode) < 0
		       ? 0
		       : (uint64_t)inode;
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
	r = process_of(tid, &pid);
	return r < 0 ? r : pidfd_of(pid, 0);
}

void targets_init(struct targets *targets, unsigned n_slots)
{
	struct stat netns = {0};

	targets->reach = target_reach();
	targets->has_proc = is_our_proc() && stat("/proc/self/ns/net", &netns) == 0;
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

void targets_forget(struct targets *targets)
{
	for (size_t i = 0; i < TARGET_SLOTS; i++)
		forget(&targets->slots[i]);
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
	int got;

	if (targets->reach == TARGET_NONE)
		return -EPERM;
	got = try_fd(targets, tid, fd);
	if (is_short(got)) {
		/* What is kept has used up what descriptors there are. */
		targets_forget(targets);
		got = try_fd(targets, tid, fd);
	}
	/* A sandbox may say anything. */
	return got >= 0 || got == -EBADF || got == -ESRCH || is_short(got) ? got : -EPERM;
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

bool target_can_compare(void)
{
	struct targets targets;

	targets_init(&targets, 1);
	return target_is_alike(&targets, getpid()) > 0;
}
