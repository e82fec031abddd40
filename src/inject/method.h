/* SPDX-License-Identifier: MIT */
/* The ways to reach a program, as a table, and the choice among them. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <tcpkeep.h>

#include "bpf.h"
#include "plan.h"
#include "program.h"
#include "report.h"

/* One run. */
struct method_run {
	struct plan plan;
	struct report *report; /* NULL: nobody counts */
	const struct program *program;
	struct bpf_run *bpf; /* NULL: another method */
};

struct method {
	const char *name;
	/* What it does not reach here: the end of a sentence. */
	const char *(*misses)(void);
	/* Can it reach this program? 0 or -errno with words. */
	int (*reaches)(const struct program *program, struct tcpkeep_error *error);
	/* Would setuid programs of the tree lose their powers by it? NULL: no. */
	bool (*takes_privileges)(void);
	/* Can it work here, for this caller? Changes nothing. 0 or -errno with words. */
	int (*probe)(struct tcpkeep_error *error);
	/*
	 * In tcpkeep itself, before there is such a process: makes what it takes. NULL: nothing.
	 * -errno with words: another method may be tried.
	 */
	int (*prepare)(struct method_run *run, struct tcpkeep_error *error);
	/*
	 * In the process that is to execute the program, just before it does. -errno with words:
	 * another method may be tried, unless *ret_spoiled.
	 */
	int (*enter)(struct method_run *run, bool *ret_spoiled, struct tcpkeep_error *error);
};

extern const struct method methods[];
extern const size_t n_methods;

bool method_takes_privileges(const struct method *method);

/* NULL: no such one. */
const struct method *method_find(const char *name);

#define METHODS_MAX 4

/* What will be tried, in this order, and what will not, with the words why. */
struct choice {
	const struct method *order[METHODS_MAX];
	size_t n;
	const char *why[METHODS_MAX]; /* each in order: why it would be the first; static */
	struct {
		const struct method *method;
		struct tcpkeep_error error;
	} refused[METHODS_MAX];
	size_t n_refused;
};

/*
 * The methods for this program and caller, the one that misses least first. forced: only this one.
 * n is 0 when none reaches it.
 */
void method_choose(const struct program *program, const struct method *forced, struct choice *ret);

/* Why one of the order, other than the first, is not the first; what it misses is to follow. */
const char *method_why_behind(const struct choice *choice, size_t i);

/*
 * Makes what the first of the choice takes; what cannot be made joins what is refused. n is 0 when
 * none is left.
 */
void method_prepare(struct choice *choice, struct method_run *run);

/* The cgroup into which the program is to be started; -1: that of the caller. */
int method_cgroup(const struct method_run *run);

/* Adds to the report what is only known at the end, and lets go of what was made. */
void method_finish(struct method_run *run);

/* Enters the first of the choice that works and tells report->method which. Fails with the words of
 * the last that was tried. */
int method_enter(const struct choice *choice, struct method_run *run, struct tcpkeep_error *error);
