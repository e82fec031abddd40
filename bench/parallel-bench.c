/* SPDX-License-Identifier: MIT */
/*
 * What a connect() costs when several threads make it at the same time: wall-clock time per turn of
 * socket+connect+close at a port of loopback where nobody listens, so that the whole way to the
 * connect() is walked and nothing has to be accepted. Of the batches, the fastest counts.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/number.h"

/* Turns of one thread in a batch. */
#define BATCH       200
#define THREADS_MAX 64

static pthread_barrier_t barrier;
static struct sockaddr_in address = {.sin_family = AF_INET};
static int64_t batches;
static int type = SOCK_STREAM;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void turn(void)
{
	int fd = socket(AF_INET, type, 0), r;

	r = connect(fd, (struct sockaddr *)&address, sizeof(address));
	if (fd < 0 || (type == SOCK_STREAM && (r == 0 || errno != ECONNREFUSED))) {
		fprintf(stderr, "parallel-bench: %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
	close(fd);
}

static void *run(void *unused)
{
	(void)unused;
	for (int64_t i = 0; i < batches; i++) {
		pthread_barrier_wait(&barrier);
		for (int n = 0; n < BATCH; n++)
			turn();
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/* A port that nobody has: bound, and not listening. */
static void take_port(void)
{
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&address, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		exit(EXIT_FAILURE);
}

/* parallel-bench tcp|udp THREADS BATCHES: tenths of a nanosecond, as shim-bench */
int main(int argc, char **argv)
{
	uint64_t best_ns = UINT64_MAX;
	int64_t threads;
	pthread_t thread;

	if (argc != 4 || number_parse(argv[2], strlen(argv[2]), 1, THREADS_MAX, &threads) < 0 ||
	    number_parse(argv[3], strlen(argv[3]), 1, 1000000, &batches) < 0)
		return EXIT_FAILURE;
	if (strcmp(argv[1], "udp") == 0)
		type = SOCK_DGRAM;
	take_port();
	pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
	for (int64_t i = 0; i < threads; i++)
		if (pthread_create(&thread, NULL, run, NULL) != 0)
			return EXIT_FAILURE;
	for (int64_t i = 0; i < batches; i++) {
		uint64_t start;

		/* Before the others are let go: afterwards they may have a start. */
		start = now_ns();
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		best_ns = MIN(best_ns, now_ns() - start);
	}
	printf("%llu\n", (unsigned long long)(best_ns * 10 / BATCH));
	return EXIT_SUCCESS;
}
