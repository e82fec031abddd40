/* SPDX-License-Identifier: MIT */
/*
 * many-sockets SOCKETS PROCESSES: so many connected TCP sockets over the loopback of a network
 * namespace of its own, held by so many processes; half of them ask for keepalive. Prints "ready"
 * and stays until its stdin ends. Memory is about 3.5 GB for a million.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/number.h"

/* A process has one listener and connects to it: an address of its own, so that ports do not run
 * out. */
#define PORT 7000

/* The first one has another, with so many connections: ten sockets that a selector can find. */
#define RARE_PORT  7999
#define RARE_PAIRS 9

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void enter_network(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	_cleanup_close_ int fd = -1, range = -1;

	if (unshare(CLONE_NEWNET) < 0)
		die("unshare");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		die("lo");
	range = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);
	if (range < 0 || write(range, "1024 65535", 10) < 0)
		die("ip_local_port_range");
}

static void make_connections(unsigned process, uint16_t port, long pairs)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 256 * (process + 1)),
	};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 128) < 0)
		die("listen");
	for (long i = 0; i < pairs; i++) {
		int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (client < 0)
			die("socket");
		if (i % 2)
			setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		if (connect(client, (struct sockaddr *)&address, sizeof(address)) < 0)
			die("connect");
		if (accept4(listener, NULL, NULL, SOCK_CLOEXEC) < 0)
			die("accept");
	}
}

static void run_process(unsigned process, long pairs, int ready)
{
	struct rlimit limit;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	make_connections(process, PORT, pairs);
	if (process == 0)
		make_connections(process, RARE_PORT, RARE_PAIRS);
	if (write(ready, "r", 1) != 1)
		die("ready");
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int64_t sockets, processes;
	int ready[2];
	char byte;

	if (argc != 3 || number_parse(argv[1], strlen(argv[1]), 2, 10000000, &sockets) < 0 ||
	    number_parse(argv[2], strlen(argv[2]), 1, 10000, &processes) < 0) {
		fprintf(stderr, "usage: many-sockets SOCKETS PROCESSES\n");
		return 2;
	}
	enter_network();
	if (pipe2(ready, O_CLOEXEC) < 0)
		die("pipe");
	for (unsigned i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0)
			run_process(i, sockets / 2 / processes, ready[1]);
	}
	close(ready[1]);
	for (unsigned i = 0; i < processes; i++)
		if (read(ready[0], &byte, 1) != 1) {
			fprintf(stderr, "many-sockets: a process could not make its sockets\n");
			return 1;
		}
	printf("ready\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
