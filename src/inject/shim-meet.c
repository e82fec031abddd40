/* SPDX-License-Identifier: MIT */
/* Sockets of which the table knows too little: inherited, passed, duplicated, numbered beyond the
 * table. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/number.h"
#include "give.h"
#include "shim.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262 /* linux/in.h, 5.6 */
#endif

/* ---------------------------------------------------------------------------------- asking */

static int get_int(int fd, int level, int name, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, level, name, ret, &len) < 0 ? -errno : 0;
}

/* All that the plan asks for holds already, apart from the fields that are the program's. */
static bool holds(int fd, unsigned own)
{
	return give_holds(fd, &shim.plan.settings, own);
}

static void count_refusal(int error)
{
	shim_count(refused);
	if (shim.report)
		report_refused(shim.report, error);
}

/* Gives a socket what it lacks. */
static enum give_outcome give_lacking(int fd, uint8_t entry)
{
	struct give wish = {
		.wanted = &shim.plan.settings,
		.respect = shim.respected != 0,
		.chosen = shim.respected & entry,
	};
	enum give_outcome outcome;
	int refused;

	outcome = give(fd, &wish, &refused);
	if (refused)
		count_refusal(refused);
	return outcome;
}

/* ----------------------------------------------------------------------- the ways to get here */

void shim_refused(int fd, int error)
{
	int saved = errno;

	/* The number was closed behind our back and is something else now. */
	if (give_is_tcp(fd))
		count_refusal(error);
	else
		shim_mark(fd, SHIM_OTHER);
	errno = saved;
}

void shim_meet(int fd, enum shim_kind kind)
{
	uint8_t entry = shim_entry(fd);
	int saved = errno;
	enum give_outcome outcome;

	shim_init();
	if (shim.n_options == 0)
		return;
	shim_mark(fd, (unsigned)kind | (entry & SHIM_FIELDS_MASK));
	outcome = give_lacking(fd, entry);
	if (outcome == GIVE_NOT_TCP)
		shim_mark(fd, SHIM_OTHER);
	if (outcome == GIVE_LEFT_ALONE)
		shim_count(left_alone);
	else if (give_has_set(outcome))
		shim_report_set(fd, kind);
	if (outcome == GIVE_IN_PART)
		shim_count(in_part);
	errno = saved;
}

void shim_meet_other(int fd, enum shim_kind kind)
{
	int saved = errno;
	int protocol;

	if (shim.n_options == 0)
		return;
	/* The number may have been closed behind our back. */
	if (get_int(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) == 0 &&
	    (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)) {
		shim_mark(fd, SHIM_UNKNOWN);
		if (kind == SHIM_LISTENER)
			shim_meet_listener(fd);
		else
			shim_meet(fd, kind);
	}
	errno = saved;
}

void shim_meet_listener(int fd)
{
	uint8_t entry = shim_entry(fd);
	int saved = errno;
	int listening = 0;

	/* listen() again, for another length of the queue. */
	if (shim_kind(entry) == SHIM_LISTENER && holds(fd, entry & shim.respected)) {
		errno = saved;
		return;
	}
	/* Does it listen already? Then connections may wait in its queue that will not inherit. */
	get_int(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening);
	shim_meet(fd, listening ? SHIM_OLD_LISTENER : SHIM_LISTENER);
	errno = saved;
}

void shim_meet_accepted(int listener, int fd)
{
	uint8_t entry = shim_entry(listener);
	int saved = errno;
	enum give_outcome outcome;

	if (shim.n_options == 0)
		return;
	if (shim_kind(entry) != SHIM_OLD_LISTENER) {
		/* Never seen: even if it has the settings, its queue may be older than they are. */
		shim_meet(listener, SHIM_OLD_LISTENER);
	}
	if (shim_kind(shim_entry(listener)) == SHIM_OTHER) {
		shim_mark(fd, SHIM_OTHER);
		errno = saved;
		return;
	}
	shim_mark(fd, SHIM_DONE);
	outcome = give_lacking(fd, entry);
	if (outcome == GIVE_LEFT_ALONE)
		shim_count(left_alone);
	else if (outcome == GIVE_HELD || give_has_set(outcome))
		shim_count(accepted);
	if (outcome == GIVE_IN_PART)
		shim_count(in_part);
	errno = saved;
}

static void meet_one_inherited(int fd)
{
	int listening = 0;
	enum give_outcome outcome;

	if (!give_is_tcp(fd))
		return;
	get_int(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening);
	outcome = give_lacking(fd, 0);
	if (give_has_set(outcome))
		shim_count(inherited);
	if (outcome == GIVE_IN_PART)
		shim_count(in_part);
	if (outcome == GIVE_LEFT_ALONE)
		shim_count(left_alone);
	if (listening)
		shim_mark(fd, SHIM_OLD_LISTENER);
}

/* Without procfs: the numbers that parents hand down. */
static void meet_low_numbers(void)
{
	struct rlimit limit = {.rlim_cur = 1024};

	getrlimit(RLIMIT_NOFILE, &limit);
	for (int fd = 0; fd < 1024 && (rlim_t)fd < limit.rlim_cur; fd++)
		meet_one_inherited(fd);
}

/* What getdents64(2) writes; musl does not declare it. */
struct directory_entry {
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

void shim_meet_inherited(void)
{
	/* opendir() would allocate. */
	char buf[2048] __attribute__((aligned(8)));
	int dir = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/fd",
			       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n;

	if (dir < 0) {
		meet_low_numbers();
		return;
	}
	while ((n = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n;) {
			const struct directory_entry *entry = (const void *)(buf + at);
			int64_t fd;

			at += entry->length;
			if (number_parse(entry->name, strlen(entry->name), 0, INT32_MAX, &fd) ==
				    0 &&
			    fd != dir)
				meet_one_inherited((int)fd);
		}
	}
	syscall(SYS_close, dir);
}

void shim_set_reread(int fd)
{
	struct shim_option options[SHIM_OPTIONS_MAX];
	int saved = errno;
	struct plan plan;
	unsigned n;

	shim_read_plan_again(&plan);
	n = shim_options(&plan.settings, options);
	for (unsigned i = 0; i < n; i++)
		if (shim_real.setsockopt(fd, options[i].level, options[i].name, &options[i].value,
					 sizeof(options[i].value)) < 0)
			count_refusal(errno);
	shim_mark(fd, SHIM_GIVEN);
	errno = saved;
}
