/* SPDX-License-Identifier: MIT */
#include "mounts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"

/* The field of a mountinfo line that holds the mount point, when the file system is of that type.
 */
static char *mount_point(char *line, const char *type)
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
	unescape_octal(fields[4]);
	return fields[4];
}

int mounts_find(const char *type, char **ret)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/thread-self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		char *point = mount_point(line, type);

		if (!point || access(point, F_OK) < 0)
			continue;
		*ret = strdup(point);
		return *ret ? 0 : -ENOMEM;
	}
	return -ENOENT;
}
