/* SPDX-License-Identifier: MIT */
#include "procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "error.h"
#include "visit.h"

#define IPV4_DIR "/proc/sys/net/ipv4/"

/* ----------------------------------------------------------------------- what bars the way */

static bool is_procfs(const char *path)
{
	struct statfs st;

	return statfs(path, &st) == 0 && st.f_type == PROC_SUPER_MAGIC;
}

static bool exists(const char *path)
{
	return faccessat(AT_FDCWD, path, F_OK, 0) == 0;
}

/* Whether the thread's network namespace belongs to a user namespace outside of its own. */
static bool netns_is_foreign(void)
{
	_cleanup_close_ int netns = -1, userns = -1;

	netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return false;
	/* The kernel hands out a user namespace only to those inside or above it (fs/nsfs.c). */
	userns = ioctl(netns, NS_GET_USERNS);
	return userns < 0 && errno == EPERM;
}

/* Why a file below /proc/sys/net/ipv4 is not there. */
static int fail_missing(const char *name, struct tcpkeep_error *ret_error)
{
	if (!is_procfs("/proc"))
		return error_set(
			ret_error, -ENOENT,
			"net.ipv4.%s: procfs is not mounted at /proc; mount it: mount -t proc proc "
			"/proc",
			name);
	if (!exists("/proc/sys") && !exists("/proc/filesystems"))
		return error_set(
			ret_error, -ENOENT,
			"net.ipv4.%s: /proc is mounted with subset=pid, which hides /proc/sys; mount "
			"procfs without that option",
			name);
	if (!exists("/proc/sys"))
		return error_set(
			ret_error, -ENOENT,
			"net.ipv4.%s: /proc/sys is missing; this kernel is built without "
			"CONFIG_PROC_SYSCTL: only programs can set keepalive, see 'tcpkeep run'",
			name);
	if (exists("/proc/sys/net/ipv4"))
		return error_set(
			ret_error, -ENOENT,
			"net.ipv4.%s: missing in /proc/sys/net/ipv4; something is mounted over that "
			"directory, or the kernel is an imitation such as gVisor",
			name);
	return error_set(ret_error, -ENOENT,
			 "net.ipv4.%s: /proc/sys/net/ipv4 is missing; this kernel has no IPv4 "
			 "(CONFIG_INET), which holds the values of IPv6 too",
			 name);
}

static int fail_denied(const char *name, int r, struct tcpkeep_error *ret_error)
{
	if (netns_is_foreign())
		return error_set(
			ret_error, r,
			"net.ipv4.%s: this network namespace belongs to another user namespace, "
			"where this process is not root; ask root there, or use 'tcpkeep run', "
			"which needs no privilege",
			name);
	if (!visit_has_capability(CAP_NET_ADMIN))
		return error_set(
			ret_error, r,
			"net.ipv4.%s: needs root, or CAP_NET_ADMIN in this network namespace; try "
			"sudo, or use 'tcpkeep run', which needs no privilege",
			name);
	return error_set(
		ret_error, r,
		"net.ipv4.%s: %s, though this process has CAP_NET_ADMIN; look for a security "
		"module (AppArmor, SELinux) that forbids it",
		name, strerror(-r));
}

static int fail_open(const char *name, int r, struct tcpkeep_error *ret_error)
{
	switch (r) {
	case -ENOENT:
	case -ENOTDIR:
		return fail_missing(name, ret_error);
	case -EROFS:
		return error_set(
			ret_error, r,
			"net.ipv4.%s: /proc/sys is mounted read-only, as in containers; set it on the "
			"host (tcpkeep sysctl --pid PID) or by the runtime (docker run --sysctl), or "
			"use 'tcpkeep run'",
			name);
	case -EACCES:
	case -EPERM:
		return fail_denied(name, r, ret_error);
	}
	return error_set(ret_error, r, "net.ipv4.%s: %s", name, strerror(-r));
}

int procfs_check_pids(struct tcpkeep_error *ret_error)
{
	char target[16];
	int64_t pid;
	ssize_t n;

	if (!is_procfs("/proc"))
		return error_set(
			ret_error, -ENOENT,
			"procfs is not mounted at /proc; mount it: mount -t proc proc /proc");
	n = readlink("/proc/self", target, sizeof(target));
	if (n > 0 && number_parse(target, (size_t)n, 1, INT32_MAX, &pid) == 0 && pid == getpid())
		return 0;
	return error_set(
		ret_error, -EXDEV,
		"/proc belongs to another PID namespace: its process numbers are not those seen from "
		"here; mount this one's: mount -t proc proc /proc (in a mount namespace of its own)");
}

/* ------------------------------------------------------------------------------ the files */

int procfs_open_ipv4(const char *name, int flags, struct tcpkeep_error *ret_error)
{
	_cleanup_close_ int fd = -1;
	struct statfs st;
	char path[96];

	snprintf(path, sizeof(path), IPV4_DIR "%s", name);
	/* O_NONBLOCK: what lies there may be a fifo until the next line has looked at it. */
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return fail_open(name, -errno, ret_error);
	if (fstatfs(fd, &st) < 0)
		return fail_open(name, -errno, ret_error);
	if (st.f_type == PROC_SUPER_MAGIC)
		return steal_fd(&fd);
	if (!is_procfs("/proc"))
		return fail_missing(name, ret_error);
	return error_set(
		ret_error, -ENXIO,
		"net.ipv4.%s: a file of another file system is mounted over %s; unmount it", name,
		path);
}

int procfs_read_int(int fd, int *ret)
{
	char text[32];
	int64_t value;
	ssize_t n;
	int r;

	n = pread(fd, text, sizeof(text), 0);
	if (n < 0)
		return -errno;
	while (n > 0 && text[n - 1] == '\n')
		n--;
	r = number_parse(text, (size_t)n, INT32_MIN, INT32_MAX, &value);
	if (r < 0)
		return -EIO;
	*ret = (int)value;
	return 0;
}

int procfs_write_int(int fd, int value)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d\n", value);
	ssize_t n;

	n = pwrite(fd, text, (size_t)len, 0);
	if (n < 0)
		return -errno;
	return n == len ? 0 : -EIO;
}
