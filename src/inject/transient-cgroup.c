/* SPDX-License-Identifier: MIT */
#include "transient-cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "cgroup-tidy.h"
#include "keepalive/error.h"
#include "sockets/mounts.h"

#define TRIES_MAX 16

/* A path in a message. */
#define SHOWN_MAX 160

/* ---------------------------------------------------------------------------- the caller's own */

/* The path of this process's cgroup2, as /proc tells it. */
static int read_own_path(char **ret)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/cgroup", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (!file)
		return -errno;
	while ((n = getline(&line, &size, file)) > 0) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		*ret = strdup(line + 3);
		return *ret ? 0 : -ENOMEM;
	}
	return -EOPNOTSUPP;
}

struct own {
	char *path;  /* as /proc tells it */
	char *where; /* as it is seen here */
};

static void own_free(struct own *own)
{
	free(own->path);
	free(own->where);
}

static int find_own(struct own *own, struct tcpkeep_error *error)
{
	int r;

	r = read_own_path(&own->path);
	if (r == 0)
		r = mounts_locate("cgroup2", own->path, &own->where);
	if (r == 0 && strncmp(own->path, "/..", 3) != 0)
		return 0;
	if (r == 0 || r == -EXDEV)
		return error_set(error, -EOPNOTSUPP,
				 "no mount of cgroup2 shows the cgroup of this process (a cgroup "
				 "namespace, or a bind mount); mount -t cgroup2 cgroup2 "
				 "/sys/fs/cgroup");
	return error_set(error, -EOPNOTSUPP,
			 "cgroup2 is not mounted here; mount -t cgroup2 cgroup2 /sys/fs/cgroup (or "
			 "beneath it)");
}

static int open_own(struct own *own, struct tcpkeep_error *error)
{
	char shown[SHOWN_MAX];
	int fd, r;

	r = find_own(own, error);
	if (r < 0)
		return r;
	fd = open(own->where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	r = -errno;
	return error_set(error, r, "the cgroup of this process, %s: %s",
			 escape_text(own->where, strlen(own->where), shown, sizeof(shown)),
			 strerror(-r));
}

/* -------------------------------------------------------------------------------- making one */

/* What mkdir() says about a cgroup: Documentation/admin-guide/cgroup-v2.rst */
static int refused(const struct own *own, int r, struct tcpkeep_error *error)
{
	char shown[SHOWN_MAX];

	escape_text(own->path, strlen(own->path), shown, sizeof(shown));
	switch (r) {
	case -EROFS:
		return error_set(error, r,
				 "no cgroup can be made below %s: cgroup2 is mounted read-only "
				 "here; a container needs --privileged, or a writable mount of it",
				 shown);
	case -EACCES:
	case -EPERM:
		return error_set(error, -EPERM,
				 "no cgroup may be made below %s; run as root, or let it be "
				 "delegated (systemd: Delegate=yes)",
				 shown);
	case -EAGAIN:
		return error_set(error, r,
				 "no cgroup can be made below %s: its cgroup.max.descendants or "
				 "cgroup.max.depth, or one above it, is reached; raise it",
				 shown);
	case -ENOSPC:
		return error_set(error, r,
				 "no cgroup can be made below %s: a controller has no more ids; "
				 "remove cgroups that nobody uses",
				 shown);
	case -EMFILE:
	case -ENFILE:
		return error_set(error, r, "no descriptors: %s; raise the limit (ulimit -n)",
				 strerror(-r));
	case -ENOENT:
	case -ENODEV:
		return error_set(error, r, "the cgroup of this process, %s, was removed", shown);
	}
	return error_set(error, r, "no cgroup can be made below %s: %s", shown, strerror(-r));
}

static int name_one(char *buf, size_t size)
{
	uint32_t random;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -errno;
	snprintf(buf, size, TRANSIENT_CGROUP_PREFIX "%d-%08x", getpid(), random);
	return 0;
}

/* Another tcpkeep may have taken it for a leftover, until it was locked. */
static bool is_there(int parent, const char *name, int fd)
{
	struct stat open_one, named;

	return fstat(fd, &open_one) == 0 && fstatat(parent, name, &named, 0) == 0 &&
	       open_one.st_ino == named.st_ino;
}

/* -EAGAIN: another tcpkeep was quicker, and a new name is needed; otherwise as mkdir(). */
static int make_one(struct transient_cgroup *cgroup, bool *ret_again)
{
	_cleanup_close_ int fd = -1;
	int r;

	*ret_again = false;
	r = name_one(cgroup->name, sizeof(cgroup->name));
	if (r < 0)
		return r;
	if (mkdirat(cgroup->parent, cgroup->name, 0755) < 0) {
		*ret_again = errno == EEXIST;
		return -errno;
	}
	fd = openat(cgroup->parent, cgroup->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT) {
		r = -errno;
		unlinkat(cgroup->parent, cgroup->name, AT_REMOVEDIR);
		return r;
	}
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ||
	    !is_there(cgroup->parent, cgroup->name, fd)) {
		*ret_again = true;
		return -EAGAIN;
	}
	cgroup->fd = steal_fd(&fd);
	return 0;
}

