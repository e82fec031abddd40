/* SPDX-License-Identifier: MIT */
#include "cgroup-tidy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "apart.h"
#include "base/cleanup.h"
#include "base/macro.h"
#include "cgroup-left.h"

/* An empty cgroup that cannot be removed: how often it is tried again, and how soon. */
#define TRIES_MAX 10
#define AGAIN_MS  200

static void remove_children(int parent, const char *name, unsigned depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (!dir) {
		cleanup_close(&fd);
		return;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		if (depth < CGROUP_DEPTH_MAX)
			remove_children(fd, entry->d_name, depth + 1);
		unlinkat(fd, entry->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

/* With what was made beneath it. -EBUSY: somebody is in it; -ENOENT: it is gone already. */
static int cgroup_remove(int parent, const char *name)
{
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != EBUSY && errno != ENOTEMPTY)
		return -errno;
	/* What a program made beneath its own and left there is empty as well, or in use. */
	remove_children(parent, name, 0);
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static bool is_empty(int cgroup)
{
	_cleanup_close_ int events = openat(cgroup, "cgroup.events", O_RDONLY | O_CLOEXEC);

	return events >= 0 && cgroup_is_populated(events) == 0;
}

void cgroup_tidy(int parent, const char *prefix)
{
	int own = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = own >= 0 ? fdopendir(own) : NULL;
	const struct dirent *entry;

	if (!dir) {
		cleanup_close(&own);
		return;
	}
	while ((entry = readdir(dir))) {
		_cleanup_close_ int fd = -1;

		if (entry->d_type != DT_DIR || strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		fd = openat(parent, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && is_empty(fd))
			cgroup_remove(parent, entry->d_name);
	}
	closedir(dir);
}

/* ---------------------------------------------------------------------------- the one that waits
 */

enum { PARENT, DIRECTORY, HELD, FDS };

struct tidier {
	const char *name;
	int fds[FDS];
	int pipe_write;
};

/* Waits until the cgroup was made use of and is empty. */
static void wait_until_empty(int *held, int events)
{
	int populated;

	/* A process that is started into it holds the pipe until it is in it. */
	while ((populated = cgroup_is_populated(events)) > 0 || (*held >= 0 && populated == 0)) {
		/* cgroup.events: poll(2) tells a change since it was last read. */
		struct pollfd fds[] = {{.fd = *held}, {.fd = events, .events = POLLPRI}};

		if (poll(fds, ARRAY_SIZE(fds), -1) > 0 && fds[0].revents) {
			cleanup_close(held);
			*held = -1;
		}
	}
}

static void tidier_main(void *userdata)
{
	struct tidier *tidier = userdata;
	int events;

	close(tidier->pipe_write);
	apart_leave(tidier->fds, FDS);
	prctl(PR_SET_NAME, "tcpkeep-tidy");
	events = openat(tidier->fds[DIRECTORY], "cgroup.events", O_RDONLY | O_CLOEXEC);
	for (int i = 0; events >= 0 && i < TRIES_MAX; i++) {
		wait_until_empty(&tidier->fds[HELD], events);
		if (cgroup_remove(tidier->fds[PARENT], tidier->name) != -EBUSY)
			break;
		/* Somebody came in meanwhile, or goes out just now. */
		poll(NULL, 0, AGAIN_MS);
	}
	_exit(0);
}

int cgroup_tidy_start(int parent, const char *name, int fd, int pipe_read, int pipe_write)
{
	struct tidier tidier = {name, {parent, fd, pipe_read}, pipe_write};

	return apart_start(tidier_main, &tidier);
}
