/* SPDX-License-Identifier: MIT */
#include "mountinfo.h"

#include <errno.h>
#include <string.h>

#include "base/escape.h"
#include "base/macro.h"

/* 36 35 0:4 / /mnt/cgroup\040two rw,noatime shared:1 - cgroup2 cgroup2 rw: any number of optional
 * fields stands in front of the hyphen. */
int mountinfo_parse(char *line, const char *type, struct mountinfo *ret)
{
	char *fields[5], *separator = strstr(line, " - ");
	size_t len = strlen(type);

	if (!separator || strncmp(separator + 3, type, len) != 0 || separator[3 + len] != ' ')
		return -ENOENT;
	*separator = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		fields[i] = strsep(&line, " ");
		if (!fields[i])
			return -ENOENT;
	}
	unescape_octal(fields[3]);
	unescape_octal(fields[4]);
	*ret = (struct mountinfo){fields[3], fields[4]};
	return 0;
}
