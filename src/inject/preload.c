/* SPDX-License-Identifier: MIT */
#include "preload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "keepalive/error.h"

static int find_beside(char ret[PATH_MAX])
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path,
			     sizeof(path) - sizeof("/../inject/" PRELOAD_LIBRARY));
	char *slash;

	if (n < 0)
		return -errno;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return -ENOENT;
	memcpy(slash, "/../inject/" PRELOAD_LIBRARY, sizeof("/../inject/" PRELOAD_LIBRARY));
	return realpath(path, ret) ? 0 : -errno;
}

int preload_find(char ret[PATH_MAX], struct tcpkeep_error *error)
{
	static const char installed[] = TCPKEEP_PKGLIBDIR "/" PRELOAD_LIBRARY;

	if (find_beside(ret) < 0)
		memcpy(ret, installed, sizeof(installed));
	if (access(ret, R_OK) < 0)
		return error_set(
			error, -errno,
			"cannot read the preload library %s: %s; is tcpkeep installed whole?", ret,
			strerror(errno));
	/* ld.so(8): blanks and colons separate the libraries, $ starts a token. */
	if (strpbrk(ret, " \t\n:$"))
		return error_set(
			error, -EINVAL,
			"the preload library's path has a blank, a colon or a '$' in it, which "
			"LD_PRELOAD cannot express: %s; install tcpkeep elsewhere",
			ret);
	return 0;
}

/* Is it the first word of the list already? A `tcpkeep run` below another one. */
static bool is_first(const char *list, const char *library)
{
	size_t len = strcspn(list, " :");

	return strlen(library) == len && memcmp(list, library, len) == 0;
}

int preload_set_environment(const char *library, const struct plan *plan)
{
	const char *before = getenv("LD_PRELOAD");
	_cleanup_free_ char *both = NULL;
	char text[PLAN_TEXT_MAX];
	int r;

	r = plan_format(plan, text, sizeof(text));
	if (r < 0)
		return r;
	if (before && *before && !is_first(before, library)) {
		if (asprintf(&both, "%s:%s", library, before) < 0) {
			both = NULL;
			return -ENOMEM;
		}
		library = both;
	} else if (before && *before) {
		library = NULL;
	}
	if (library && setenv("LD_PRELOAD", library, 1) < 0)
		return -errno;
	return setenv(PLAN_VARIABLE, text, 1) < 0 ? -errno : 0;
}
