/* SPDX-License-Identifier: MIT */
/*
 * What the preload library is to do, read from the environment: our own variable, or those of the
 * two libraries that it replaces. Allocation-free, no globals: the shim and the tests call the same
 * code.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tcpkeep.h>

/* The variable that `tcpkeep run` sets: settings, mode=, report=, root=. */
#define PLAN_VARIABLE "TCPKEEP"

/* Where the counters of --report are: a memfd of the process that reports. */
struct plan_report {
	int pid; /* 0: nobody reports */
	int fd;
	uint64_t nonce; /* what the memfd holds; another one means that the pid was used again */
};

struct plan {
	struct tcpkeep_settings settings; /* no fields: do nothing at all */
	bool enforce;
	bool reread; /* DD_EVAL_ENVIRONMENT_ONCE=0: each socket() reads the environment again */
	bool debug;  /* DD_DEBUG=1 */
	struct plan_report report;
	/*
	 * The process that meets the sockets it inherited; 0: none does. Those below it inherit
	 * what was met already, and what their parents chose for it since.
	 */
	int root;
};

/* The value of a variable, NULL when it is not set. */
typedef const char *plan_lookup(const char *name);

/* Hears what is wrong with a value: one line, no newline, bytes of the value escaped. */
typedef void plan_complain(const char *message);

/*
 * Reads the plan. A bad value is told to complain (may be NULL) and ignored alone: a program must
 * not die of a typo in a variable. No variable at all is keepalive on with the sysctls' values, as
 * the predecessors do.
 */
void plan_read(plan_lookup *lookup, plan_complain *complain, struct plan *ret);

/* Takes the root out of such a text, in place: that process has met what it inherited. */
void plan_remove_root(char *text);

/* Room for every text that plan_format() makes, with the NUL. */
#define PLAN_TEXT_MAX (TCPKEEP_SETTINGS_TEXT_MAX + 100)

/* Writes the value of TCPKEEP that plan_read() reads back to the same. Returns the length or
 * -ENOBUFS. */
int plan_format(const struct plan *plan, char *buf, size_t size);
