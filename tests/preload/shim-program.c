/* SPDX-License-Identifier: MIT */
/*
 * A program that knows nothing of tcpkeep. shim-program SCENARIO [ARGUMENT...] makes sockets,
 * prints a line "NAME DESCRIPTOR" for each, then "ready", and waits for the end of its standard
 * input, so that the test can look at the sockets from outside. What only the program itself can
 * see, it checks, and says on stderr.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim-program.h"

/* A program may call its things as it likes: libdontdie exported these names. */
int debug = 4711;
int tcp_keepalive_time = 4712;
int use_keepalive = 4713;

static void connect_as(int family, int type, int protocol)
{
	struct address to;
	int listener = new_listener(family, protocol, &to);
	int client = KEPT(socket(family, type, protocol));
	int r;

	errno = ERRNO_BEFORE;
	r = connect(client, (struct sockaddr *)&to.storage, to.len);
	CHECK(type & SOCK_NONBLOCK ? r == 0 || errno == EINPROGRESS : r == 0);
	show("client", client);
	show("listener", listener);
	show("accepted", KEPT(accept4(listener, NULL, NULL, SOCK_CLOEXEC)));
	show("accepted-too", listener); /* the same must hold after accept() */
}

static void do_connect4(char **args)
{
	(void)args;
	connect_as(AF_INET, SOCK_STREAM, 0);
}

static void do_connect6(char **args)
{
	(void)args;
	connect_as(AF_INET6, SOCK_STREAM, IPPROTO_TCP);
}

