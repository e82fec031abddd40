/* SPDX-License-Identifier: MIT */
/*
 * The counters of `tcpkeep run --report`: a sealed memfd that tcpkeep makes and every program below
 * it maps. It has no name outside /proc: when the last process is gone, so is it.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "plan.h"

#define REPORT_MAGIC 0x7463706b65657035ULL /* "tcpkeep5": the layout below */

/* What ends with the program, by the same ^C for one, is given so long before it counts as going
 * on. */
#define REPORT_GRACE_MS 100

/* Kinds of refusal that are told apart. */
#define REPORT_ERRORS 8

/* Why the seccomp method did not reach what it saw. */
enum report_missed {
	REPORT_MISSED_FORBIDDEN, /* calls of a process that may not be looked into */
	REPORT_MISSED_SHORT,     /* calls for which descriptors or memory were short */
	REPORT_MISSED_UNSERVED,  /* calls that went on while the supervisor was being replaced */
	REPORT_MISSED_URING,     /* rings of io_uring, whose sockets nobody sees */
	REPORT_MISSED_KINDS,
};

/* Changed atomically. Only ever added to, but for failed, of which a later success is taken back.
 */
struct report {
	uint64_t magic;
	uint64_t nonce;
	uint64_t programs;   /* executed with the shim inside */
	uint64_t tried;      /* sockets set before they connected */
	uint64_t connected;  /* of these, connections that came about: not with seccomp */
	uint64_t failed;     /* of these, connections that did not: preload alone */
	uint64_t accepted;   /* accepted sockets that have the settings */
	uint64_t listening;  /* listeners set */
	uint64_t inherited;  /* set by a program that got them from its parent */
	uint64_t in_part;    /* of those set: kept values of the program's own */
	uint64_t left_alone; /* the program chose its own values, or off, before */
	uint64_t changed;    /* set, and given values of the program's own afterwards */
	uint64_t withheld;   /* enforce: setsockopt() calls that were not passed on */
	uint64_t refused;    /* options that the kernel refused */
	struct report_error {
		int32_t number; /* errno; 0: free */
		uint32_t count;
	} errors[REPORT_ERRORS];              /* by errno; further kinds count in refused alone */
	uint64_t method;                      /* its place in methods[], counted from 1 */
	uint64_t seen;                        /* seccomp: connect() and listen() on TCP sockets */
	uint64_t missed[REPORT_MISSED_KINDS]; /* seccomp */
	uint64_t left; /* bpf: processes of the run that go on when it is reported */
};

/*
 * Makes the memfd, close-on-exec, and maps it. *ret_where is what the plan of the programs says.
 * Returns the descriptor, which has to stay open as long as programs may start, or -errno.
 */
int report_create(struct report **ret, struct plan_report *ret_where);

/*
 * Maps the report that the plan names, in a program: checks that it is one, of this very run, and
 * cannot shrink. By its path; where that is closed, from the one who reports (report-offer.h). NULL
 * when it is not one, or cannot be reached: another user in another network namespace. No
 * allocation.
 */
struct report *report_attach(const struct plan_report *where);

/* Where programs ask for it; returns the length of the address. */
socklen_t report_address(const struct plan_report *where, struct sockaddr_un *ret);

void report_refused(struct report *report, int error);
void report_missed(struct report *report, enum report_missed why);
