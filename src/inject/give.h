/* SPDX-License-Identifier: MIT */
/*
 * Giving one socket what the plan wants, whoever looks at it: the preload library from inside of
 * the program, the seccomp supervisor from outside. Allocation-free.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <tcpkeep.h>

enum give_outcome {
	GIVE_HELD, /* nothing was to be done */
	GIVE_SET,
	GIVE_IN_PART,    /* set, but for fields that have other values, the program's own */
	GIVE_LEFT_ALONE, /* every field is the program's own choice */
	GIVE_REFUSED,    /* by the kernel */
	GIVE_NOT_TCP,
};

static inline bool give_has_set(enum give_outcome outcome)
{
	return outcome == GIVE_SET || outcome == GIVE_IN_PART;
}

/* What one socket is to get. */
struct give {
	const struct tcpkeep_settings *wanted;
	bool respect;    /* what the program chose stands, field by field */
	uint32_t chosen; /* fields of which the caller knows that the program chose them */
	bool verify;     /* reads back what was written; another value is refused with EIO */
};

/* TCP or MPTCP? */
bool give_is_tcp(int fd);

/* Do the fields of wanted hold on the socket, but for those of except? One call each. */
bool give_holds(int fd, const struct tcpkeep_settings *wanted, uint32_t except);

/*
 * Gives a socket what it lacks. With respect, what shows a value that a fresh socket would not show
 * counts as chosen as well. *ret_refused is an errno: what the kernel refused, even when the rest
 * was set (MPTCP before Linux 6.10 has the switch and not the values); 0: nothing.
 */
enum give_outcome give(int fd, const struct give *give, int *ret_refused);

/* What a fresh socket of this network namespace showed when it was last looked at. Zeroed: not yet.
 */
struct give_memory {
	struct tcpkeep_settings fresh;
};

/*
 * The same as give() for what is known to be TCP or MPTCP, in as few calls as can be where the
 * program has touched nothing, which is nearly always so. One memory for one thread.
 */
enum give_outcome give_quickly(int fd, const struct give *give, struct give_memory *memory,
			       int *ret_refused);