/* Below a threaded cgroup a new one takes no processes: cgroup-v2.rst, "Threads". */
static int check_type(const struct transient_cgroup *cgroup, const struct own *own,
		      struct tcpkeep_error *error)
{
	_cleanup_close_ int fd = openat(cgroup->fd, "cgroup.type", O_RDONLY | O_CLOEXEC);
	char type[32], shown[SHOWN_MAX];
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, type, sizeof(type) - 1);
	if (n < 0)
		return 0;
	type[n] = '\0';
	if (strcmp(type, "domain invalid\n") != 0)
		return 0;
	return error_set(error, -EOPNOTSUPP,
			 "no process can be put below %s: it is a threaded cgroup",
			 escape_text(own->path, strlen(own->path), shown, sizeof(shown)));
}

static int make(struct transient_cgroup *cgroup, const struct own *own, struct tcpkeep_error *error)
{
	int fds[2], tries = 0, r;
	bool again;

	cgroup_tidy(cgroup->parent, TRANSIENT_CGROUP_PREFIX);
	do
		r = make_one(cgroup, &again);
	while (r < 0 && again && ++tries < TRIES_MAX);
	if (r < 0)
		return refused(own, r, error);
	r = check_type(cgroup, own, error);
	if (r < 0)
		return r;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_set(error, -errno, "no descriptors: %s; raise the limit (ulimit -n)",
				 strerror(errno));
	cgroup->held = fds[1];
	r = cgroup_tidy_start(cgroup->parent, cgroup->name, cgroup->fd, fds[0], fds[1]);
	close(fds[0]);
	if (r < 0)
		return error_set(error, r,
				 "the process that removes its cgroup cannot be started: %s",
				 strerror(-r));
	return 0;
}

int transient_cgroup_create(struct transient_cgroup *ret, struct tcpkeep_error *error)
{
	_cleanup_(transient_cgroup_free) struct transient_cgroup cgroup = TRANSIENT_CGROUP_NONE;
	_cleanup_(own_free) struct own own = {0};
	int r;

	r = open_own(&own, error);
	if (r < 0)
		return r;
	cgroup.parent = r;
	r = make(&cgroup, &own, error);
	if (r < 0)
		return r;
	*ret = cgroup;
	cgroup = (struct transient_cgroup)TRANSIENT_CGROUP_NONE;
	return 0;
}

int transient_cgroup_probe(struct tcpkeep_error *error)
{
	_cleanup_(own_free) struct own own = {0};
	_cleanup_close_ int fd = open_own(&own, error);

	if (fd < 0)
		return fd;
	return faccessat(fd, ".", W_OK, AT_EACCESS) < 0 ? refused(&own, -errno, error) : 0;
}

int transient_cgroup_enter(const struct transient_cgroup *cgroup, struct tcpkeep_error *error)
{
	_cleanup_close_ int fd = openat(cgroup->fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		return error_set(error, -errno, "cannot move into a cgroup of its own: %s",
				 strerror(errno));
	return 0;
}

void transient_cgroup_free(struct transient_cgroup *cgroup)
{
	/* Beneath it there may be cgroups of a program that goes on: those are the tidier's, who
	 * waits. */
	if (cgroup->fd >= 0)
		unlinkat(cgroup->parent, cgroup->name, AT_REMOVEDIR);
	cleanup_close(&cgroup->held);
	cleanup_close(&cgroup->fd);
	cleanup_close(&cgroup->parent);
	*cgroup = (struct transient_cgroup)TRANSIENT_CGROUP_NONE;
}
