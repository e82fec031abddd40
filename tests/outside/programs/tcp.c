/* SPDX-License-Identifier: MIT */
/*
 * The plainest client and server, which know nothing of keepalive; built against each C library,
 *statically and not.
 *
 *	tcp server PORT	answers each line in capitals, by a child for each client
 *	tcp client PORT	says a line and prints the answer, and as whom it runs
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_MAX_BYTES 256

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* Up to a line's end. The number of bytes, 0 when there is no line. */
static size_t read_line(int fd, char line[LINE_MAX_BYTES])
{
	size_t n = 0;

	while (n < LINE_MAX_BYTES) {
		ssize_t r = read(fd, line + n, LINE_MAX_BYTES - n);

		if (r <= 0)
			return 0;
		n += (size_t)r;
		if (line[n - 1] == '\n')
			return n;
	}
	return 0;
}

static int answer(int fd)
{
	char line[LINE_MAX_BYTES];
	size_t n = read_line(fd, line);

	for (size_t i = 0; i < n; i++)
		line[i] = (char)toupper((unsigned char)line[i]);
	return write(fd, line, n) == (ssize_t)n ? 0 : fail("write");
}

static int serve(const struct sockaddr_in *address)
{
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (const void *)address, sizeof(*address)) < 0 || listen(listener, 16) < 0)
		return fail("listen");
	puts("ready");
	fflush(stdout);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			return fail("accept");
		if (fork() == 0)
			return answer(fd);
		close(fd);
	}
}

static int visit(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char line[LINE_MAX_BYTES];
	size_t n;

	if (connect(fd, (const void *)address, sizeof(*address)) < 0)
		return fail("connect");
	if (write(fd, "hello\n", 6) != 6)
		return fail("write");
	n = read_line(fd, line);
	fwrite(line, 1, n, stdout);
	printf("user %d\n", (int)geteuid());
	return n == 6 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};

	if (argc != 3)
		return 2;
	address.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return strcmp(argv[1], "server") == 0 ? serve(&address) : visit(&address);
}
