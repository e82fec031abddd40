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

/* More deaths of a partner than these within so long are no accident. */
#define DEATHS_MAX       5
#define DEATHS_WITHIN_MS 10000

/*
 * How often the guardian looks whether the supervisor answers. Long enough for one that a busy
 * machine does not let run; a call that nobody answers takes two of these.
 */
#define WATCH_MS 5000

/* How soon a partner that could not be started is tried again. */
#define RETRY_MS 1000

/* A supervisor that cannot answer (no thread to be had) lets calls go on for so long before it
 * ends: for want of something is no death too many. */
#define FAILED_MS (DEATHS_WITHIN_MS / (DEATHS_MAX - 1))

struct deaths {
	unsigned n;
	int64_t since_ms;
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

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Is it one death too many? */
static bool give_up(struct deaths *deaths)
{
	int64_t now = now_ms();

	if (now - deaths->since_ms > DEATHS_WITHIN_MS)
		*deaths = (struct deaths){0, now};
	return ++deaths->n > DEATHS_MAX;
}

/*
 * Starts one, a copy of this thread, whose main does not return. Its pidfd; -errno: there is none
 * now. main is given the pidfd of who started it; -ESRCH: that one has died since.
 */
static int start_partner(struct seccomp *seccomp, void (*main)(struct seccomp *, int other))
{
	pid_t starter = getpid(), pid = fork();
	int r;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		/* 0 to 2 stay what they are, /dev/null: no word of a library's is for a program. */
		const int kept[] = {0, 1, 2, seccomp->listener, seccomp->control};
		int other;

		setpgid(0, 0);
		apart_close_others(kept, ARRAY_SIZE(kept));
		other = pidfd_of(starter, 0);
		if (getppid() != starter)
			cleanup_close(&other), other = -ESRCH;
		/* A partner that nobody watches would soon be one of two. */
		if (other >= 0 || other == -ESRCH)
			main(seccomp, other);
		_exit(1);
	}
	r = pidfd_of(pid, 0);
	if (r < 0)
		kill(pid, SIGKILL);
	return r;
}

/* Does a call wait, or does one within so long? -1: as long as it takes. Ends with the programs. */
static bool is_waiting(const struct seccomp *seccomp, int timeout_ms)
{
	struct pollfd fd = {.fd = seccomp->listener, .events = POLLIN};
	int n = poll(&fd, 1, timeout_ms);

	if (n == 1 && fd.revents & (POLLHUP | POLLNVAL))
		_exit(0);
	return n == 1 && fd.revents & POLLIN;
}

/*
 * No supervisor can be had: the programs go on without keepalive; for so long, or for good (-1).
 * Asks first: before Linux 6.11 nobody wakes who waits for a call when the last program ends.
 */
static void pass_calls(const struct seccomp *seccomp, int64_t for_ms)
{
	int64_t end_ms = now_ms() + for_ms;

	for (;;) {
		int64_t left_ms = for_ms < 0 ? -1 : end_ms - now_ms();

		if (for_ms >= 0 && left_ms <= 0)
			return;
		if (is_waiting(seccomp, (int)left_ms))
			seccomp_pass_next(seccomp, &seccomp->shared->slots[0]);
	}
}

/* ----------------------------------------------------------------------------- the supervisor */

/* The first one tells the program's process, which waits for it. False: this is not the first. */
static bool tell_start(struct seccomp *seccomp, int r)
{
	struct seccomp_guard_says says = {.error = -r, .pid = getppid()};

	if (seccomp->control < 0)
		return false;
	(void)!write(seccomp->control, &says, sizeof(says));
	close(steal_fd(&seccomp->control));
	return true;
}

/* How long a partner is waited for: one that died while it started us is none, and one that could
 * not be started may be had later. */
static int patience_ms(int partner)
{
	if (partner == -ESRCH)
		return 0;
	return partner < 0 ? RETRY_MS : -1;
}

_Noreturn static void supervise(struct seccomp *seccomp, int guardian)
{
	struct deaths deaths = {0};
	bool first;
	int r;

	prctl(PR_SET_NAME, "tcpkeep-answer");
	r = seccomp_serve(seccomp);
	first = tell_start(seccomp, r);
	if (r < 0 && !first)
		pass_calls(seccomp, FAILED_MS);
	if (r < 0)
		_exit(1);
	for (;;)
		switch (await_news(seccomp, guardian, patience_ms(guardian))) {
		case NEWS_ENDED:
			_exit(0);
		case NEWS_PARTNER_DIED:
			cleanup_close(&guardian);
			guardian = give_up(&deaths) ? -EAGAIN : start_partner(seccomp, guard);
			break;
		case NEWS_TIME:
			guardian = start_partner(seccomp, guard);
			break;
		case NEWS_NONE:
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
	watch->waiting = is_waiting(seccomp, 0);
	return waited && watch->waiting && !moved;
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

/* Waits until it is gone; ends with the programs. */
static void watch_over(const struct seccomp *seccomp, int supervisor)
{
	struct watch watch = {0};

	for (;;)
		switch (await_news(seccomp, supervisor, WATCH_MS)) {
		case NEWS_ENDED:
			end_after(supervisor);
		case NEWS_PARTNER_DIED:
			return;
		case NEWS_TIME:
			if (!hangs(seccomp, &watch))
				break;
			end_supervisor(supervisor);
			return;
		case NEWS_NONE:
			break;
		}
}

_Noreturn static void guard(struct seccomp *seccomp, int supervisor)
{
	struct deaths deaths = {0};

	prctl(PR_SET_NAME, "tcpkeep-guard");
	for (;;) {
		if (supervisor >= 0)
			watch_over(seccomp, supervisor);
		if (supervisor >= 0 || supervisor == -ESRCH) {
			cleanup_close(&supervisor);
			answer_taken(seccomp);
			if (give_up(&deaths))
				pass_calls(seccomp, -1);
		} else {
			pass_calls(seccomp, RETRY_MS);
		}
		supervisor = start_partner(seccomp, supervise);
	}
}

/* ----------------------------------------------------------------------------------- the start */

_Noreturn void seccomp_guard(struct seccomp *seccomp, int control)
{
	int supervisor;
	char byte;

	apart_leave(&control, 1);
	seccomp->listener = pass_fd_receive(control, &byte, 1, 0);
	/* The program could not set the filter: nothing is lost. */
	if (seccomp->listener < 0)
		_exit(1);
	seccomp->control = control;
	supervisor = start_partner(seccomp, supervise);
	if (supervisor < 0) {
		tell_start(seccomp, supervisor);
		_exit(1);
	}
	close(steal_fd(&seccomp->control));
	guard(seccomp, supervisor);
}