static void do_types(char **args)
{
	(void)args;
	connect_as(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void do_mptcp(char **args)
{
	(void)args;
	connect_as(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
}

static void do_accept(char **args)
{
	struct address to, peer = {.len = sizeof(peer.storage)};
	int listener = new_listener(AF_INET, 0, &to);
	int client = KEPT(socket(AF_INET, SOCK_STREAM, 0));

	(void)args;
	join(client, &to);
	show("accepted", KEPT(accept(listener, (struct sockaddr *)&peer.storage, &peer.len)));
	CHECK(peer.len == sizeof(struct sockaddr_in));
	set(listener, SOL_SOCKET, SO_RCVBUF, 65536);
	CHECK(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
	CHECK(accept(listener, NULL, NULL) < 0 && errno == EAGAIN);
}

static void do_fastopen(char **args)
{
	bool by_message = strcmp(args[0], "sendmsg") == 0;
	struct iovec data = {(char[]){'x'}, 1};
	struct address to;
	int listener = new_listener(AF_INET, 0, &to);
	int client = KEPT(socket(AF_INET, SOCK_STREAM, 0));
	struct msghdr message = {
		.msg_name = &to.storage, .msg_namelen = to.len, .msg_iov = &data, .msg_iovlen = 1};
	char received;

	if (by_message)
		KEPT(sendmsg(client, &message, MSG_FASTOPEN));
	else
		KEPT(sendto(client, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&to.storage, to.len));
	show("client", client);
	CHECK(recv(KEPT(accept(listener, NULL, NULL)), &received, 1, 0) == 1 && received == 'x');
	/* What is no memory is the kernel's to refuse. */
	CHECK(sendmsg(KEPT(socket(AF_INET, SOCK_STREAM, 0)), NULL, MSG_FASTOPEN) < 0 &&
	      errno == EFAULT);
}

/* ------------------------------------------------------------- what the program itself wants */

static void do_own(char **args)
{
	struct address to;
	int listener, client = KEPT(socket(AF_INET, SOCK_STREAM, 0));

	listener = new_listener(AF_INET, 0, &to);
	if (strcmp(args[0], "before") == 0) {
		set(client, IPPROTO_TCP, TCP_KEEPIDLE, 99);
		set(client, IPPROTO_TCP, TCP_KEEPCNT, 3);
		join(client, &to);
	} else if (strcmp(args[0], "after") == 0) {
		join(client, &to);
		set(client, IPPROTO_TCP, TCP_KEEPINTVL, 98);
	} else if (strcmp(args[0], "off") == 0) {
		set(client, SOL_SOCKET, SO_KEEPALIVE, 0);
		join(client, &to);
	} else if (strcmp(args[0], "off-on") == 0) {
		set(client, SOL_SOCKET, SO_KEEPALIVE, 0);
		set(client, IPPROTO_TCP, TCP_KEEPCNT, 3);
		join(client, &to);
		set(client, SOL_SOCKET, SO_KEEPALIVE, 1);
	} else if (strcmp(args[0], "on-off") == 0) {
		join(client, &to);
		set(client, SOL_SOCKET, SO_KEEPALIVE, 0);
	} else if (strcmp(args[0], "again") == 0) {
		/* A second connect() on the same socket: what was set in between stands. */
		struct sockaddr none = {.sa_family = AF_UNSPEC};

		join(client, &to);
		set(client, IPPROTO_TCP, TCP_KEEPIDLE, 97);
		KEPT(connect(client, &none, sizeof(none)));
		join(client, &to);
	}
	show("client", client);
	show("listener", listener);
}

static void do_listener_off(char **args)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	socklen_t len = sizeof(any);
	int listener = KEPT(socket(AF_INET, SOCK_STREAM, 0));
	int client = KEPT(socket(AF_INET, SOCK_STREAM, 0));

	(void)args;
	set(listener, SOL_SOCKET, SO_KEEPALIVE, 0);
	KEPT(listen(listener, 8));
	CHECK(getsockname(listener, (struct sockaddr *)&any, &len) == 0);
	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	KEPT(connect(client, (struct sockaddr *)&any, len));
	show("accepted", KEPT(accept(listener, NULL, NULL)));
	show("listener", listener);
}

/* ------------------------------------------------------------------------ what is not TCP */

static void do_others(char **args)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(9),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0tcpkeep-shim-program"};
	int udp = KEPT(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	int udp6 = KEPT(socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP));
	int raw;
	int local = KEPT(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	int local_client = KEPT(socket(AF_UNIX, SOCK_STREAM, 0));

	(void)args;
	show("udp", udp);
	show("udp6", udp6);
	KEPT(connect(udp, (struct sockaddr *)&to, sizeof(to)));
	errno = ERRNO_BEFORE;
	raw = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
	if (raw >= 0) {
		CHECK(errno == ERRNO_BEFORE);
		show("raw", raw);
		KEPT(connect(raw, (struct sockaddr *)&to, sizeof(to)));
		set(raw, SOL_SOCKET, SO_RCVBUF, 65536);
	} else {
		CHECK(errno == EPERM);
	}
	CHECK(bind(local, (struct sockaddr *)&name, sizeof(name)) == 0);
	KEPT(listen(local, 4));
	KEPT(connect(local_client, (struct sockaddr *)&name, sizeof(name)));
	show("unix", local);
	show("unix-client", local_client);
	show("unix-accepted", KEPT(accept(local, NULL, NULL)));
	/* By a number of which nothing is known. */
	local_client = KEPT(socket(AF_UNIX, SOCK_STREAM, 0));
	KEPT(connect(local_client, (struct sockaddr *)&name, sizeof(name)));
	local = dup(local);
	KEPT(accept(local, NULL, NULL));
	/* Failures are the kernel's own, too. */
	CHECK(socket(AF_INET, 77, 0) == -1 && errno == EINVAL);
	CHECK(connect(-1, (struct sockaddr *)&to, sizeof(to)) == -1 && errno == EBADF);
	CHECK(listen(STDIN_FILENO, 1) == -1 && errno == ENOTSOCK);
	CHECK(accept(-1, NULL, NULL) == -1 && errno == EBADF);
	CHECK(close(-1) == -1 && errno == EBADF);
}

/* Nobody writes to what is ours. */
static void do_symbols(char **args)
{
	(void)args;
	KEPT(socket(AF_INET, SOCK_STREAM, 0));
	CHECK(debug == 4711 && tcp_keepalive_time == 4712 && use_keepalive == 4713);
}

/* A number that was one thing and is another now, without our close(): the C library closes by
 * itself. */
static void do_reused(char **args)
{
	struct address to;
	int listener = new_listener(AF_INET, 0, &to);
	int local = KEPT(socket(AF_UNIX, SOCK_STREAM, 0));
	int tcp = KEPT(socket(AF_INET, SOCK_STREAM, 0));
	int copy;

	(void)args;
	/* fclose() goes past close(); dup() and F_DUPFD hand the number out again. */
	CHECK(fclose(fdopen(local, "r+")) == 0);
	copy = dup(tcp);
	CHECK(copy == local);
	CHECK(dup2(tcp, copy) == copy);
	join(copy, &to);
	show("client", copy);
	show("listener", listener);
	/* Not TCP by the table, and no dup2() says better. */
	local = KEPT(socket(AF_UNIX, SOCK_STREAM, 0));
	tcp = KEPT(socket(AF_INET, SOCK_STREAM, 0));
	CHECK(fclose(fdopen(local, "r+")) == 0);
	CHECK(dup(tcp) == local);
	join(local, &to);
	show("client-too", local);
	/* The other way round: TCP by the table, UDP in truth. */
	tcp = KEPT(socket(AF_INET, SOCK_STREAM, 0));
	copy = KEPT(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK(fclose(fdopen(tcp, "r+")) == 0);
	CHECK(dup(copy) == tcp);
	KEPT(connect(tcp, (struct sockaddr *)&to.storage, to.len));
	show("udp", tcp);
}

/* A choice on one number holds when the socket connects by another. */
static void do_copied(char **args)
{
	struct address to;
	int listener = new_listener(AF_INET, 0, &to);
	int off = KEPT(socket(AF_INET, SOCK_STREAM, 0));
	int equal = KEPT(socket(AF_INET, SOCK_STREAM, 0));
	int fresh = KEPT(socket(AF_INET, SOCK_STREAM, 0));

	(void)args;
	set(off, SOL_SOCKET, SO_KEEPALIVE, 0);
	set(equal, IPPROTO_TCP, TCP_KEEPIDLE, option(equal, IPPROTO_TCP, TCP_KEEPIDLE));
	KEPT(dup2(off, 50));
	KEPT(dup3(equal, 51, O_CLOEXEC));
	KEPT(dup2(fresh, 52));
	CHECK(close(off) == 0 && close(equal) == 0 && close(fresh) == 0);
	join(50, &to);
	join(51, &to);
	join(52, &to);
	show("off", 50);
	show("equal", 51);
	show("fresh", 52);
	show("listener", listener);
}

/* A child that is executed gets our sockets, and not the right to overrule what we chose. */
static void do_child(char **args)
{
	struct address to;
	int listener = new_listener(AF_INET, 0, &to);
	int off = KEPT(socket(AF_INET, SOCK_STREAM, 0));
	int equal = KEPT(socket(AF_INET, SOCK_STREAM, 0));

	(void)args;
	set(off, SOL_SOCKET, SO_KEEPALIVE, 0);
	set(equal, IPPROTO_TCP, TCP_KEEPIDLE, option(equal, IPPROTO_TCP, TCP_KEEPIDLE));
	join(off, &to);
	join(equal, &to);
	CHECK(system("true") == 0);
	show("off", off);
	show("equal", equal);
	show("listener", listener);
}

/* Numbers beyond the shim's table, of which it remembers nothing. */
static void do_high(char **args)
{
	struct address to;
	int listener = new_listener(AF_INET, 0, &to);
	int client = KEPT(socket(AF_INET, SOCK_STREAM, 0));
	int high, high_listener;

	(void)args;
	high = fcntl(client, F_DUPFD_CLOEXEC, 600);
	high_listener = fcntl(listener, F_DUPFD_CLOEXEC, 700);
	CHECK(high >= 600 && high_listener >= 700);
	join(high, &to);
	show("client", high);
	show("accepted", KEPT(accept(high_listener, NULL, NULL)));
	CHECK(close(high_listener) == 0);
	CHECK(dup2(listener, 800) == 800 && dup3(listener, 801, O_CLOEXEC) == 801);
}

/* ------------------------------------------------------------------------------- inherited */

/* LISTENER CONNECTED: numbers that the parent left open; two connections wait in the listener's
 * queue. */
static void do_inherited(char **args)
{
	struct address to = {.len = sizeof(to.storage)};
	int listener = atoi(args[0]), connected = atoi(args[1]);
	int client;

	show("connected", connected);
	show("first", KEPT(accept(listener, NULL, NULL)));
	show("second", KEPT(accept4(listener, NULL, NULL, SOCK_CLOEXEC)));
	CHECK(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
	CHECK(accept(listener, NULL, NULL) < 0 && errno == EAGAIN);
	CHECK(getsockname(listener, (struct sockaddr *)&to.storage, &to.len) == 0);
	client = KEPT(socket(AF_INET, SOCK_STREAM, 0));
	join(client, &to);
	show("third", KEPT(accept(listener, NULL, NULL)));
	show("listener", listener);
}

/* ----------------------------------------------------------------------- children, threads */

static int expected[3]; /* time, intvl, probes */

static bool holds(int fd, int time_s)
{
	return option(fd, SOL_SOCKET, SO_KEEPALIVE) == 1 &&
	       option(fd, IPPROTO_TCP, TCP_KEEPIDLE) == time_s &&
	       option(fd, IPPROTO_TCP, TCP_KEEPINTVL) == expected[1] &&
	       option(fd, IPPROTO_TCP, TCP_KEEPCNT) == expected[2];
}

/* Nobody listens on that port: refused at once, no TIME_WAIT, and the options are there all the
 * same. */
static int connect_nowhere(int fd)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(1),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static void check_one(unsigned turn)
{
	int fd = KEPT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	if (turn % 7 == 0)
		set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 99);
	if (turn % 11 == 0)
		set(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
	CHECK(connect_nowhere(fd) == -1 && errno == ECONNREFUSED);
	if (turn % 11 == 0)
		CHECK(option(fd, SOL_SOCKET, SO_KEEPALIVE) == 0);
	else
		CHECK(holds(fd, turn % 7 == 0 ? 99 : expected[0]));
	CHECK(close(fd) == 0);
	if (turn % 3 == 0) {
		/* The same numbers are other things in between. */
		fd = KEPT(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
		CHECK(connect_nowhere(fd) == 0 && option(fd, SOL_SOCKET, SO_KEEPALIVE) == 0);
		CHECK(close(fd) == 0);
	}
}

static void *connect_and_close(void *turns)
{
	for (unsigned i = 1; i <= *(unsigned *)turns; i++)
		check_one(i);
	return NULL;
}

#define THREADS 8

static void start_threads(pthread_t threads[THREADS], unsigned *turns)
{
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, connect_and_close, turns) == 0);
}

static void join_threads(pthread_t threads[THREADS])
{
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void read_expected(char **args)
{
	for (int i = 0; i < 3; i++)
		expected[i] = atoi(args[i]);
}

static void do_threads(char **args)
{
	unsigned turns = (unsigned)atoi(args[3]) / THREADS;
	pthread_t threads[THREADS];

	read_expected(args);
	start_threads(threads, &turns);
	join_threads(threads);
}

static void expect_success(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void do_fork(char **args)
{
	unsigned turns = (unsigned)atoi(args[3]);
	pthread_t threads[THREADS];

	read_expected(args);
	start_threads(threads, &turns);
	for (int i = 0; i < 50; i++) {
		pid_t child = fork();

		if (child == 0) {
			check_one(1);
			_exit(0);
		}
		expect_success(child);
	}
	join_threads(threads);
}

/* What children that were executed do. */
static void do_check(char **args)
{
	read_expected(args);
	check_one(1);
}

static char *self;
extern char **environ;

static void do_vfork(char **args)
{
	char *argv[] = {self, (char *)"check", args[0], args[1], args[2], NULL};
	int fresh = KEPT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	int chosen = KEPT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	int off = KEPT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	struct address to;
	int listener = new_listener(AF_INET, 0, &to);
	pid_t child;

	read_expected(args);
	set(chosen, IPPROTO_TCP, TCP_KEEPIDLE, 99);
	set(off, SOL_SOCKET, SO_KEEPALIVE, 0);
	/* The child shares our memory, not our descriptors: what it closes stays open here. */
	child = vfork();
	if (child == 0) {
		for (int fd = 3; fd < 20; fd++)
			close(fd);
		dup2(STDERR_FILENO, fresh);
		dup3(STDERR_FILENO, chosen, O_CLOEXEC);
		execv(self, argv);
		_exit(1);
	}
	expect_success(child);
	join(fresh, &to);
	join(chosen, &to);
	join(off, &to);
	show("fresh", fresh);
	show("chosen", chosen);
	show("off", off);
	show("accepted", KEPT(accept(listener, NULL, NULL)));
	show("accepted-too", KEPT(accept(listener, NULL, NULL)));
}

static bool stop_choosing;

static void *choose_off(void *unused)
{
	(void)unused;
	while (!__atomic_load_n(&stop_choosing, __ATOMIC_RELAXED)) {
		int fd = KEPT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

		set(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
		CHECK(connect_nowhere(fd) == -1 && errno == ECONNREFUSED);
		CHECK(option(fd, SOL_SOCKET, SO_KEEPALIVE) == 0);
		CHECK(close(fd) == 0);
	}
	return NULL;
}

/* Children on our memory close all numbers while threads make their choices. */
static void do_vfork_race(char **args)
{
	pthread_t threads[4];

	(void)args;
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, choose_off, NULL) == 0);
	for (int i = 0; i < 200; i++) {
		pid_t child = vfork();

		if (child == 0) {
			for (int n = 0; n < 2000; n++)
				for (int fd = 3; fd < 12; fd++)
					close(fd);
			_exit(0);
		}
		expect_success(child);
	}
	__atomic_store_n(&stop_choosing, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void do_spawn(char **args)
{
	char *argv[] = {self, (char *)"check", args[0], args[1], args[2], NULL};
	pid_t child;

	CHECK(posix_spawn(&child, self, NULL, NULL, argv, environ) == 0);
	expect_success(child);
}

/* --------------------------------------------------------------------------------- enforce */

/* A call that has to fail as the kernel fails it. */
static void refuse(int fd, int level, int name, const void *value, socklen_t len, int error)
{
	int r;

	errno = 0;
	r = setsockopt(fd, level, name, value, len);
	if (r != -1 || errno != error) {
		fprintf(stderr, "option %d/%d: result %d errno %d, expected errno %d\n", level,
			name, r, errno, error);
		exit(EXIT_FAILURE);
	}
}

static void refuse_int(int fd, int level, int name, int value, int error)
{
	refuse(fd, level, name, &value, sizeof(value), error);
}

static void refuse_bad_calls(int fd)
{
	void *unmapped = (void *)(uintptr_t)8;
	int one = 1;

	refuse_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 0, EINVAL);
	refuse_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 32768, EINVAL);
	refuse_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, -1, EINVAL);
	refuse_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 128, EINVAL);
	refuse(fd, IPPROTO_TCP, TCP_KEEPCNT, &one, 3, EINVAL);
	refuse(fd, IPPROTO_TCP, TCP_KEEPCNT, &one, (socklen_t)-1, EINVAL);
	refuse(fd, SOL_SOCKET, SO_KEEPALIVE, &one, 0, EINVAL);
	refuse(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof(int), EFAULT);
	refuse(fd, IPPROTO_TCP, TCP_KEEPIDLE, unmapped, sizeof(int), EFAULT);
	refuse_int(-1, SOL_SOCKET, SO_KEEPALIVE, 0, EBADF);
	refuse_int(STDIN_FILENO, SOL_SOCKET, SO_KEEPALIVE, 0, ENOTSOCK);
	refuse_int(STDIN_FILENO, IPPROTO_TCP, TCP_KEEPIDLE, 5, ENOTSOCK);
}

static void undo(int fd)
{
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 7000);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 700);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, 70);
}

