/* SPDX-License-Identifier: MIT */
/*
 * The client that `tcpkeep prove` uses when it is given none: an ordinary program. It asks a
 * question and waits for the answer; of keepalive it knows nothing.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_to(const char *host, const char *port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *address;
	int r, fd;

	r = getaddrinfo(host, port, &hints, &address);
	if (r != 0) {
		fprintf(stderr, "%s\n", gai_strerror(r));
		return -1;
	}
	fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) < 0) {
		fprintf(stderr, "cannot connect: %s\n", strerror(errno));
		close(fd);
		fd = -1;
	}
	freeaddrinfo(address);
	return fd;
}

int main(int argc, char **argv)
{
	static const char question[] = "what is the answer?\n";
	char answer[128];
	ssize_t n;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: %s ADDRESS PORT\n", argv[0]);
		return 2;
	}
	fd = connect_to(argv[1], argv[2]);
	if (fd < 0)
		return 1;
	if (send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) < 0) {
		fprintf(stderr, "cannot ask: %s\n", strerror(errno));
		return 1;
	}
	n = recv(fd, answer, sizeof(answer), 0);
	if (n < 0) {
		fprintf(stderr, "no answer: %s\n", strerror(errno));
		return 1;
	}
	if (n == 0) {
		fprintf(stderr, "no answer: the server closed the connection\n");
		return 1;
	}
	printf("the answer: %.*s", (int)n, answer);
	return 0;
}
