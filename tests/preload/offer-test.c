/* SPDX-License-Identifier: MIT */
/*
 * The socket at which programs ask for the report: who does not know its number gets nothing and
 * keeps nobody out; whoever knows it is served; tcpkeep waits for none of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "inject/report-offer.h"
#include "inject/report.h"
#include "lab/lab.h"
#include "unit/unit.h"

#define DEADLINE_S 20
#define HANGS_S    120 /* what would hang fails */
#define FLOOD      1000

static struct report *report;
static struct plan_report where;
static int offer;

/* In a network namespace of its own: names of such sockets are its, and so is their queue. */
static int open_offer(void **state)
{
	(void)state;
	alarm(HANGS_S);
	if (lab_enter(NULL) < 0 || unshare(CLONE_NEWNET) < 0 || report_create(&report, &where) < 0)
		return -1;
	offer = report_offer(&where);
	return offer < 0 ? -1 : 0;
}

static int close_offer(void **state)
{
	(void)state;
	close(offer);
	close(where.fd);
	return munmap(report, sizeof(*report));
}

/* A process that is gone when the test is. */
static pid_t fork_bound(void)
{
	pid_t parent = getpid(), pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(1);
	return 0;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ------------------------------------------------------------------------------------ askers */

/* Sends it with so many copies of a descriptor, waiting for nobody. 0 or -errno. */
static int send_with(const struct plan_report *to, const void *bytes, size_t size, int fd, size_t n)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct sockaddr_un address;
	struct iovec iov = {(void *)bytes, size};
	struct msghdr message = {
		.msg_name = &address,
		.msg_namelen = report_address(to, &address),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = n ? room : NULL,
		.msg_controllen = n ? CMSG_SPACE(n * sizeof(int)) : 0,
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int asking = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (header) {
		const int fds[2] = {fd, fd};

		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(header), fds, n * sizeof(int));
	}
	r = sendmsg(asking, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
	close(asking);
	return r;
}

/* Asks with one end of a pair and returns the other, or -errno. */
static int ask(const struct plan_report *at, const void *bytes, size_t size, size_t n)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	r = send_with(at, bytes, size, pair[1], n);
	close(pair[1]);
	if (r == 0)
		return pair[0];
	close(pair[0]);
	return r;
}

/* What was answered: the descriptor of the report; -1: nothing, and the other end is closed. */
static int answer(int ours)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))];
	struct pollfd fd = {.fd = ours, .events = POLLIN};
	char bytes[16];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = room,
				 .msg_controllen = sizeof(room)};
	struct cmsghdr *header;
	int given;

	if (poll(&fd, 1, DEADLINE_S * 1000) != 1 || recvmsg(ours, &message, MSG_CMSG_CLOEXEC) < 0)
		return -2;
	close(ours);
	header = CMSG_FIRSTHDR(&message);
	if (!header)
		return -1;
	memcpy(&given, CMSG_DATA(header), sizeof(given));
	return given;
}

/* Is it the one of that number? Closes it. */
static bool is_report(int fd, uint64_t nonce)
{
	struct report *map = mmap(NULL, sizeof(*map), PROT_READ, MAP_SHARED, fd, 0);
	bool good = map != MAP_FAILED && map->magic == REPORT_MAGIC && map->nonce == nonce;

	if (map != MAP_FAILED)
		munmap(map, sizeof(*map));
	close(fd);
	return good;
}

