/* SPDX-License-Identifier: MIT */
#include "getfd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/pidfd.h"
#include "keepalive/error.h"
#include "keepalive/socket.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

/* Rows come in no order of their owners: those of so many processes are kept open, below a usual
 * RLIMIT_NOFILE. */
#define SLOTS 512 /* a power of two */

struct slot {
	int pid;   /* 0: free */
	int pidfd; /* -1: it is gone */
	bool denied;
};

struct getfd {
	struct slot slots[SLOTS];
};

/* Are the two calls there? Tried on one's own process, which is always allowed. */
static int try_own(void)
{
	_cleanup_close_ int probe = -1, pidfd = -1, got = -1;

	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return -errno;
	pidfd = pidfd_of(getpid(), 0);
	if (pidfd < 0)
		return pidfd;
	got = pidfd_duplicate(pidfd, probe);
	return got < 0 ? got : 0;
}

int getfd_new(struct getfd **ret, struct tcpkeep_error *ret_error)
{
	struct getfd *getfd;
	int r;

	r = try_own();
	if (r == -ENOSYS)
		return error_set(
			ret_error, -EOPNOTSUPP,
			"pidfd_getfd: this kernel has none (Linux 5.6), or a sandbox forbids it");
	if (r == -EPERM)
		return error_set(
			ret_error, -EOPNOTSUPP,
			"pidfd_getfd: a sandbox forbids it (a container's seccomp filter)");
	if (r < 0)
		return error_set(ret_error, r, "pidfd_getfd: %s", strerror(-r));
	getfd = calloc(1, sizeof(*getfd));
	if (!getfd)
		return error_set(ret_error, -ENOMEM, "pidfd_getfd: %s", strerror(ENOMEM));
	for (size_t i = 0; i < SLOTS; i++)
		getfd->slots[i].pidfd = -1;
	*ret = getfd;
	return 0;
}

static void forget_all(struct getfd *getfd)
{
	for (size_t i = 0; i < SLOTS; i++) {
		cleanup_close(&getfd->slots[i].pidfd);
		getfd->slots[i] = (struct slot){.pidfd = -1};
	}
}

void getfd_free(struct getfd *getfd)
{
	if (!getfd)
		return;
	forget_all(getfd);
	free(getfd);
}

void getfd_cleanup(struct getfd **getfd)
{
	getfd_free(*getfd);
}

/* It is not the process that is in the way. */
static bool is_want(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

/* The process's slot, or -errno. */
static int find_slot(struct getfd *getfd, int pid, struct slot **ret)
{
	struct slot *slot = &getfd->slots[(unsigned)pid % SLOTS];
	int fd;

	if (slot->pid != pid) {
		cleanup_close(&slot->pidfd);
		*slot = (struct slot){.pidfd = -1};
		fd = pidfd_of(pid, 0);
		if (is_want(fd))
			return fd;
		*slot = (struct slot){.pid = pid, .pidfd = fd < 0 ? -1 : fd};
	}
	*ret = slot;
	return 0;
}

static int try_duplicate(struct getfd *getfd, const struct socket_owner *owner)
{
	struct slot *slot;
	int fd;

	fd = find_slot(getfd, owner->pid, &slot);
	if (fd < 0)
		return fd;
	if (slot->denied)
		return -EPERM;
	if (slot->pidfd < 0)
		return -ESRCH;
	fd = pidfd_duplicate(slot->pidfd, owner->fd);
	/* Access is to a process: __pidfd_fget() asks ptrace_may_access() and nothing of the
	 * descriptor. */
	slot->denied = fd == -EPERM || fd == -EACCES;
	return fd;
}

/*
 * A duplicate of an owner's descriptor, or -errno. It lives for microseconds: as long as it does,
 * the program's close() does not end the connection.
 */
static int duplicate(struct getfd *getfd, const struct socket_owner *owner)
{
	int fd = try_duplicate(getfd, owner);

	if (fd != -EMFILE && fd != -ENFILE)
		return fd;
	/* The slots have used up what descriptors there are. */
	forget_all(getfd);
	return try_duplicate(getfd, owner);
}

/* The owner may have closed it, and opened another under the same number. */
static bool is_same(int fd, uint64_t cookie)
{
	uint64_t found;
	socklen_t len = sizeof(found);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &found, &len) == 0 && len == sizeof(found) &&
	       found == cookie;
}

int getfd_open(struct getfd *getfd, const struct socket_owner *owner, uint64_t cookie)
{
	_cleanup_close_ int fd = duplicate(getfd, owner);

	if (fd == -EACCES)
		return -EPERM;
	if (fd < 0)
		return fd;
	return is_same(fd, cookie) ? steal_fd(&fd) : -ESTALE;
}

/* Which of the five could be read. */
static struct tcpkeep_settings read_settings(int fd)
{
	struct tcpkeep_settings settings = {0};

	for (size_t i = 0; i < SOCKET_OPTIONS; i++) {
		const struct socket_option *option = &socket_options[i];
		int value;
		socklen_t len = sizeof(value);

		if (getsockopt(fd, option->level, option->name, &value, &len) == 0)
			socket_option_store(&settings, option->field, value);
	}
	return settings;
}

static void fill(struct socket_row *row, const struct tcpkeep_settings *settings)
{
	if (settings->fields & TCPKEEP_ON) {
		row->known |= ROW_KNOWN_KEEPALIVE;
		row->flags &= (uint8_t)~ROW_KEEPALIVE;
		row->flags |= settings->on ? ROW_KEEPALIVE : 0;
	}
	if ((settings->fields & TCPKEEP_THREE) == TCPKEEP_THREE) {
		row->known |= ROW_KNOWN_SETTINGS;
		row->time_s = settings->time_s;
		row->intvl_s = settings->intvl_s;
		row->probes = (uint8_t)settings->probes;
	}
	if (settings->fields & TCPKEEP_USER_TIMEOUT) {
		row->known |= ROW_KNOWN_USER_TIMEOUT;
		row->user_timeout_ms = (uint32_t)settings->user_timeout_ms;
	}
}

int getfd_read(struct getfd *getfd, struct socket_row *row, const struct socket_owner *owners,
	       size_t n_owners)
{
	int r = 0; /* why no owner gives it; want of descriptors counts most */

	if (row->cookie == 0)
		return 0;
	for (size_t i = 0; i < n_owners; i++) {
		_cleanup_close_ int fd = duplicate(getfd, &owners[i]);
		struct tcpkeep_settings settings;

		if (is_want(fd))
			r = fd;
		else if ((fd == -EPERM || fd == -EACCES) && r == 0)
			r = -EPERM;
		if (fd < 0 || !is_same(fd, row->cookie))
			continue;
		settings = read_settings(fd);
		fill(row, &settings);
		return 1;
	}
	return r;
}
