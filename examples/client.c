/* SPDX-License-Identifier: MIT */
/*
 * Reads from a server until it ends, with keepalive by libtcpkeep: a server that vanishes is
 * noticed within two minutes, and the idle connection survives middleboxes that forget after 80
 * seconds or more.
 *
 *	cc client.c -o client $(pkg-config --cflags --libs libtcpkeep)
 *	./client localhost 6379
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpkeep.h>
#include <unistd.h>

/* Returns 0 or a negative errno, like the library. */
static int ask_for_keepalive(int fd)
{
	struct tcpkeep_settings settings = TCPKEEP_SETTINGS(60, 10, 6);
	int r;

	/* Bounds the time with data in flight as well, where keepalive is silent. */
	settings.fields |= TCPKEEP_USER_TIMEOUT;
	settings.user_timeout_ms = 120 * 1000;

	r = tcpkeep_socket_apply(fd, &settings, 0, NULL);
	return r < 0 ? r : 0;
}

static int connect_to(const char *host, const char *service)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	int r = getaddrinfo(host, service, &hints, &list), fd = -1;

	if (r != 0) {
		fprintf(stderr, "client: %s: %s\n", host, gai_strerror(r));
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
		fprintf(stderr, "client: %s: %s\n", host, strerror(-r));
	return fd;
}

int main(int argc, char **argv)
{
	char buf[4096];
	ssize_t n = 0;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: client HOST PORT\n");
		return 2;
	}
	fd = connect_to(argv[1], argv[2]);
	if (fd < 0)
		return 1;
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 &&
		    (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout) != 0)) {
			perror("client: stdout");
			return 1;
		}
	if (n < 0) {
		/* ETIMEDOUT: keepalive, or the user timeout, gave the server up. */
		perror("client: connection lost");
		return 1;
	}
	close(fd);
	return 0;
}
