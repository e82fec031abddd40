/* SPDX-License-Identifier: MIT */
#include "mounts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"

/* The fields of a mountinfo line that hold the mount point and the root, when the file system is of
 * that type. */
static char *mount_point(char *line, const char *type, char **ret_root)
{
	char *fields[5], *rest = strstr(line, " - ");
	size_t len = strlen(type);

	if (!rest || strncmp(rest + 3, type, len) != 0 || rest[3 + len] != ' ')
		return NULL;
	for (size_t i = 0; i < 5; i++) {
		fields[i] = strsep(&line, " ");
		if (!fields[i])
			return NULL;
	}
	unescape_octal(fields[3]);
	unescape_octal(fields[4]);
	*ret_root = fields[3];
	return fields[4];
}

int mounts_find(const char *type, char **ret)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/thread-self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		char *root, *point = mount_point(line, type, &root);

		if (!point || access(point, F_OK) < 0)
			continue;
		*ret = strdup(point);
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
		char *root, *point = mount_point(line, type, &root);

		if (!point)
			continue;
		r = locate(&located, point, below(dir, root));
		if (r < 0)
			return r;
		r = -EXDEV;
	}
	if (!located.path)
		return r;
	*ret = steal_pointer(&located.path);
	return 0;
}