static void do_enforce(char **args)
{
	int protocol = strcmp(args[0], "mptcp") == 0 ? IPPROTO_MPTCP : 0;
	bool faults = strcmp(args[1], "faults") == 0;
	struct address to;
	int listener = new_listener(AF_INET, protocol, &to);
	int client = KEPT(socket(AF_INET, SOCK_STREAM, protocol));
	int udp = KEPT(socket(AF_INET, SOCK_DGRAM, 0));
	int accepted;

	undo(client);
	undo(listener);
	join(client, &to);
	accepted = KEPT(accept(listener, NULL, NULL));
	undo(client);
	undo(accepted);
	undo(listener);
	if (faults) {
		refuse_bad_calls(client);
		refuse_int(udp, IPPROTO_TCP, TCP_KEEPIDLE, 5, ENOPROTOOPT);
	}
	/* Not ours: the user timeout is not among the settings, UDP is not TCP. */
	if (!protocol) {
		set(client, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
		CHECK(option(client, IPPROTO_TCP, TCP_USER_TIMEOUT) == 5000);
		set(client, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
	}
	set(udp, SOL_SOCKET, SO_KEEPALIVE, 1);
	CHECK(option(udp, SOL_SOCKET, SO_KEEPALIVE) == 1);
	show("client", client);
	show("accepted", accepted);
	show("listener", listener);
}

#ifdef SHIM_EARLY
/* The library of another maker whose constructor makes a socket before anybody is ready. */
extern int shim_early_listener;
#else
static const int shim_early_listener = -1;
#endif

static void do_early(char **args)
{
	(void)args;
	CHECK(shim_early_listener >= 0);
	show("listener", shim_early_listener);
}

/* DD_EVAL_ENVIRONMENT_ONCE=0: each socket gets what the variables say when it is made. */
static void do_reread(char **args)
{
	(void)args;
	show("first", KEPT(socket(AF_INET, SOCK_STREAM, 0)));
	CHECK(setenv("DD_TCP_KEEPALIVE_TIME", "33", 1) == 0);
	show("second", KEPT(socket(AF_INET, SOCK_STREAM, 0)));
	CHECK(setenv("DD_USE_KEEPALIVE", "0", 1) == 0);
	show("third", KEPT(socket(AF_INET, SOCK_STREAM, 0)));
}

/* Tells each signal that it gets, with the value that came along; SIGTERM ends it. */
static void do_signals(char **args)
{
	siginfo_t info;
	sigset_t all;

	(void)args;
	sigfillset(&all);
	CHECK(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
	printf("ready\n");
	do {
		CHECK(fflush(stdout) == 0);
		CHECK(sigwaitinfo(&all, &info) > 0);
		printf("%d %d\n", info.si_signo,
		       info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
	} while (info.si_signo != SIGTERM);
	exit(9);
}

/* The same in a process group of its own, which a terminal does not reach. */
static void do_signals_apart(char **args)
{
	setpgid(0, 0); /* a session leader has it already */
	do_signals(args);
}

static const struct {
	const char *name;
	int n_args;
	void (*run)(char **args);
} scenarios[] = {
	{"connect4", 0, do_connect4},
	{"connect6", 0, do_connect6},
	{"types", 0, do_types},
	{"mptcp", 0, do_mptcp},
	{"accept", 0, do_accept},
	{"fastopen", 1, do_fastopen},
	{"own", 1, do_own},
	{"listener-off", 0, do_listener_off},
	{"others", 0, do_others},
	{"symbols", 0, do_symbols},
	{"signals", 0, do_signals},
	{"reused", 0, do_reused},
	{"high", 0, do_high},
	{"inherited", 2, do_inherited},
	{"threads", 4, do_threads},
	{"fork", 4, do_fork},
	{"vfork", 3, do_vfork},
	{"spawn", 3, do_spawn},
	{"check", 3, do_check},
	{"enforce", 2, do_enforce},
	{"early", 0, do_early},
	{"reread", 0, do_reread},
	{"copied", 0, do_copied},
	{"child", 0, do_child},
	{"vfork-race", 0, do_vfork_race},
	{"signals-apart", 0, do_signals_apart},
};

int main(int argc, char **argv)
{
	char end;

	self = argv[0];
	for (size_t i = 0; argc > 1 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (strcmp(argv[1], scenarios[i].name) != 0)
			continue;
		CHECK(argc == 2 + scenarios[i].n_args);
		scenarios[i].run(argv + 2);
		if (strcmp(argv[1], "check") == 0)
			return EXIT_SUCCESS;
		printf("ready\n");
		CHECK(fflush(stdout) == 0);
		while (read(STDIN_FILENO, &end, 1) > 0)
			;
		return EXIT_SUCCESS;
	}
	fprintf(stderr, "shim-program: no such scenario\n");
	return EXIT_FAILURE;
}
