/* SPDX-License-Identifier: MIT */
/*
 * A program that runs with the preload library inside and is watched: its sockets are read from
 * this process, through descriptors of its own (pidfd_getfd), so that what is seen is what the
 * kernel has and not what a hook says.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define SUBJECT_SOCKETS_MAX 8

struct subject {
	pid_t pid;
	int pidfd;
	int input; /* closing it ends the program */
	unsigned n_sockets;
	struct {
		char name[32];
		int fd;
	} sockets[SUBJECT_SOCKETS_MAX];
};

struct values {
	int on, time_s, intvl_s, probes;
};

#define SET                                                                                        \
	{                                                                                          \
		1, 61, 11, 7                                                                       \
	}
#define UNTOUCHED                                                                                  \
	{                                                                                          \
		0, 7200, 75, 9                                                                     \
	}
#define NOT_TCP(r)                                                                                 \
	{                                                                                          \
		0, r, r, r                                                                         \
	}

/* Waits until it says that it is ready. In a variable '@' stands for the number of the process. */
struct subject subject_start(const char *preloaded, bool valgrind, const char *const *variables,
			     const char *const *argv);
void subject_finish(struct subject *subject);

/* The socket of this name has these values. */
void subject_expect(const struct subject *subject, const char *name, const struct values *want);
