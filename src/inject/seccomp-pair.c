/* SPDX-License-Identifier: MIT */
#include "seccomp-pair.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "apart.h"
#include "base/cleanup.h"
#include "base/macro.h"
#include "base/pidfd.h"
#include "pass-fd.h"

/* More deaths of a partner than these in so many seconds are no accident. */
#define DEATHS_MAX      5
#define DEATHS_WITHIN_S 10

struct deaths {
	unsigned n;
	time_t since_s;
};

_Noreturn static void supervise(struct seccomp *seccomp, int guardian);
_Noreturn static void guard(struct seccomp *seccomp, int supervisor);

/* ------------------------------------------------------------------------------ the partners */

enum news { NEWS_NONE, NEWS_PARTNER_DIED, NEWS_ENDED };

/* Waits for the end of the partner or of the programs. */
static enum news await_news(const struct seccomp *seccomp, int partner)
{
	struct pollfd fds[] = {{.fd = seccomp->listener}, {.fd = partner, .events = POLLIN}};

	if (poll(fds, ARRAY_SIZE(fds), -1) <= 0)
		return NEWS_NONE;
	if (fds[0].revents)
		return NEWS_ENDED;
	return fds[1].revents ? NEWS_PARTNER_DIED : NEWS_NONE;
}

/* Is it one death too many? */
static bool give_up(struct deaths *deaths)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec - deaths->since_s > DEATHS_WITHIN_S)
		*deaths = (struct deaths){0, now.tv_sec};
	return ++deaths->n > DEATHS_MAX;
}

/* Starts one, a copy of this thread; its pidfd or -errno. main does not return. */
static int start_partner(struct seccomp *seccomp, void (*main)(struct seccomp *, int other))
{
	pid_t starter = getpid(), pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		int other;

		setsid();
		apart_close_others(&seccomp->listener, 1);
		other = pidfd_of(starter, 0);
		if (getppid() != starter)
			cleanup_close(&other), other = -ESRCH;
		main(seccomp, other);
		_exit(1);
	}
	return pidfd_of(pid, 0);
}

/* ----------------------------------------------------------------------------- the supervisor */

_Noreturn static void supervise(struct seccomp *seccomp, int guardian)
{
	struct deaths deaths = {0};

	prctl(PR_SET_NAME, "tcpkeep-answer");
	if (seccomp_serve(seccomp) < 0)
		_exit(1);
	for (;;)
		switch (await_news(seccomp, guardian)) {
		case NEWS_ENDED:
			_exit(0);
		case NEWS_PARTNER_DIED:
			cleanup_close(&guardian);
			guardian = give_up(&deaths) ? -1 : start_partner(seccomp, guard);
			break;
		case NEWS_NONE:
			break;
		}
}

/* -------------------------------------------------------------------------------- the guardian */

/* What the dead supervisor had taken and not answered: its threads are all gone by now. */
static void answer_taken(const struct seccomp *seccomp)
{
	for (size_t i = 0; i < SECCOMP_RECEIVERS_MAX; i++) {
		union seccomp_slot *slot = &seccomp->shared->slots[i];

		if (slot->notif.id)
			seccomp_pass(seccomp, slot->notif.id);
		memset(slot, 0, sizeof(*slot));
	}
}

/* No supervisor can be had: the programs go on without keepalive. */
_Noreturn static void pass_all(const struct seccomp *seccomp)
{
	while (seccomp_pass_next(seccomp, &seccomp->shared->slots[0]))
		;
	_exit(0);
}

/* The supervisor's end is taken here, so that init has one process less to wait for. */
_Noreturn static void end_after(int supervisor)
{
	struct pollfd fd = {.fd = supervisor, .events = POLLIN};

	poll(&fd, 1, 1000);
	_exit(0);
}

_Noreturn static void guard(struct seccomp *seccomp, int supervisor)
{
	struct deaths deaths = {0};

	prctl(PR_SET_NAME, "tcpkeep-guard");
	for (;;) {
		enum news news = NEWS_PARTNER_DIED;

		if (supervisor >= 0)
			news = await_news(seccomp, supervisor);
		if (news == NEWS_ENDED)
			end_after(supervisor);
		if (news == NEWS_NONE)
			continue;
		cleanup_close(&supervisor);
		answer_taken(seccomp);
		if (give_up(&deaths))
			pass_all(seccomp);
		supervisor = start_partner(seccomp, supervise);
	}
}

/* ----------------------------------------------------------------------------------- the start */

_Noreturn void seccomp_guard(struct seccomp *seccomp, int control)
{
	struct seccomp_guard_says says = {.pid = getpid()};
	int supervisor;
	char byte;

	apart_leave(&control, 1);
	seccomp->listener = pass_fd_receive(control, &byte, 1, 0);
	/* The program could not set the filter: nothing is lost. */
	if (seccomp->listener < 0)
		_exit(1);
	supervisor = start_partner(seccomp, supervise);
	says.error = supervisor < 0 ? -supervisor : 0;
	(void)!write(control, &says, sizeof(says));
	if (says.error)
		_exit(1);
	close(control);
	guard(seccomp, supervisor);
}
