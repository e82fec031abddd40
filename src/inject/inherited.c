/* SPDX-License-Identifier: MIT */
#include "inherited.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/macro.h"
#include "base/number.h"
#include "give.h"

/* Without procfs: the numbers that parents hand down. */
#define LOW_NUMBERS 1024

/* What is done to each; true: that is enough. */
struct visit {
	bool (*socket)(int fd, const struct visit *visit);
	unsigned *waiting;
	const struct plan *plan;
	struct report *report;
};

static bool give_one(int fd, const struct visit *visit)
{
	struct give wish = {&visit->plan->settings, !visit->plan->enforce, 0,
			    visit->report != NULL};
	struct report *report = visit->report;
	enum give_outcome outcome;
	int refused;

	outcome = give(fd, &wish, &refused);
	if (!report)
		return false;
	if (refused) {
		report->refused++;
		report_refused(report, refused);
	}
	if (give_has_set(outcome))
		report->inherited++;
	if (outcome == GIVE_IN_PART)
		report->in_part++;
	if (outcome == GIVE_LEFT_ALONE)
		report->left_alone++;
	return false;
}

static bool is_it(int fd, const struct visit *visit)
{
	(void)fd, (void)visit;
	return true;
}

static bool count_waiting(int fd, const struct visit *visit)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	/* net/ipv4/tcp.c tcp_get_info(): of a listener, the length of its queue. */
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	    info.tcpi_state == TCP_LISTEN)
		*visit->waiting += info.tcpi_unacked;
	return false;
}

static bool visit_one(int fd, const struct visit *visit)
{
	int flags = fcntl(fd, F_GETFD);

	return flags >= 0 && !(flags & FD_CLOEXEC) && give_is_tcp(fd) && visit->socket(fd, visit);
}

/* The descriptor that was enough, or -1. */
static int visit_all(const struct visit *visit)
{
	struct rlimit limit = {.rlim_cur = LOW_NUMBERS};
	const struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");
	int found = -1;

	if (!dir) {
		getrlimit(RLIMIT_NOFILE, &limit);
		for (int fd = 0; fd < (int)MIN(limit.rlim_cur, (rlim_t)LOW_NUMBERS); fd++)
			if (visit_one(fd, visit))
				return fd;
		return -1;
	}
	while (found < 0 && (entry = readdir(dir))) {
		int64_t fd;

		if (number_parse(entry->d_name, strlen(entry->d_name), 0, INT32_MAX, &fd) == 0 &&
		    visit_one((int)fd, visit))
			found = (int)fd;
	}
	closedir(dir);
	return found;
}

void inherited_give(const struct plan *plan, struct report *report)
{
	visit_all(&(struct visit){.socket = give_one, .plan = plan, .report = report});
}

int inherited_first(void)
{
	return visit_all(&(struct visit){.socket = is_it});
}

unsigned inherited_waiting(void)
{
	unsigned n = 0;

	visit_all(&(struct visit){.socket = count_waiting, .waiting = &n});
	return n;
}
