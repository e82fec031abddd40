/* SPDX-License-Identifier: MIT */
/*
 * What client.c does, by the socket options alone: Linux, no library.
 *
 *	cc client-plain.c -o client-plain
 *	./client-plain localhost 6379
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * TCP_KEEPIDLE and TCP_KEEPINTVL are seconds, TCP_USER_TIMEOUT is milliseconds: it bounds the time
 * with data in flight, where keepalive is silent, and it replaces TCP_KEEPCNT when it is set, so
 * that both say the same here (60 + 6 x 10 s). The switch comes last: a socket that is already
 * connected then waits a full time.
 */
static const struct {
	int level, option, value;
} wanted[] = {
	{IPPROTO_TCP, TCP_KEEPIDLE, 60}, {IPPROTO_TCP, TCP_KEEPINTVL, 10},
	{IPPROTO_TCP, TCP_KEEPCNT, 6},   {IPPROTO_TCP, TCP_USER_TIMEOUT, 120 * 1000},
	{SOL_SOCKET, SO_KEEPALIVE, 1},
};

/* Returns 0 or a negative errno. */
static int ask_for_keepalive(int fd)
{
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (setsockopt(fd, wanted[i].level, wanted[i].option, &wanted[i].value,
			       sizeof(wanted[i].value)) < 0)
			return -errno;
	return 0;
}

static int connect_to(const char *host, const char *service)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	int r = getaddrinfo(host, service, &hints, &list), fd = -1;

	if (r != 0) {
		fprintf(stderr, "client-plain: %s: %s\n", host, gai_strerror(r));
		return -1;
	}
	for (struct addrinfo *a = list; a; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (fd < 0) {
			r = -errno;
			continue;
		}
		/* Before connect(): the kernel arms the timer once, with our values. */
		r = ask_for_keepalive(fd);
		if (r == 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			break;
		r = r < 0 ? r : -errno;
		close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	if (fd < 0)
		fprintf(stderr, "client-plain: %s: %s\n", host, strerror(-r));
	return fd;
}

int main(int argc, char **argv)
{
	char buf[4096];
	ssize_t n = 0;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: client-plain HOST PORT\n");
		return 2;
	}
	fd = connect_to(argv[1], argv[2]);
	if (fd < 0)
		return 1;
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 &&
		    (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout) != 0)) {
			perror("client-plain: stdout");
			return 1;
		}
	if (n < 0) {
		/* ETIMEDOUT: keepalive, or the user timeout, gave the server up. */
		perror("client-plain: connection lost");
		return 1;
	}
	close(fd);
	return 0;
}
