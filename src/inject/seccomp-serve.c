/* SPDX-License-Identifier: MIT */
#include "seccomp-serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/pidfd.h"
#include "keepalive/socket.h"
#include "seccomp-prepare.h"
#include "seccomp-receiver.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262 /* linux/in.h, 5.6 */
#endif
#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425 /* one number on all architectures */
#endif

/* A stack for what is below; the sanitizers want more than the code. */
#define STACK_SIZE (256 * 1024)
/* Descriptors that a receiver may need at once beside its kept pidfds. */
#define RECEIVER_FDS 4

/* ------------------------------------------------------------------------------- the kernel */

/* False when it is gone. */
static bool answer(int listener, uint64_t id, uint32_t flags, int64_t value)
{
	struct seccomp_notif_resp resp = {.id = id, .val = value, .flags = flags};

	/* ENOENT: a signal or its death took the caller away. */
	while (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) < 0)
		if (errno != EINTR)
			return false;
	return true;
}

/* POLLERR is no end: a signal came while the kernel looked (seccomp_notify_poll()). */
static bool has_ended(int listener)
{
	struct pollfd fd = {.fd = listener};

	return poll(&fd, 1, 0) == 1 && fd.revents & (POLLHUP | POLLNVAL);
}

/* Waits for a call. False: the last program has ended. */
static bool receive(int listener, union seccomp_slot *slot)
{
	for (;;) {
		/* The kernel wants it empty. */
		memset(slot, 0, sizeof(*slot));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, slot) == 0)
			return true;
		if (errno != EINTR && has_ended(listener))
			return false;
	}
}

bool seccomp_sizes_fit(void)
{
	struct seccomp_notif_sizes sizes;

	return syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) == 0 &&
	       sizes.seccomp_notif <= sizeof(union seccomp_slot) &&
	       sizes.seccomp_notif_resp <= sizeof(struct seccomp_notif_resp);
}

void seccomp_pass(const struct seccomp *seccomp, uint64_t id)
{
	if (answer(seccomp->listener, id, SECCOMP_USER_NOTIF_FLAG_CONTINUE, 0) && seccomp->report)
		report_missed(seccomp->report, REPORT_MISSED_UNSERVED);
}

void seccomp_pass_next(const struct seccomp *seccomp, union seccomp_slot *slot)
{
	if (receive(seccomp->listener, slot))
		seccomp_pass(seccomp, slot->notif.id);
}

/* -------------------------------------------------------------------------------- one socket */

static uint64_t cookie_of(int fd)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie;

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

/* By its protocol alone: what is no stream (a raw socket) is found when it is set. */
static bool may_be_tcp(struct receiver *receiver, int fd)
{
	socklen_t len = sizeof(int);
	int protocol;

	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0) {
		/* No socket: to close our copy of it may take its time (a file of FUSE). */
		turn_pass(&receiver->turn);
		return false;
	}
	return protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP;
}

/* Neither connected nor connecting nor listening? */
static bool is_fresh(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_state == TCP_CLOSE;
}

/* The socket is about to connect or to listen. */
static void meet(struct receiver *receiver, int fd, bool listens)
{
	const struct number_set *turned_off = &receiver->seccomp.shared->turned_off;
	enum give_outcome outcome;

	receiver_count(receiver, seen);
	if (!receiver->seccomp.plan->enforce && turned_off->used &&
	    number_set_has(turned_off, cookie_of(fd))) {
		receiver_count(receiver, left_alone);
		return;
	}
	outcome = receiver_give(receiver, fd, true);
	if (outcome == GIVE_LEFT_ALONE)
		receiver_count(receiver, left_alone);
	if (outcome == GIVE_IN_PART)
		receiver_count(receiver, in_part);
	if (!give_has_set(outcome))
		return;
	if (listens)
		receiver_count(receiver, listening);
	else
		receiver_count(receiver, tried);
}

/* -------------------------------------------------------------- setsockopt() of the program */

static uint32_t field_of(int level, int name)
{
	for (size_t i = 0; i < SOCKET_OPTIONS; i++)
		if (socket_options[i].level == level && socket_options[i].name == name)
			return socket_options[i].field;
	return 0;
}

/* The value that the program is about to set. False: what it says is wrong, and the kernel will say
 * so. */
static bool read_value(const struct seccomp_notif *notif, uint32_t field, int *ret)
{
	struct iovec here = {ret, sizeof(*ret)};
	struct iovec there = {(void *)(uintptr_t)notif->data.args[3], sizeof(*ret)};
	struct tcpkeep_settings one = {0};

	if ((int)notif->data.args[4] < (int)sizeof(*ret) ||
	    process_vm_readv((pid_t)notif->pid, &here, 1, &there, 1, 0) != (ssize_t)sizeof(*ret))
		return false;
	socket_option_store(&one, field, *ret);
	return tcpkeep_settings_validate(&one, TCPKEEP_SCOPE_SOCKET, NULL) == 0;
}

static bool is_on(int fd)
{
	socklen_t len = sizeof(int);
	int on = 0;

	return getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len) == 0 && on;
}

/* Default mode: off is remembered, as the kernel cannot tell it from never touched. */
static void remember(struct receiver *receiver, int fd, int value)
{
	struct number_set *turned_off = &receiver->seccomp.shared->turned_off;
	uint64_t cookie;

	if (value && turned_off->used == 0)
		return;
	cookie = cookie_of(fd);
	if (cookie == 0)
		return;
	if (value == 0) {
		number_set_add(turned_off, cookie);
		return;
	}
	/* On after all, long after it connected, or was accepted from one that was off: what the
	 * program left open is filled in. */
	number_set_remove(turned_off, cookie);
	if (!is_on(fd) && !is_fresh(fd))
		meet(receiver, fd, false);
}

