/* SPDX-License-Identifier: MIT */
/* Another library that is preloaded: counts what comes through it, and says so at the end. */
#include <dlfcn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int sockets, connects, options;

int socket(int domain, int type, int protocol)
{
	int (*next)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");

	sockets++;
	return next(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int (*next)(int, const struct sockaddr *, socklen_t) =
		(int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");

	connects++;
	return next(fd, addr, len);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int (*next)(int, int, int, const void *, socklen_t) =
		(int (*)(int, int, int, const void *, socklen_t))dlsym(RTLD_NEXT, "setsockopt");

	options++;
	return next(fd, level, name, value, len);
}

__attribute__((destructor)) static void tell(void)
{
	dprintf(STDERR_FILENO, "recorder: socket %d connect %d setsockopt %d\n", sockets, connects,
		options);
}
