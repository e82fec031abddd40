/* SPDX-License-Identifier: MIT */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/number.h"
#include "base/pidfd.h"
#include "keepalive/visit.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* include/uapi/linux/pidfd.h, 6.9 */
#endif

/* The process of a thread: proc_pid_status(5). */
static int process_of(pid_t tid, pid_t *ret)
{
	static const char key[] = "\nTgid:\t";
	_cleanup_close_ int fd = -1;
	char path[32], text[512], *at;
	int64_t pid;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	at = strstr(text, key);
	if (!at)
		return -EIO;
	at += sizeof(key) - 1;
	if (number_parse(at, strcspn(at, "\n"), 1, INT32_MAX, &pid) < 0)
		return -EIO;
	*ret = (pid_t)pid;
	return 0;
}

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

	if (!is_short(got))
		return got;
	/* What is kept has used up what descriptors there are. */
	forget_all(targets);
	return try_fd(targets, tid, fd);
}

int target_probe(void)
{
	_cleanup_close_ int fd = -1, pidfd = -1, got = -1;

	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	pidfd = pidfd_of(getpid(), 0);
	if (pidfd < 0)
		return pidfd;
	got = pidfd_duplicate(pidfd, fd);
	return got < 0 ? got : 0;
}

enum target_reach target_reach(void)
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	char scope = '0';

	/* Documentation/admin-guide/LSM/Yama.rst */
	if (fd >= 0 && read(fd, &scope, 1) != 1)
		scope = '0';
	if (scope == '0')
		return TARGET_ALL;
	if (scope != '3' && visit_has_capability(CAP_SYS_PTRACE))
		return TARGET_ALL;
	return scope == '1' ? TARGET_DECLARED : TARGET_NONE;
}
