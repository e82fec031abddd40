/* SPDX-License-Identifier: MIT */
/* The scenario of shim-program in which the program tries to undo what was set. */
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "shim-program.h"

/* A call that has to fail as the kernel fails it. */
static void refuse(int fd, int level, int name, const void *value, socklen_t len, int error)
{
	int r;

	errno = 0;
	r = setsockopt(fd, level, name, value, len);
	if (r != -1 || errno != error) {
		fprintf(stderr, "option %d/%d: result %d errno %d, expected errno %d\n", level,
			name, r, errno, error);
		exit(EXIT_FAILURE);
	}
}

static void refuse_int(int fd, int level, int name, int value, int error)
{
	refuse(fd, level, name, &value, sizeof(value), error);
}

static void refuse_bad_calls(int fd)
{
	void *unmapped = (void *)(uintptr_t)8;
	int one = 1;

	refuse_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 0, EINVAL);
	refuse_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 32768, EINVAL);
	refuse_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, -1, EINVAL);
	refuse_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 128, EINVAL);
	refuse(fd, IPPROTO_TCP, TCP_KEEPCNT, &one, 3, EINVAL);
	refuse(fd, IPPROTO_TCP, TCP_KEEPCNT, &one, (socklen_t)-1, EINVAL);
	refuse(fd, SOL_SOCKET, SO_KEEPALIVE, &one, 0, EINVAL);
	refuse(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof(int), EFAULT);
	refuse(fd, IPPROTO_TCP, TCP_KEEPIDLE, unmapped, sizeof(int), EFAULT);
	refuse_int(-1, SOL_SOCKET, SO_KEEPALIVE, 0, EBADF);
	refuse_int(STDIN_FILENO, SOL_SOCKET, SO_KEEPALIVE, 0, ENOTSOCK);
	refuse_int(STDIN_FILENO, IPPROTO_TCP, TCP_KEEPIDLE, 5, ENOTSOCK);
}

static void undo(int fd)
{
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 7000);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 700);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, 70);
}

void do_enforce(char **args)
{
	int protocol = strcmp(args[0], "mptcp") == 0 ? IPPROTO_MPTCP : 0;
	bool faults = strcmp(args[1], "faults") == 0;
	struct address to;
	int listener = new_listener(AF_INET, protocol, &to);
	int client = KEPT(socket(AF_INET, SOCK_STREAM, protocol));
	int udp = KEPT(socket(AF_INET, SOCK_DGRAM, 0));
	int accepted;

	undo(client);
	undo(listener);
	join(client, &to);
	accepted = KEPT(accept(listener, NULL, NULL));
	undo(client);
	undo(accepted);
	undo(listener);
	if (faults) {
		refuse_bad_calls(client);
		refuse_int(udp, IPPROTO_TCP, TCP_KEEPIDLE, 5, ENOPROTOOPT);
	}
	/* Not ours: the user timeout is not among the settings, UDP is not TCP. */
	if (!protocol) {
		set(client, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
		CHECK(option(client, IPPROTO_TCP, TCP_USER_TIMEOUT) == 5000);
		set(client, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
	}
	set(udp, SOL_SOCKET, SO_KEEPALIVE, 1);
	CHECK(option(udp, SOL_SOCKET, SO_KEEPALIVE) == 1);
	show("client", client);
	show("accepted", accepted);
	show("listener", listener);
}
