/* SPDX-License-Identifier: MIT */
#include "rooted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/*
 * EAGAIN: something was renamed or mounted somewhere on this machine while the kernel climbed a
 * "..", openat2(2). Rare, and soon over.
 */
#define RACES_MAX 1000

static long open_in_root(int root_fd, const char *path, const struct open_how *how)
{
	long fd = -1;

	for (int i = 0; i < RACES_MAX; i++) {
		fd = syscall(SYS_openat2, root_fd, path, how, sizeof(*how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}

int rooted_open(const char *root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int root_fd = -1;
	char joined[PATH_MAX];
	long fd;

	if (*root == '\0') {
		fd = open(path, flags | O_CLOEXEC);
		return fd < 0 ? -errno : (int)fd;
	}
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return -errno;
	fd = open_in_root(root_fd, path, &how);
	/* Before Linux 5.6, or a seccomp filter that does not know the call: absolute links leave
	 * root. */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
		if (snprintf(joined, sizeof(joined), "%s%s", root, path) >= (int)sizeof(joined))
			return -ENAMETOOLONG;
		fd = open(joined, flags | O_CLOEXEC);
	}
	return fd < 0 ? -errno : (int)fd;
}

int rooted_read_fd(int fd, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0, room;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (st.st_size > ROOTED_FILE_MAX)
		return -EFBIG;
	/* It may grow meanwhile: a byte more than is allowed tells. */
	room = ROOTED_FILE_MAX + 1;
	text = malloc(room + 1);
	if (!text)
		return -ENOMEM;
	while (len < room) {
		ssize_t n = read(fd, text + len, room - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len > ROOTED_FILE_MAX)
		return -EFBIG;
	text[len] = '\0';
	*ret = steal_pointer(&text);
	*ret_len = len;
	return 0;
}

int rooted_read(const char *root, const char *path, char **ret, size_t *ret_len)
{
	_cleanup_close_ int look = -1, fd = -1;
	struct stat st;

	look = rooted_open(root, path, O_PATH);
	if (look < 0)
		return look;
	if (fstat(look, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	fd = rooted_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fd;
	return rooted_read_fd(fd, ret, ret_len);
}
