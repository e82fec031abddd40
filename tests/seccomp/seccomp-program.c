/* SPDX-License-Identifier: MIT */
/*
 * A statically linked program that knows nothing of tcpkeep. Each scenario prints what getsockopt()
 * says of its sockets, one line each: NAME ON TIME INTVL PROBES. Exit 0: all calls went as they go
 * without tcpkeep.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition,  \
				errno);                                                            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

extern char **environ;
static char *self;

/* ------------------------------------------------------------------------------------ sockets */

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

static void set(int fd, int level, int name, int value)
{
	CHECK(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
}

static void show(const char *name, int fd)
{
	printf("%s %d %d %d %d\n", name, option(fd, SOL_SOCKET, SO_KEEPALIVE),
	       option(fd, IPPROTO_TCP, TCP_KEEPIDLE), option(fd, IPPROTO_TCP, TCP_KEEPINTVL),
	       option(fd, IPPROTO_TCP, TCP_KEEPCNT));
	fflush(stdout);
}

struct end {
	int fd;
	struct sockaddr_storage address;
	socklen_t len;
};

static struct end make_listener(int family, int protocol)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct end end = {.len = family == AF_INET ? sizeof(four) : sizeof(six)};

	memcpy(&end.address, family == AF_INET ? (void *)&four : (void *)&six, end.len);
	end.fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, protocol);
	CHECK(end.fd >= 0);
	CHECK(bind(end.fd, (struct sockaddr *)&end.address, end.len) == 0);
	CHECK(listen(end.fd, 100) == 0);
	CHECK(getsockname(end.fd, (struct sockaddr *)&end.address, &end.len) == 0);
	return end;
}

static void join(int fd, const struct end *to)
{
	CHECK(connect(fd, (const struct sockaddr *)&to->address, to->len) == 0);
}

static int make_socket(const struct end *to)
{
	int fd = socket(to->address.ss_family, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	return fd;
}

static void meet(int family, int protocol)
{
	struct end listener = make_listener(family, protocol);
	int fd = socket(family, SOCK_STREAM, protocol), accepted;

	join(fd, &listener);
	accepted = accept(listener.fd, NULL, NULL);
	CHECK(accepted >= 0);
	show("client", fd);
	show("accepted", accepted);
	close(fd);
	close(accepted);
	close(listener.fd);
}

static void do_connect4(void)
{
	meet(AF_INET, 0);
}

static void do_connect6(void)
{
	meet(AF_INET6, 0);
}

static void do_mptcp(void)
{
	meet(AF_INET, IPPROTO_MPTCP);
}

static void do_nonblocking(void)
{
	struct end listener = make_listener(AF_INET, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd ready = {fd, POLLOUT, 0};

	CHECK(connect(fd, (struct sockaddr *)&listener.address, listener.len) == 0 ||
	      errno == EINPROGRESS);
	CHECK(poll(&ready, 1, 10000) == 1 && option(fd, SOL_SOCKET, SO_ERROR) == 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(connect(fd, (struct sockaddr *)&listener.address, listener.len) == 0 ||
	      errno == EISCONN);
	show("client", fd);
}

/* The kernel's own errors, unchanged. */
static void do_errors(void)
{
	struct end listener = make_listener(AF_INET, 0);
	int fd = make_socket(&listener), file = open("/dev/null", O_RDONLY);

	close(listener.fd);
	CHECK(connect(fd, (struct sockaddr *)&listener.address, listener.len) < 0 &&
	      errno == ECONNREFUSED);
	CHECK(connect(-1, NULL, 0) < 0 && errno == EBADF);
	CHECK(connect(999, NULL, 0) < 0 && errno == EBADF);
	CHECK(connect(file, (struct sockaddr *)&listener.address, listener.len) < 0 &&
	      errno == ENOTSOCK);
	CHECK(connect(fd, (struct sockaddr *)8, 16) < 0 && errno == EFAULT);
	CHECK(connect(fd, (struct sockaddr *)&listener.address, 4) < 0 && errno == EINVAL);
	CHECK(listen(file, 1) < 0 && errno == ENOTSOCK);
	CHECK(listen(-7, 1) < 0 && errno == EBADF);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, 4) < 0 && errno == EFAULT);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &fd, 2) < 0 && errno == EINVAL);
	CHECK(setsockopt(-1, SOL_SOCKET, SO_KEEPALIVE, &fd, 4) < 0 && errno == EBADF);
	CHECK(setsockopt(file, SOL_SOCKET, SO_KEEPALIVE, &fd, 4) < 0 && errno == ENOTSOCK);
}

