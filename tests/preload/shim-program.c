/* SPDX-License-Identifier: MIT */
/*
 * A program that knows nothing of tcpkeep. shim-program SCENARIO [ARGUMENT...] makes sockets,
 * prints a line "NAME DESCRIPTOR" for each, then "ready", and waits for the end of its standard
 * input, so that the test can look at the sockets from outside. What only the program itself can
 * see, it checks, and says on stderr.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/un.h>
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
	/* What fails replaces nothing. */
	CHECK(dup2(999, 50) < 0 && errno == EBADF);
	CHECK(dup3(50, 50, 0) < 0 && errno == EINVAL);
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
