/* SPDX-License-Identifier: MIT */
/* Becoming able to make network namespaces: by privilege, or in a user namespace. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "keepalive/error.h"
#include "keepalive/visit.h"
#include "lab.h"

static bool privileged(void)
{
	return visit_has_capability(CAP_SYS_ADMIN) && visit_has_capability(CAP_NET_ADMIN) &&
	       visit_has_capability(CAP_NET_RAW);
}

static int write_text(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* The number in a file, or otherwise when there is none. */
static int64_t read_number(const char *path, int64_t otherwise)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32];
	int64_t value;
	ssize_t n;

	if (fd < 0)
		return otherwise;
	n = read(fd, text, sizeof(text));
	if (n > 0 && text[n - 1] == '\n')
		n--;
	if (n <= 0 || number_parse(text, (size_t)n, INT64_MIN, INT64_MAX, &value) < 0)
		return otherwise;
	return value;
}

/* Says what forbids it: the switches of distributions have no error code of their own. */
static int refused(int r, struct tcpkeep_error *error)
{
	if (read_number("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0)
		return error_set(
			error, r,
			"user namespace: forbidden by kernel.unprivileged_userns_clone=0; run as root, or set it to 1");
	if (read_number("/proc/sys/user/max_user_namespaces", 1) == 0)
		return error_set(
			error, r,
			"user namespace: forbidden by user.max_user_namespaces=0; run as root, or raise it");
	if (read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) > 0)
		return error_set(
			error, r,
			"user namespace: forbidden by kernel.apparmor_restrict_unprivileged_userns=1; run as root, or set it to 0");
	if (r == -EINVAL)
		return error_set(
			error, r,
			"user namespace: this kernel is built without CONFIG_USER_NS; run as root");
	return error_set(
		error, r,
		"user namespace: %s (a container's seccomp filter, perhaps); run as root with CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW",
		strerror(-r));
}

int lab_enter(struct tcpkeep_error *error)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[64];
	int r;

	if (privileged())
		return 0;
	if (unshare(CLONE_NEWUSER) < 0) {
		/* EUSERS, ENOSPC: the limits; all of them mean: not for this user. */
		r = errno == EINVAL ? -EINVAL : -EPERM;
		return refused(r, error);
	}

	/* user_namespaces(7): without privilege outside, one's own ids and no setgroups(). */
	r = write_text("/proc/self/setgroups", "deny");
	if (r < 0 && r != -ENOENT)
		return refused(r, error);
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	r = write_text("/proc/self/uid_map", map);
	if (r < 0)
		return refused(r, error);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	r = write_text("/proc/self/gid_map", map);
	if (r < 0)
		return refused(r, error);
	/* Ubuntu's AppArmor lets the namespace be made and takes the capabilities away in it. */
	return privileged() ? 0 : refused(-EPERM, error);
}
