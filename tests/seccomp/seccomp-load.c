/* SPDX-License-Identifier: MIT */
/*
 * Threads that connect in a loop until the standard input ends, while somebody kills what answers
 * them. Prints "ready", then "TURNS FAILED UNSET": connections, calls that failed, sockets without
 * keepalive. A call that hangs is found by who waits.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS 8

static struct sockaddr_in address = {.sin_family = AF_INET};
static bool stop;
static long turns, failed, unset;

static void count(long *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static void turn(void)
{
	struct linger linger = {1, 0};
	socklen_t len = sizeof(int);
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		fprintf(stderr, "seccomp-load: %s\n", strerror(errno));
		count(&failed);
	}
	if (getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len) < 0 || !on)
		count(&unset);
	count(&turns);
	close(fd);
}

static void *run(void *unused)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		turn();
	return unused;
}

static void *take(void *listener)
{
	for (;;)
		close(accept(*(int *)listener, NULL, NULL));
	return NULL;
}

int main(void)
{
	static int listener;
	pthread_t threads[THREADS], taker;
	socklen_t len = sizeof(address);
	char byte;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) < 0 ||
	    listen(listener, 1000) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &len) < 0 ||
	    pthread_create(&taker, NULL, take, &listener) != 0)
		return 1;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, run, NULL) != 0)
			return 1;
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%ld %ld %ld\n", turns, failed, unset);
	return failed != 0;
}