/* For the report: does a connection or a listener that has all of ours get a value of the
 * program's own? Once for each: from then on it has not. */
static void note_change(struct receiver *receiver, int fd, uint32_t field, int value)
{
	const struct tcpkeep_settings *settings = &receiver->seccomp.plan->settings;

	if (!receiver->seccomp.report || !(settings->fields & field))
		return;
	value = field == TCPKEEP_ON ? !!value : value;
	if (value != socket_option_value(settings, field) && !is_fresh(fd) &&
	    give_holds(fd, settings, 0))
		receiver_count(receiver, changed);
}

/* True when the call goes on, false when it is told success and not carried out. */
static bool program_sets(struct receiver *receiver, int fd, const struct seccomp_notif *notif)
{
	uint32_t field = field_of((int)notif->data.args[1], (int)notif->data.args[2]);
	const struct plan *plan = receiver->seccomp.plan;
	int value;

	/* The value may lie in memory that takes its time (a file of FUSE). */
	turn_pass(&receiver->turn);
	if (!read_value(notif, field, &value))
		return true;
	if (!plan->enforce) {
		note_change(receiver, fd, field, value);
		if (field == TCPKEEP_ON)
			remember(receiver, fd, value);
		return true;
	}
	/* Before connect() and listen() a value does no harm: ours are set over it. */
	if (!(plan->settings.fields & field) || is_fresh(fd))
		return true;
	/* It may have come from outside of the run. */
	if (receiver_give(receiver, fd, false) == GIVE_REFUSED)
		return true;
	receiver_count(receiver, withheld);
	return false;
}

/* ------------------------------------------------------------------------------ one call */

/* What the call is told, or GOES_ON. */
static int judge(struct receiver *receiver, const struct seccomp_notif *notif)
{
	_cleanup_close_ int fd = -1;

	if (notif->data.nr == SYS_socket)
		return receiver_prepare(receiver, notif);
	if (notif->data.nr == SYS_io_uring_setup) {
		if (receiver->seccomp.report)
			report_missed(receiver->seccomp.report, REPORT_MISSED_URING);
		return GOES_ON;
	}
	fd = target_fd(&receiver->targets, (pid_t)notif->pid, (int)notif->data.args[0]);
	if (fd == -EPERM)
		receiver_meet_unseen(receiver, notif);
	else if (fd < 0)
		receiver_miss(receiver, fd);
	if (fd < 0 || !may_be_tcp(receiver, fd) || !receiver_is_valid(receiver, notif))
		return GOES_ON;
	switch (notif->data.nr) {
	case SYS_setsockopt:
		return program_sets(receiver, fd, notif) ? GOES_ON : WITHHELD;
	case SYS_connect:
	case SYS_listen:
		meet(receiver, fd, notif->data.nr == SYS_listen);
		return GOES_ON;
	default:
		/* TCP Fast Open; on a connection the flag means nothing, and another thread may
		 * hold it locked while it sends from memory that takes its time. */
		turn_pass(&receiver->turn);
		if (is_fresh(fd))
			meet(receiver, fd, false);
		return GOES_ON;
	}
}

/* ----------------------------------------------------------------------------- the receivers */

static void *run(void *userdata)
{
	struct receiver *receiver = userdata;
	int listener = receiver->seccomp.listener;
	const struct seccomp_notif *notif = &receiver->slot->notif;

	for (;;) {
		int result;

		turn_wait(&receiver->turn);
		if (!receive(listener, receiver->slot))
			return NULL; /* and leads: the others have nothing to wait for */
		turn_taken(&receiver->turn, notif->pid);
		result = judge(receiver, notif);
		if (result == GOES_ON)
			answer(listener, notif->id, SECCOMP_USER_NOTIF_FLAG_CONTINUE, 0);
		else
			answer(listener, notif->id, 0, result);
	}
}

/* --------------------------------------------------------------------------------- the start */

/* One for each processor; fewer where descriptors are short. */
static unsigned choose_number(unsigned processors, rlim_t fds)
{
	unsigned n = MIN(MAX(processors, 2U), (unsigned)SECCOMP_RECEIVERS_MAX);
	if (fds < RECEIVER_FDS * 4 * n)
		n = MAX((unsigned)(fds / (RECEIVER_FDS * 4)), 1U);
	return n;
}

/* For one call at a time: a process and its socket. */
static int check_room(int listener)
{
	_cleanup_close_ int pidfd = pidfd_of(getpid(), 0), got = -1;

	/* That it may not be looked into is another matter. */
	got = pidfd < 0 ? pidfd : pidfd_duplicate(pidfd, listener);
	return got == -EMFILE || got == -ENFILE ? got : 0;
}

int seccomp_serve(const struct seccomp *seccomp)
{
	static struct receiver receivers[SECCOMP_RECEIVERS_MAX];
	struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};
	unsigned n, started = 0;
	pthread_attr_t attr;
	pthread_t thread;
	int r = 0;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	r = check_room(seccomp->listener);
	if (r < 0)
		return r;
	n = choose_number(turns_init(seccomp->listener), limit.rlim_cur);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (unsigned i = 0; i < n; i++) {
		receivers[i] = (struct receiver){
			.seccomp = *seccomp,
			.slot = &seccomp->shared->slots[i],
			.turn.place = i,
		};
		targets_init(&receivers[i].targets,
			     (unsigned)MIN(limit.rlim_cur / (2 * n), (rlim_t)TARGET_SLOTS));
		r = pthread_create(&thread, &attr, run, &receivers[i]);
		if (r == 0)
			started++;
	}
	pthread_attr_destroy(&attr);
	return started ? 0 : -r;
}