static void do_others(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0tcpkeep-test"};
	struct sockaddr_in four = {AF_INET, htons(9), {htonl(INADDR_LOOPBACK)}, {0}};
	int udp = socket(AF_INET, SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
	int server = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + 20;

	snprintf(name.sun_path + 13, 20, "%d", getpid());
	CHECK(bind(server, (struct sockaddr *)&name, len) == 0 && listen(server, 1) == 0);
	CHECK(connect(local, (struct sockaddr *)&name, len) == 0);
	CHECK(connect(udp, (struct sockaddr *)&four, sizeof(four)) == 0);
	CHECK(option(udp, SOL_SOCKET, SO_KEEPALIVE) == 0);
	CHECK(option(local, SOL_SOCKET, SO_KEEPALIVE) == 0);
	CHECK(option(server, SOL_SOCKET, SO_KEEPALIVE) == 0);
}

/* ------------------------------------------------------------------------- the program's own */

static void do_off_before(void)
{
	struct end listener = make_listener(AF_INET, 0);
	int fd = make_socket(&listener);

	set(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
	join(fd, &listener);
	show("off", fd);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	show("on-after-all", fd);
}

static void do_off_after(void)
{
	struct end listener = make_listener(AF_INET, 0);
	int fd = make_socket(&listener);

	join(fd, &listener);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
	show("off", fd);
}

static void do_own(void)
{
	struct end listener = make_listener(AF_INET, 0);
	int fd = make_socket(&listener), all = make_socket(&listener);

	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 33);
	join(fd, &listener);
	show("time", fd);
	set(all, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(all, IPPROTO_TCP, TCP_KEEPIDLE, 33);
	set(all, IPPROTO_TCP, TCP_KEEPINTVL, 22);
	set(all, IPPROTO_TCP, TCP_KEEPCNT, 3);
	join(all, &listener);
	show("all", all);
}

/* In a buffer that is longer than it has to be, and than a page. */
static void set_long(int fd, int level, int name, int value)
{
	int values[2048] = {value};

	CHECK(setsockopt(fd, level, name, values, sizeof(values)) == 0);
}

static void change(int fd)
{
	int value = 40000;

	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 33);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 22);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
	set_long(fd, IPPROTO_TCP, TCP_KEEPIDLE, 33);
	set_long(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	CHECK(option(fd, IPPROTO_TCP, TCP_NODELAY) == 1);
	/* What is wrong stays wrong. */
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof(value)) < 0 &&
	      errno == EINVAL);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, NULL, sizeof(value)) < 0 &&
	      errno == EFAULT);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, 3) < 0 && errno == EINVAL);
}

/* Under --enforce nothing of it lasts. */
static void do_enforce(void)
{
	struct end listener = make_listener(AF_INET, 0);
	int fd = make_socket(&listener), accepted, udp = socket(AF_INET, SOCK_DGRAM, 0);

	change(fd);
	join(fd, &listener);
	show("before", fd);
	change(fd);
	show("after", fd);
	change(listener.fd);
	show("listener", listener.fd);
	accepted = accept(listener.fd, NULL, NULL);
	change(accepted);
	show("accepted", accepted);
	set(udp, SOL_SOCKET, SO_KEEPALIVE, 1);
	CHECK(option(udp, SOL_SOCKET, SO_KEEPALIVE) == 1);
}

static void do_fastopen(void)
{
	struct end listener = make_listener(AF_INET, 0);
	struct iovec iov = {(void *)"x", 1};
	struct mmsghdr messages[1] = {{.msg_hdr = {.msg_name = &listener.address,
						   .msg_namelen = listener.len,
						   .msg_iov = &iov,
						   .msg_iovlen = 1}}};
	int by_to = make_socket(&listener), by_msg = make_socket(&listener);
	int by_mmsg = make_socket(&listener);

	CHECK(sendto(by_to, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&listener.address,
		     listener.len) == 1);
	CHECK(sendmsg(by_msg, &messages[0].msg_hdr, MSG_FASTOPEN) == 1);
	CHECK(sendmmsg(by_mmsg, messages, 1, MSG_FASTOPEN) == 1);
	show("sendto", by_to);
	show("sendmsg", by_msg);
	show("sendmmsg", by_mmsg);
}

/* --------------------------------------------------------------------------------- processes */

static void await(pid_t pid)
{
	int status;

	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static void do_children(void)
{
	char *const argv[] = {self, (char *)"connect4", NULL};
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		do_connect4();
		_exit(0);
	}
	await(pid);
	pid = fork();
	if (pid == 0) {
		execv(self, argv);
		_exit(1);
	}
	await(pid);
	pid = vfork();
	if (pid == 0) {
		execv(self, argv);
		_exit(1);
	}
	await(pid);
	CHECK(posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0);
	await(pid);
}

