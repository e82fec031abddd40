/* SPDX-License-Identifier: MIT */
#include "seccomp-pair.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
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

/*
 * How often the guardian looks whether the supervisor answers. Long enough for one that a busy
 * machine does not let run; a call that nobody answers takes two of these.
 */
#define WATCH_MS 5000

struct deaths {
	unsigned n;
	time_t since_s;
};

/* What the guardian saw when it last looked. */
struct watch {
	uint64_t ids[SECCOMP_RECEIVERS_MAX]; /* in the slots */
	bool waiting;                        /* a call that nobody had taken */
};

_Noreturn static void supervise(struct seccomp *seccomp, int guardian);
_Noreturn static void guard(struct seccomp *seccomp, int supervisor);

/* ------------------------------------------------------------------------------ the partners */

enum news { NEWS_NONE, NEWS_PARTNER_DIED, NEWS_ENDED, NEWS_TIME };

/* Waits for the end of the partner or of the programs, for so long; -1: as long as it takes. */
static enum news await_news(const struct seccomp *seccomp, int partner, int timeout_ms)
{
	struct pollfd fds[] = {{.fd = seccomp->listener}, {.fd = partner, .events = POLLIN}};
	int n = poll(fds, ARRAY_SIZE(fds), timeout_ms);

	if (n <= 0)
		return n == 0 ? NEWS_TIME : NEWS_NONE;
	/* POLLERR: a signal came while the kernel looked (seccomp_notify_poll()). */
	if (fds[0].revents & (POLLHUP | POLLNVAL))
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
		/* 0 to 2 stay what they are, /dev/null: no word of a library's is for a program. */
		apart_close_others((const int[]){0, 1, 2, seccomp->listener}, 4);
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
		switch (await_news(seccomp, guardian, -1)) {
		case NEWS_ENDED:
			_exit(0);
		case NEWS_PARTNER_DIED:
			cleanup_close(&guardian);
			guardian = give_up(&deaths) ? -1 : start_partner(seccomp, guard);
			break;
		case NEWS_NONE:
		case NEWS_TIME:
			break;
		}
}

/* -------------------------------------------------------------------------------- the guardian */

/* What the dead supervisor had taken and not answered: of its threads none takes a call any more.
 */
static void answer_taken(const struct seccomp *seccomp)
{
	for (size_t i = 0; i < SECCOMP_RECEIVERS_MAX; i++) {
		union seccomp_slot *slot = &seccomp->shared->slots[i];

		if (slot->notif.id)
			seccomp_pass(seccomp, slot->notif.id);
		memset(slot, 0, sizeof(*slot));
	}
}

static bool is_waiting(const struct seccomp *seccomp)
{
	struct pollfd fd = {.fd = seccomp->listener, .events = POLLIN};

	return poll(&fd, 1, 0) == 1 && fd.revents & POLLIN;
}

/*
 * Does the supervisor hang? A call waits, waited when we last looked, and none has been taken
 * since. One call that its receiver is stuck in (memory of the program that is long in coming) goes
 * on by itself: to answer what was answered already does nothing.
 */
static bool hangs(const struct seccomp *seccomp, struct watch *watch)
{
	bool waited = watch->waiting, moved = false;

	for (size_t i = 0; i < SECCOMP_RECEIVERS_MAX; i++) {
		uint64_t id =
			__atomic_load_n(&seccomp->shared->slots[i].notif.id, __ATOMIC_RELAXED);

		if (id != watch->ids[i])
			moved = true;
		else if (id)
			seccomp_pass(seccomp, id);
		watch->ids[i] = id;
	}
	watch->waiting = is_waiting(seccomp);
	return waited && watch->waiting && !moved;
}

/* No supervisor can be had: the programs go on without keepalive. */
_Noreturn static void pass_all(const struct seccomp *seccomp)
{
	while (seccomp_pass_next(seccomp, &seccomp->shared->slots[0]))
		;
	_exit(0);
}

/* One that hangs. A thread of it may be beyond SIGKILL for as long as a filesystem does not answer:
 * that one takes no call any more, and is not waited for. */
static void end_supervisor(int supervisor)
{
	struct pollfd fd = {.fd = supervisor, .events = POLLIN};

	pidfd_signal(supervisor, SIGKILL);
	poll(&fd, 1, 1000);
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
	struct watch watch = {0};

	prctl(PR_SET_NAME, "tcpkeep-guard");
	for (;;) {
		enum news news = NEWS_PARTNER_DIED;

		if (supervisor >= 0)
			news = await_news(seccomp, supervisor, WATCH_MS);
		if (news == NEWS_ENDED)
			end_after(supervisor);
		if (news == NEWS_TIME && hangs(seccomp, &watch)) {
			end_supervisor(supervisor);
			news = NEWS_PARTNER_DIED;
		}
		if (news != NEWS_PARTNER_DIED)
			continue;
		watch = (struct watch){0};
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
