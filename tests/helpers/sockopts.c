/* SPDX-License-Identifier: MIT */
/*
 * Reads the keepalive options of other processes' TCP sockets, past all code of ours: each socket
 * is fetched with pidfd_getfd() and asked with getsockopt(). What tcpkeep did is held against this.
 *
 *	sockopts [--wait S] [pid=N] [state=WORD] [local=PORT] [peer=PORT]
 *
 * prints a line for each holder of each socket that fits, as in
 *
 *	pid=71 fd=3 state=established local=127.0.0.1:40112 peer=127.0.0.1:7000 \
 *		on=1 time=61 intvl=11 probes=7 user-timeout=0
 *
 * Exit status 1: there is none, with --wait not until then.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/number.h"

#define POLL_MS  20
#define PATH_LEN 64

/* What is looked for; -1, NULL: whatever it is. */
struct wanted {
	int64_t pid;
	int64_t local_port;
	int64_t peer_port;
	const char *state;
	int64_t wait_s;
};

static void cleanup_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)

/* ---------------------------------------------------------------------------------- one socket */

static int get_int(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value;
}

static bool is_tcp(int fd)
{
	int protocol = get_int(fd, SOL_SOCKET, SO_PROTOCOL);

	return get_int(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM &&
	       (protocol == IPPROTO_TCP || protocol == 262 /* IPPROTO_MPTCP */);
}

static const char *state_of(int fd)
{
	static const char *const names[] = {
		[TCP_ESTABLISHED] = "established",
		[TCP_SYN_SENT] = "syn-sent",
		[TCP_CLOSE] = "close",
		[TCP_CLOSE_WAIT] = "close-wait",
		[TCP_LISTEN] = "listen",
	};
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    info.tcpi_state >= ARRAY_SIZE(names) || !names[info.tcpi_state])
		return "other";
	return names[info.tcpi_state];
}

struct address {
	char host[INET6_ADDRSTRLEN];
	int port;
};

/* ask: getsockname or getpeername. */
static void read_address(int fd, int (*ask)(int, struct sockaddr *, socklen_t *),
			 struct address *ret)
{
	struct sockaddr_storage storage = {0};
	socklen_t len = sizeof(storage);
	const struct sockaddr_in *in = (const void *)&storage;
	const struct sockaddr_in6 *in6 = (const void *)&storage;

	*ret = (struct address){"-", 0};
	if (ask(fd, (struct sockaddr *)&storage, &len) < 0)
		return;
	if (storage.ss_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, ret->host, sizeof(ret->host));
		ret->port = ntohs(in->sin_port);
	} else if (storage.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, ret->host, sizeof(ret->host));
		ret->port = ntohs(in6->sin6_port);
	}
}

static bool fits(int64_t wanted, int64_t value)
{
	return wanted < 0 || wanted == value;
}

/* True when it is one that is looked for. */
static bool show(const struct wanted *wanted, int pid, int number, int fd)
{
	const char *state = state_of(fd);
	struct address local, peer;

	read_address(fd, getsockname, &local);
	read_address(fd, getpeername, &peer);
	if (!fits(wanted->local_port, local.port) || !fits(wanted->peer_port, peer.port) ||
	    (wanted->state && strcmp(wanted->state, state) != 0))
		return false;
	printf("pid=%d fd=%d state=%s local=%s:%d peer=%s:%d "
	       "on=%d time=%d intvl=%d probes=%d user-timeout=%d\n",
	       pid, number, state, local.host, local.port, peer.host, peer.port,
	       get_int(fd, SOL_SOCKET, SO_KEEPALIVE), get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE),
	       get_int(fd, IPPROTO_TCP, TCP_KEEPINTVL), get_int(fd, IPPROTO_TCP, TCP_KEEPCNT),
	       get_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
	return true;
}

/* --------------------------------------------------------------------------------- the search */

static unsigned search_process(const struct wanted *wanted, int pid)
{
	char path[PATH_LEN], link[PATH_LEN];
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int pidfd = -1;
	struct dirent *entry;
	unsigned n = 0;

	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = pidfd < 0 ? NULL : opendir(path);
	while (dir && (entry = readdir(dir))) {
		_cleanup_close_ int fd = -1;
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		int64_t number;

		if (len < 8 || memcmp(link, "socket:[", 8) != 0 ||
		    number_parse(entry->d_name, strlen(entry->d_name), 0, INT32_MAX, &number) < 0)
			continue;
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)number, 0);
		if (fd < 0 && errno != EBADF && errno != ESRCH)
			fprintf(stderr, "sockopts: process %d, descriptor %s: %s\n", pid,
				entry->d_name, strerror(errno));
		else if (fd >= 0 && is_tcp(fd))
			n += show(wanted, pid, (int)number, fd);
	}
	return n;
}

static unsigned search(const struct wanted *wanted)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	unsigned n = 0;

	if (wanted->pid > 0)
		return search_process(wanted, (int)wanted->pid);
	dir = opendir("/proc");
	while (dir && (entry = readdir(dir))) {
		int64_t pid;

		if (number_parse(entry->d_name, strlen(entry->d_name), 1, INT32_MAX, &pid) == 0)
			n += search_process(wanted, (int)pid);
	}
	return n;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool read_number(const char *text, int64_t *ret)
{
	return number_parse(text, strlen(text), 0, INT32_MAX, ret) == 0;
}

static bool read_arguments(char **argv, struct wanted *ret)
{
	*ret = (struct wanted){.pid = -1, .local_port = -1, .peer_port = -1};
	for (; *argv; argv++) {
		bool good = true;

		if (strcmp(*argv, "--wait") == 0 && argv[1])
			good = read_number(*++argv, &ret->wait_s);
		else if (strncmp(*argv, "pid=", 4) == 0)
			good = read_number(*argv + 4, &ret->pid);
		else if (strncmp(*argv, "local=", 6) == 0)
			good = read_number(*argv + 6, &ret->local_port);
		else if (strncmp(*argv, "peer=", 5) == 0)
			good = read_number(*argv + 5, &ret->peer_port);
		else if (strncmp(*argv, "state=", 6) == 0)
			ret->state = *argv + 6;
		else
			good = false;
		if (!good)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct wanted wanted;
	int64_t deadline;

	(void)argc;
	if (!read_arguments(argv + 1, &wanted)) {
		fputs("usage: sockopts [--wait S] [pid=N] [state=WORD] [local=PORT] [peer=PORT]\n",
		      stderr);
		return 2;
	}
	deadline = now_ms() + wanted.wait_s * 1000;
	while (search(&wanted) == 0) {
		if (now_ms() >= deadline)
			return 1;
		/* Nothing tells of another process's connection: look again. */
		poll(NULL, 0, POLL_MS);
	}
	return 0;
}