static bool is_asked(void)
{
	struct pollfd fd = {.fd = offer, .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static void assert_served(void)
{
	int ours = ask(&where, &where.nonce, sizeof(where.nonce), 1);

	assert_true(ours >= 0);
	assert_true(is_asked());
	report_hand_out(offer, &where);
	assert_true(is_report(answer(ours), where.nonce));
	assert_false(is_asked());
}

static void assert_kept_out(const void *bytes, size_t size)
{
	int ours = ask(&where, bytes, size, 1);

	/* It is not told that it was thrown away. */
	assert_true(ours >= 0);
	assert_false(is_asked());
	assert_int_equal(answer(ours), -1);
}

/* ------------------------------------------------------------------------------------- tests */

static void who_knows_the_number_is_served(void **state)
{
	unsigned char longer[sizeof(where.nonce) + 1] = {0};
	int ours;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_served();
	memcpy(longer, &where.nonce, sizeof(where.nonce));
	ours = ask(&where, longer, sizeof(longer), 1);
	report_hand_out(offer, &where);
	assert_true(is_report(answer(ours), where.nonce));
	ours = ask(&where, &where.nonce, sizeof(where.nonce), 2);
	report_hand_out(offer, &where);
	assert_true(is_report(answer(ours), where.nonce));
}

static void a_stranger_gets_nothing(void **state)
{
	unsigned char right[sizeof(where.nonce)], wrong[sizeof(right)];

	(void)state;
	memcpy(right, &where.nonce, sizeof(right));
	for (size_t bit = 0; bit < 8 * sizeof(right); bit++) {
		memcpy(wrong, right, sizeof(wrong));
		wrong[bit / 8] = (unsigned char)(wrong[bit / 8] ^ 1 << bit % 8);
		assert_kept_out(wrong, sizeof(wrong));
	}
	for (size_t size = 0; size < sizeof(right); size++)
		assert_kept_out(right, size);
	assert_served();
}

/* More than any queue holds, and what is right comes in all the same. */
static void a_flood_keeps_nobody_out(void **state)
{
	const uint64_t wrong = ~where.nonce;
	pid_t stranger;

	(void)state;
	for (int i = 0; i < FLOOD; i++)
		assert_int_equal(send_with(&where, &wrong, sizeof(wrong), offer, i % 2), 0);
	assert_false(is_asked());
	assert_served();
	stranger = fork_bound();
	while (stranger == 0)
		send_with(&where, &wrong, sizeof(wrong), STDERR_FILENO, 1);
	for (int i = 0; i < FLOOD; i++)
		assert_served();
	end(stranger);
}

/* Also those who know the number may be gone, or want nothing that could be given. */
static void nobody_else_is_in_the_way(void **state)
{
	const uint64_t nonce = where.nonce;
	pid_t gone = fork_bound();
	int ours, ends[2];

	(void)state;
	if (gone == 0)
		_exit(ask(&where, &nonce, sizeof(nonce), 1) < 0);
	assert_int_equal(waitpid(gone, NULL, 0), gone);
	assert_int_equal(send_with(&where, &nonce, sizeof(nonce), -1, 0), 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(send_with(&where, &nonce, sizeof(nonce), ends[1], 1), 0);
	assert_int_equal(send_with(&where, &nonce, sizeof(nonce), where.fd, 1), 0);
	assert_int_equal(send_with(&where, &nonce, sizeof(nonce), offer, 1), 0);
	ours = ask(&where, &nonce, sizeof(nonce), 1);
	report_hand_out(offer, &where);
	assert_true(is_report(answer(ours), nonce));
	assert_false(is_asked());
	close(ends[0]);
	close(ends[1]);
}

/* Whose queue is full is not waited for, though it lets its socket wait. */
static void who_reads_nothing_is_not_waited_for(void **state)
{
	const uint64_t nonce = where.nonce;
	char filling[1024] = "";
	pid_t toggler;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	while (send(pair[1], filling, sizeof(filling), MSG_DONTWAIT) > 0)
		;
	toggler = fork_bound();
	while (toggler == 0)
		fcntl(pair[1], F_SETFL, 0);
	for (int i = 0; i < 20 * FLOOD; i++) {
		assert_int_equal(send_with(&where, &nonce, sizeof(nonce), pair[1], 1), 0);
		report_hand_out(offer, &where);
	}
	end(toggler);
	close(pair[0]);
	close(pair[1]);
	assert_served();
}

/* One that asks of a tcpkeep that is gone, or stopped, goes on. */
static void who_is_not_answered_goes_on(void **state)
{
	struct plan_report other = where;
	int silent;

	(void)state;
	/* No such process: it cannot be opened, and nobody is at its address. */
	other.pid = INT32_MAX;
	assert_null(report_attach(&other));
	/* Somebody is, who never answers. */
	silent = report_offer(&other);
	assert_true(silent >= 0);
	assert_null(report_attach(&other));
	close(silent);
}

/* From now on this process cannot bound how long its sockets wait: a sandbox. */
static void forbid_setsockopt(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {ARRAY_SIZE(code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
		_exit(2);
}

/* Who could not end waiting does not begin. */
static void who_cannot_bound_its_wait_does_not_ask(void **state)
{
	struct plan_report other = where;
	pid_t sandboxed;
	int silent, status;

	(void)state;
	other.pid = INT32_MAX;
	silent = report_offer(&other);
	assert_true(silent >= 0);
	sandboxed = fork_bound();
	if (sandboxed == 0) {
		forbid_setsockopt();
		_exit(report_attach(&other) != NULL);
	}
	assert_int_equal(waitpid(sandboxed, &status, 0), sandboxed);
	assert_int_equal(status, 0);
	close(silent);
}

/* ----------------------------------------------------------------- the program and the stranger */

#define STATUS 7

/* Stays connected to tcpkeep's socket, and sends it what it can, until it is killed. */
_Noreturn static void stay(const struct plan_report *at)
{
	const uint64_t wrong = ~at->nonce;
	struct sockaddr_un address;
	socklen_t len = report_address(at, &address);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)&address, len) < 0)
		_exit(1);
	while (send(fd, &wrong, sizeof(wrong), MSG_NOSIGNAL) > 0)
		;
	/* It has ended. */
	pause();
	_exit(0);
}

static const char *lookup(const char *name)
{
	return getenv(name);
}

/* What runs under tcpkeep. */
static int be_program(void)
{
	struct plan plan;
	pid_t stranger;

	plan_read(lookup, NULL, &plan);
	stranger = fork();
	if (stranger == 0) {
		setsid();
		alarm(HANGS_S);
		close(STDOUT_FILENO);
		stay(&plan.report);
	}
	if (stranger < 0 || dprintf(STDOUT_FILENO, "%d\n", stranger) < 0)
		return 1;
	for (int i = 0; i < 100; i++) {
		const uint64_t nonce = plan.report.nonce;
		int ours = ask(&plan.report, &nonce, sizeof(nonce), 1);

		if (ours < 0 || !is_report(answer(ours), nonce))
			return 1;
	}
	return STATUS;
}

static void tcpkeep_ends_though_somebody_stays(void **state)
{
	const char *tcpkeep = getenv("TCPKEEP");
	char self[4096] = "";
	pid_t child, stranger = 0;
	int ends[2], status;
	char said[32] = "";

	(void)state;
	assert_non_null(tcpkeep);
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	/* The stranger is ours to wait for when its parent is gone. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	child = fork_bound();
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execl(tcpkeep, tcpkeep, "run", "--method", "preload", "--report", "--json", "--",
		      self, "program", NULL);
		_exit(127);
	}
	close(ends[1]);
	assert_true(read(ends[0], said, sizeof(said) - 1) > 0);
	assert_int_equal(sscanf(said, "%d", &stranger), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), STATUS);
	/* It is there, and has not ended. */
	assert_int_equal(waitpid(stranger, NULL, WNOHANG), 0);
	assert_int_equal(kill(stranger, SIGKILL), 0);
	assert_int_equal(waitpid(stranger, NULL, 0), stranger);
	close(ends[0]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_knows_the_number_is_served),
		cmocka_unit_test(a_stranger_gets_nothing),
		cmocka_unit_test(a_flood_keeps_nobody_out),
		cmocka_unit_test(nobody_else_is_in_the_way),
		cmocka_unit_test(who_reads_nothing_is_not_waited_for),
		cmocka_unit_test(who_is_not_answered_goes_on),
		cmocka_unit_test(who_cannot_bound_its_wait_does_not_ask),
		cmocka_unit_test(tcpkeep_ends_though_somebody_stays),
	};

	if (argc > 1 && strcmp(argv[1], "program") == 0)
		return be_program();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("offer", tests, open_offer, close_offer);
}
