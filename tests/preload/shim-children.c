/* SPDX-License-Identifier: MIT */
/* The scenarios of shim-program with threads and with children of every kind. */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim-program.h"

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

void do_threads(char **args)
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

void do_fork(char **args)
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
void do_check(char **args)
{
	read_expected(args);
	check_one(1);
}

char *self;
extern char **environ;

void do_vfork(char **args)
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
void do_vfork_race(char **args)
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

void do_spawn(char **args)
{
	char *argv[] = {self, (char *)"check", args[0], args[1], args[2], NULL};
	pid_t child;

	CHECK(posix_spawn(&child, self, NULL, NULL, argv, environ) == 0);
	expect_success(child);
}
