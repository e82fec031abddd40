/* SPDX-License-Identifier: MIT */
#include "inherited.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

#include "base/macro.h"
#include "base/number.h"
#include "give.h"

/* Without procfs: the numbers that parents hand down. */
#define LOW_NUMBERS 1024

static void give_one(int fd, const struct plan *plan, struct report *report)
{
	struct give wish = {&plan->settings, !plan->enforce, 0, report != NULL};
	int flags = fcntl(fd, F_GETFD), refused;
	enum give_outcome outcome;

	if (flags < 0 || flags & FD_CLOEXEC || !give_is_tcp(fd))
		return;
	outcome = give(fd, &wish, &refused);
	if (!report)
		return;
	if (refused) {
		report->refused++;
		report_refused(report, refused);
	}
	if (outcome == GIVE_SET)
		report->inherited++;
	else if (outcome == GIVE_LEFT_ALONE)
		report->left_alone++;
}

void inherited_give(const struct plan *plan, struct report *report)
{
	struct rlimit limit = {.rlim_cur = LOW_NUMBERS};
	const struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");

	if (!dir) {
		getrlimit(RLIMIT_NOFILE, &limit);
		for (int fd = 0; fd < (int)MIN(limit.rlim_cur, (rlim_t)LOW_NUMBERS); fd++)
			give_one(fd, plan, report);
		return;
	}
	while ((entry = readdir(dir))) {
		int64_t fd;

		if (number_parse(entry->d_name, strlen(entry->d_name), 0, INT32_MAX, &fd) == 0)
			give_one((int)fd, plan, report);
	}
	closedir(dir);
}
