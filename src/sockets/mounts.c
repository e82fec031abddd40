/* SPDX-License-Identifier: MIT */
#include "mounts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mountinfo.h"

int mounts_find(const char *type, char **ret)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/thread-self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		struct mountinfo mount;

		if (mountinfo_parse(line, type, &mount) < 0 || access(mount.point, F_OK) < 0)
			continue;
		*ret = strdup(mount.point);
		return *ret ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

/* What is left of dir below root; NULL: it is not below it. */
static const char *below(const char *dir, const char *root)
{
	size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(dir, root, len) != 0 || (dir[len] != '/' && dir[len] != '\0'))
		return NULL;
	return dir + len;
}

/* The mount that a line tells of: covers what was mounted there before. */
struct located {
	char *point, *path;
};

static void located_free(struct located *located)
{
	free(located->point);
	free(located->path);
	*located = (struct located){0};
}

static int locate(struct located *located, const char *point, const char *within)
{
	if (located->point && strcmp(located->point, point) == 0)
		located_free(located);
	if (!within || located->path)
		return 0;
	located->point = strdup(point);
	if (!located->point || asprintf(&located->path, "%s%s", point, within) < 0)
		return -ENOMEM;
	return 0;
}

int mounts_locate(const char *type, const char *dir, char **ret)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/thread-self/mountinfo", "re");
	_cleanup_(located_free) struct located located = {0};
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	int r = -ENOENT;

	while (file && getline(&line, &size, file) > 0) {
		struct mountinfo mount;

		if (mountinfo_parse(line, type, &mount) < 0)
			continue;
		r = locate(&located, mount.point, below(dir, mount.root));
		if (r < 0)
			return r;
		r = -EXDEV;
	}
	if (!located.path)
		return r;
	*ret = steal_pointer(&located.path);
	return 0;
}
