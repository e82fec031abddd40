/* SPDX-License-Identifier: MIT */
/*
 * One measurement of what keepalive costs a program: time per turn of socket+close, connect+close
 * or accept+close on loopback, of the fastest batch: what other work on the machine adds is not the
 * program's. Run by bench/run, bare and under each preload library in turn.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/number.h"

/* Connections per batch: what a listener's queue holds without a sysctl. */
#define BATCH 100

/* The settings are everybody's the same, so that everybody makes the same four calls. */
static const struct {
	int level, name, value;
} calls[] = {
	{IPPROTO_TCP, TCP_KEEPIDLE, 60},
	{IPPROTO_TCP, TCP_KEEPINTVL, 10},
	{IPPROTO_TCP, TCP_KEEPCNT, 6},
	{SOL_SOCKET, SO_KEEPALIVE, 1},
};

static struct sockaddr_in address = {.sin_family = AF_INET};
static bool makes_calls; /* the program itself makes the four calls */

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "shim-bench: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void make_calls(int fd)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (setsockopt(fd, calls[i].level, calls[i].name, &calls[i].value,
			       sizeof(calls[i].value)) < 0)
			die("setsockopt");
}

static int new_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

/* Without TIME_WAIT, in which a bench would run out of ports. */
static void reset_on_close(int fd)
{
	struct linger linger = {1, 0};

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
		die("SO_LINGER");
}

static int new_listener(void)
{
	socklen_t len = sizeof(address);
	int fd = new_socket();

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&address, len) < 0)
		die("bind");
	if (makes_calls)
		make_calls(fd);
	if (listen(fd, 2 * BATCH) < 0 || getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		die("listen");
	return fd;
}

static void connect_one(int fd)
{
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect");
}

static uint64_t socket_batch(int listener)
{
	uint64_t start = now_ns();

	(void)listener;
	for (int i = 0; i < BATCH; i++) {
		int fd = new_socket();

		if (makes_calls)
			make_calls(fd);
		close(fd);
	}
	return now_ns() - start;
}

static uint64_t connect_batch(int listener)
{
	uint64_t start = now_ns(), end;

	for (int i = 0; i < BATCH; i++) {
		int fd = new_socket();

		if (makes_calls)
			make_calls(fd);
		reset_on_close(fd);
		connect_one(fd);
		close(fd);
	}
	end = now_ns();
	for (int i = 0; i < BATCH; i++)
		close(accept(listener, NULL, NULL));
	return end - start;
}

/*
 * The same up to the network, whose own time is ten times that of the four calls and never twice
 * the same: an address of another family is refused before anything is sent.
 */
static uint64_t call_batch(int listener)
{
	struct sockaddr_in foreign = address;
	uint64_t start;

	(void)listener;
	foreign.sin_family = AF_INET6;
	start = now_ns();
	for (int i = 0; i < BATCH; i++) {
		int fd = new_socket();

		if (makes_calls)
			make_calls(fd);
		if (connect(fd, (struct sockaddr *)&foreign, sizeof(foreign)) == 0)
			die("connect");
		close(fd);
	}
	return now_ns() - start;
}

static uint64_t accept_batch(int listener)
{
	int fds[BATCH];
	uint64_t start, end;

	for (int i = 0; i < BATCH; i++) {
		fds[i] = new_socket();
		connect_one(fds[i]);
		reset_on_close(fds[i]);
	}
	start = now_ns();
	for (int i = 0; i < BATCH; i++) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			die("accept");
		close(fd);
	}
	end = now_ns();
	for (int i = 0; i < BATCH; i++)
		close(fds[i]);
	return end - start;
}

static const struct {
	const char *name;
	uint64_t (*batch)(int listener);
} cases[] = {
	{"socket", socket_batch},
	{"connect", connect_batch},
	{"call", call_batch},
	{"accept", accept_batch},
};

/* shim-bench CASE own|plain BATCHES */
int main(int argc, char **argv)
{
	uint64_t best_ns = UINT64_MAX;
	int64_t batches;
	cpu_set_t one;

	if (argc != 4 || number_parse(argv[3], strlen(argv[3]), 1, 1000000, &batches) < 0)
		return EXIT_FAILURE;
	makes_calls = strcmp(argv[2], "own") == 0;
	/* Loopback's receiving side runs where the sender does. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int listener;

		if (strcmp(argv[1], cases[i].name) != 0)
			continue;
		listener = new_listener();
		cases[i].batch(listener);
		for (int64_t n = 0; n < batches; n++) {
			uint64_t ns = cases[i].batch(listener);

			best_ns = MIN(best_ns, ns);
		}
		/* Tenths of a nanosecond. */
		printf("%llu\n", (unsigned long long)(best_ns * 10 / BATCH));
		return EXIT_SUCCESS;
	}
	return EXIT_FAILURE;
}
