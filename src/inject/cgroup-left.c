/* SPDX-License-Identifier: MIT */
#include "cgroup-left.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

int cgroup_is_populated(int events)
{
	static const char key[] = "populated ";
	char text[256];
	const char *at;
	ssize_t n;

	n = pread(events, text, sizeof(text) - 1, 0);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	at = strstr(text, key);
	return at && at[sizeof(key) - 1] == '1';
}

static size_t count_here(int fd)
{
	_cleanup_close_ int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char text[4096];
	size_t n = 0;
	ssize_t got;

	while (procs >= 0 && (got = read(procs, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < got; i++)
			n += text[i] == '\n';
	return n;
}

static size_t count_all(int parent, const char *name, unsigned depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	size_t n;

	if (!dir) {
		cleanup_close(&fd);
		return 0;
	}
	n = count_here(fd);
	while (depth < CGROUP_DEPTH_MAX && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			n += count_all(fd, entry->d_name, depth + 1);
	closedir(dir);
	return n;
}

size_t cgroup_left(int fd, int grace_ms)
{
	_cleanup_close_ int events = openat(fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	/* A change since it was last read. */
	struct pollfd change = {.fd = events, .events = POLLPRI};

	if (events >= 0 && cgroup_is_populated(events) > 0)
		poll(&change, 1, grace_ms);
	return count_all(fd, ".", 0);
}