/* What a program finds when it starts: no child, no signal, no descriptor that it does not know. */
static void do_clean(void)
{
	sigset_t pending;

	CHECK(wait(NULL) < 0 && errno == ECHILD);
	CHECK(sigpending(&pending) == 0);
	for (int sig = 1; sig < NSIG; sig++)
		CHECK(!sigismember(&pending, sig));
	for (int fd = 3; fd < 64; fd++)
		CHECK(fcntl(fd, F_GETFD) < 0);
}

static void do_closefrom(void)
{
	CHECK(syscall(SYS_close_range, 3, ~0U, 0) == 0);
	do_connect4();
}

static void do_undumpable(void)
{
	CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
	do_connect4();
	do_enforce();
}

static void up(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(ioctl(fd, SIOCSIFFLAGS, &lo) == 0);
	close(fd);
}

/* A network namespace of the program's own. */
static void do_netns(void)
{
	CHECK(unshare(CLONE_NEWNET) == 0);
	up();
	do_connect4();
}

static void do_userns(void)
{
	CHECK(unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0);
	up();
	do_connect4();
}

static void do_nobody(void)
{
	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	do_connect4();
}

/* A PID namespace: other numbers for the same threads. */
static void do_pidns(void)
{
	pid_t pid;

	CHECK(unshare(CLONE_NEWPID) == 0);
	pid = fork();
	if (pid == 0) {
		CHECK(getpid() == 1);
		do_connect4();
		_exit(0);
	}
	await(pid);
}

/* A thread that does not share its descriptors with the others. */
static void *run_apart(void *unused)
{
	CHECK(unshare(CLONE_FILES) == 0);
	/* The same numbers are something else here. */
	close(3);
	close(4);
	do_connect4();
	return unused;
}

static void do_apart(void)
{
	pthread_t thread;

	CHECK(socket(AF_UNIX, SOCK_STREAM, 0) == 3 && socket(AF_UNIX, SOCK_STREAM, 0) == 4);
	CHECK(pthread_create(&thread, NULL, run_apart, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void do_inherited(void)
{
	show("inherited", 0);
}

/* ------------------------------------------------------------------------------------ signals */

static volatile sig_atomic_t ticks;

static void tick(int sig)
{
	(void)sig;
	ticks++;
}

static void start_ticks(int flags)
{
	struct sigaction action = {.sa_handler = tick, .sa_flags = flags};
	struct itimerval every = {{0, 500}, {0, 500}};

	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
}

/* With SA_RESTART no call ever says EINTR that would not without us. */
static void do_restart(void)
{
	struct end listener = make_listener(AF_INET, 0);
	struct linger linger = {1, 0};

	start_ticks(SA_RESTART);
	for (int i = 0; i < 20000 && ticks < 500; i++) {
		int fd = make_socket(&listener), accepted;

		CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
		set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		CHECK(listen(listener.fd, 100) == 0);
		join(fd, &listener);
		CHECK(option(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 61);
		accepted = accept(listener.fd, NULL, NULL);
		CHECK(accepted >= 0);
		close(accepted);
		close(fd);
	}
	CHECK(ticks > 20);
}

/*
 * Without it a signal in the few microseconds before the supervisor has the call ends it, as the
 * kernel sees no difference to a blocking call. How often, is printed.
 */
static void do_interrupt(void)
{
	struct end listener = make_listener(AF_INET, 0);
	int interrupted = 0, calls = 0;

	start_ticks(0);
	for (; calls < 20000 && ticks < 500; calls++) {
		if (listen(listener.fd, 100) == 0)
			continue;
		CHECK(errno == EINTR);
		interrupted++;
	}
	fprintf(stderr, "interrupted %d of %d calls by %d signals\n", interrupted, calls,
		(int)ticks);
}

/* --------------------------------------------------------------------------------------- main */

static const struct scenario {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{"connect4", do_connect4},
	{"connect6", do_connect6},
	{"mptcp", do_mptcp},
	{"nonblocking", do_nonblocking},
	{"errors", do_errors},
	{"others", do_others},
	{"off-before", do_off_before},
	{"off-after", do_off_after},
	{"own", do_own},
	{"enforce", do_enforce},
	{"fastopen", do_fastopen},
	{"children", do_children},
	{"clean", do_clean},
	{"closefrom", do_closefrom},
	{"undumpable", do_undumpable},
	{"netns", do_netns},
	{"userns", do_userns},
	{"nobody", do_nobody},
	{"pidns", do_pidns},
	{"apart", do_apart},
	{"inherited", do_inherited},
	{"restart", do_restart},
	{"interrupt", do_interrupt},
};

int main(int argc, char **argv)
{
	self = argv[0];
	for (size_t i = 0; argc == 2 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (strcmp(argv[1], scenarios[i].name) == 0) {
			scenarios[i].run();
			return 0;
		}
	fprintf(stderr, "seccomp-program: no such scenario\n");
	return 2;
}
