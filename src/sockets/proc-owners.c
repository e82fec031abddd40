/* SPDX-License-Identifier: MIT */
#include "proc-owners.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/number.h"
#include "keepalive/error.h"
#include "keepalive/procfs.h"

struct proc_walk {
	struct owners *owners;
	size_t hidden;
};

static void cleanup_closedir(DIR **dir)
{
	int saved = errno;

	if (*dir)
		closedir(*dir);
	errno = saved;
}

/* The number that a name in /proc is, or -1. */
static int number_of(const char *name)
{
	int64_t number;

	return number_parse(name, strlen(name), 0, INT32_MAX, &number) < 0 ? -1 : (int)number;
}

/* The process is gone, or is another that one may not look into: nothing to complain about. */
static bool is_gone(int error)
{
	return error == ENOENT || error == ESRCH;
}

static bool is_hidden(int error)
{
	return error == EACCES || error == EPERM;
}

/* "socket:[4026]": 1 with the inode, 0 for what is no socket, or -errno. */
static int read_link(int dir, const char *name, uint64_t *ret_inode)
{
	static const char prefix[] = "socket:[";
	const size_t skip = sizeof(prefix) - 1;
	char target[48];
	int64_t inode;
	ssize_t n;

	n = readlinkat(dir, name, target, sizeof(target));
	if (n < 0)
		return -errno;
	if ((size_t)n < skip + 2 || memcmp(target, prefix, skip) != 0 || target[n - 1] != ']' ||
	    number_parse(target + skip, (size_t)n - skip - 1, 0, INT64_MAX, &inode) < 0)
		return 0;
	*ret_inode = (uint64_t)inode;
	return 1;
}

/*
 * Of the very process whose descriptors are read: its directory is held open, and another process
 * with its number has another one. 1; 0 when it has ended; -errno.
 */
static int read_program(struct proc_walk *walk, int process, int pid)
{
	_cleanup_close_ int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
	char program[17] = {0}; /* TASK_COMM_LEN and the newline */
	ssize_t n;
	int r;

	if (fd < 0)
		return is_gone(errno) || is_hidden(errno) ? 0 : -errno;
	n = read(fd, program, sizeof(program));
	if (n <= 0)
		return 0;
	/* One newline is the file's; others are the name's. */
	program[n - 1] = '\0';
	r = owners_set_program(walk->owners, pid, program);
	return r < 0 ? r : 1;
}

/* Every descriptor in a folder of a process. Its name comes before the first socket: nobody without
 * a name is told. 1; 0 when there is none; -errno. */
static int read_descriptors(struct proc_walk *walk, int process, DIR *dir, int pid)
{
	const struct dirent *entry;
	bool named = false, any = false;

	while ((entry = readdir(dir))) {
		int fd = number_of(entry->d_name), r;
		uint64_t inode = 0;

		if (fd < 0)
			continue;
		any = true;
		r = read_link(dirfd(dir), entry->d_name, &inode);
		/* To see the numbers and not what they stand for: without CAP_SYS_PTRACE. */
		if (r < 0 && is_hidden(-r)) {
			walk->hidden++;
			break;
		}
		if (r <= 0)
			continue;
		if (!named) {
			r = read_program(walk, process, pid);
			if (r < 0)
				return r;
			if (r == 0)
				break;
			named = true;
		}
		r = owners_add(walk->owners, inode, pid, fd);
		if (r < 0)
			return r;
	}
	return any;
}

/* Opens a folder below another one. 0: it is gone, or hidden, which is counted; -errno. */
static int open_folder(struct proc_walk *walk, int parent, const char *name, DIR **ret)
{
	_cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir;

	if (fd < 0) {
		walk->hidden += is_hidden(errno);
		return is_gone(errno) || is_hidden(errno) ? 0 : -errno;
	}
	/* Since 6.2 fstat() counts the descriptors: proc_fd_getattr() has none of a process that
	 * ended. */
	dir = fdopendir(fd);
	if (!dir)
		return is_gone(errno) ? 0 : -errno;
	steal_fd(&fd); /* closedir() closes it */
	*ret = dir;
	return 1;
}

/* A leader that has ended before its threads has no descriptors any more: they have. Those of the
 * first thread that has some, which the others share. */
static int read_threads(struct proc_walk *walk, int process, int pid)
{
	_cleanup_(cleanup_closedir) DIR *threads = NULL;
	const struct dirent *entry;
	int r;

	r = open_folder(walk, process, "task", &threads);
	if (r <= 0)
		return r;
	for (r = 0; r == 0 && (entry = readdir(threads));) {
		_cleanup_(cleanup_closedir) DIR *dir = NULL;
		int tid = number_of(entry->d_name);
		char name[32];

		if (tid < 1 || tid == pid)
			continue;
		snprintf(name, sizeof(name), "%d/fd", tid);
		r = open_folder(walk, dirfd(threads), name, &dir);
		if (r > 0)
			r = read_descriptors(walk, process, dir, pid);
	}
	return r;
}

static int read_process(struct proc_walk *walk, int proc, const char *name, int pid)
{
	_cleanup_close_ int process = -1;
	_cleanup_(cleanup_closedir) DIR *dir = NULL;
	int r;

	process = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process < 0) {
		walk->hidden += is_hidden(errno);
		return is_gone(errno) || is_hidden(errno) ? 0 : -errno;
	}
	r = open_folder(walk, process, "fd", &dir);
	if (r > 0) {
		r = read_descriptors(walk, process, dir, pid);
		/* The kernel's own threads have none either, and stand alone. */
		if (r == 0)
			r = read_threads(walk, process, pid);
	}
	return MIN(r, 0);
}

int proc_owners_read(struct owners *owners, size_t *ret_hidden, struct tcpkeep_error *ret_error)
{
	_cleanup_(cleanup_closedir) DIR *proc = NULL;
	struct proc_walk walk = {.owners = owners};
	const struct dirent *entry;
	int r;

	r = procfs_check_pids(ret_error);
	if (r < 0)
		return r;
	proc = opendir("/proc");
	if (!proc)
		return error_set(ret_error, -errno, "/proc: %s", strerror(errno));
	while ((entry = readdir(proc))) {
		int pid = number_of(entry->d_name);

		if (pid < 1)
			continue;
		r = read_process(&walk, dirfd(proc), entry->d_name, pid);
		if (r < 0)
			return error_set(ret_error, r, "/proc/%d/fd: %s", pid, strerror(-r));
	}
	*ret_hidden = walk.hidden;
	return 0;
}
