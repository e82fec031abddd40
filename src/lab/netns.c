/* SPDX-License-Identifier: MIT */
/* New network namespaces, and what is made inside of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "keepalive/error.h"
#include "keepalive/visit.h"
#include "lab.h"

int lab_in_netns(int netns, int (*fn)(void *userdata), void *userdata)
{
	return netns < 0 ? -EBADF : netns_visit(netns, fn, userdata, NULL);
}

/* ---------------------------------------------------------------------------------- a new one */

static int loopback_up(void)
{
	_cleanup_close_ int fd = -1;
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

static int furnish(void *userdata)
{
	_cleanup_close_ int fd = -1;
	int *ret_fd = userdata;
	int r;

	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = loopback_up();
	if (r < 0)
		return r;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int lab_netns_new(struct tcpkeep_error *error)
{
	int fd = -1, r;

	r = netns_visit(NETNS_NEW, furnish, &fd, NULL);
	if (r == -ENOSPC)
		return error_set(
			error, r,
			"new network namespace: user.max_net_namespaces allows no more; raise it with sysctl");
	if (r == -EINVAL)
		return error_set(
			error, r,
			"new network namespace: this kernel is built without CONFIG_NET_NS");
	if (r == -ENOENT)
		return error_set(
			error, r,
			"new network namespace: /proc/thread-self/ns/net: %s; mount procfs on /proc",
			strerror(-r));
	if (r < 0)
		return error_set(error, r, "new network namespace: %s", strerror(-r));
	return fd;
}

/* ------------------------------------------------------------------------- things made inside */

struct socket_request {
	int domain, type, protocol;
};

static int make_socket(void *userdata)
{
	const struct socket_request *request = userdata;
	int fd = socket(request->domain, request->type | SOCK_CLOEXEC, request->protocol);

	return fd < 0 ? -errno : fd;
}

int lab_socket(int netns, int domain, int type, int protocol)
{
	struct socket_request request = {domain, type, protocol};

	return lab_in_netns(netns, make_socket, &request);
}

struct sysctl_request {
	const char *path, *value;
};

static int write_sysctl(void *userdata)
{
	const struct sysctl_request *request = userdata;
	_cleanup_close_ int fd = -1;
	char path[256];
	int n;

	n = snprintf(path, sizeof(path), "/proc/sys/%s", request->path);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	/* /proc/sys/net shows the namespace of the thread that opens it. */
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, request->value, strlen(request->value)) < 0 ? -errno : 0;
}

int lab_sysctl(int netns, const char *path, const char *value, struct tcpkeep_error *error)
{
	struct sysctl_request request = {path, value};
	int r;

	r = lab_in_netns(netns, write_sysctl, &request);
	if (r == -ENOENT)
		return error_set(
			error, r,
			"sysctl %s: this kernel has none, or procfs is not mounted on /proc", path);
	if (r < 0)
		return error_set(error, r, "sysctl %s=%s: %s", path, value, strerror(-r));
	return 0;
}
