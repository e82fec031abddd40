/* SPDX-License-Identifier: MIT */
/* Any text as a line of mountinfo: what comes out lies in the line, and nothing is looked for
 * behind its end. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mountinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* As the kernel writes what it shows there: blanks and backslashes in octal. */
static char *append_escaped(char *at, const char *text)
{
	for (; *text; text++) {
		if (strchr(" \t\n\\", *text)) {
			*at++ = '\\';
			*at++ = (char)('0' + (*text >> 6));
			*at++ = (char)('0' + (*text >> 3 & 7));
			*at++ = (char)('0' + (*text & 7));
		} else {
			*at++ = *text;
		}
	}
	*at = '\0';
	return at;
}

static void check_name(const char *name)
{
	_cleanup_free_ char *line = malloc(8 * strlen(name) + 64);
	struct mountinfo mount;
	char *at;

	must(line);
	at = append_escaped(stpcpy(line, "36 35 0:4 /"), name);
	at = append_escaped(stpcpy(at, " /"), name);
	stpcpy(at, " rw shared:1 - cgroup2 none rw\n");
	must(mountinfo_parse(line, "cgroup2", &mount) == 0);
	must(strcmp(mount.root + 1, name) == 0 && strcmp(mount.point + 1, name) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *line = calloc(size + 1, 1), *name = calloc(size + 1, 1);
	struct mountinfo mount;
	int r;

	must(line && name);
	memcpy(line, data, size);
	memcpy(name, data, size);
	r = mountinfo_parse(line, "bpf", &mount);
	must(r == 0 || r == -ENOENT);
	if (r == 0) {
		must(mount.root > line && mount.root < mount.point && mount.point <= line + size);
		must(strlen(mount.root) < (size_t)(mount.point - mount.root));
	}
	check_name(name);
	return 0;
}
