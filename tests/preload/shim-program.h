/* SPDX-License-Identifier: MIT */
/* What the scenarios of shim-program share: checks that end the program, sockets that are shown. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* What an uninvolved program finds in errno after a call that went well: what was there before. */
#define ERRNO_BEFORE 4321

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition,  \
				errno);                                                            \
			exit(EXIT_FAILURE);                                                        \
		}                                                                                  \
	} while (0)

/* A call that has to succeed and to keep errno. */
#define KEPT(call)                                                                                 \
	({                                                                                         \
		errno = ERRNO_BEFORE;                                                              \
		int kept_result_ = (int)(call);                                                    \
		CHECK(kept_result_ >= 0);                                                          \
		CHECK(errno == ERRNO_BEFORE);                                                      \
		kept_result_;                                                                      \
	})

static inline void show(const char *name, int fd)
{
	printf("%s %d\n", name, fd);
}

static inline int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value;

	CHECK(getsockopt(fd, level, name, &value, &len) == 0);
	return value;
}

static inline void set(int fd, int level, int name, int value)
{
	KEPT(setsockopt(fd, level, name, &value, sizeof(value)));
}

struct address {
	struct sockaddr_storage storage;
	socklen_t len;
};

static inline int new_listener(int family, int protocol, struct address *ret)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	int fd = KEPT(socket(family, SOCK_STREAM | SOCK_CLOEXEC, protocol));

	*ret = (struct address){.len = family == AF_INET ? sizeof(v4) : sizeof(v6)};
	memcpy(&ret->storage, family == AF_INET ? (void *)&v4 : (void *)&v6, ret->len);
	CHECK(bind(fd, (struct sockaddr *)&ret->storage, ret->len) == 0);
	KEPT(listen(fd, 64));
	CHECK(getsockname(fd, (struct sockaddr *)&ret->storage, &ret->len) == 0);
	return fd;
}

static inline void join(int fd, const struct address *to)
{
	KEPT(connect(fd, (const struct sockaddr *)&to->storage, to->len));
}

/* The path of the program, for children that execute it. */
extern char *self;

/* shim-children.c: TIME INTVL PROBES, which each socket has to have, and how many TURNS. */
void do_threads(char **args);
void do_fork(char **args);
void do_vfork(char **args);
void do_vfork_race(char **args);
void do_spawn(char **args);
void do_check(char **args);

/* shim-enforce.c: tcp|mptcp faults|- */
void do_enforce(char **args);
