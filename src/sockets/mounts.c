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

int mounts_find_root(const char *type, char **ret, char **ret_root)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/thread-self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	_cleanup_free_ char *found = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		char *root, *point = mount_point(line, type, &root);

		if (!point || access(point, F_OK) < 0)
			continue;
		found = strdup(point);
		root = found ? strdup(root) : NULL;
		if (!root)
			return -ENOMEM;
		*ret = steal_pointer(&found);
		*ret_root = root;
		return 0;
	}
	return -ENOENT;
}

int mounts_find(const char *type, char **ret)
{
	_cleanup_free_ char *root = NULL;

	return mounts_find_root(type, ret, &root);
}
