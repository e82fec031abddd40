/* SPDX-License-Identifier: MIT */
/*
 * The seccomp method: the kernel holds up the calls that count, in whatever program of the tree,
 * and a supervisor answers them.
 *
 * The supervisor and its guardian are two processes apart from the program: not its parents nor its
 * children, in process groups of their own, without its descriptors. Both hold the listener. When
 * one of them dies, the other sees it at once, answers what the dead one had taken and starts a new
 * one; so the program, which would get ENOSYS for ever from a listener that nobody holds, notices
 * nothing. Both end with the last process of the tree.
 */
#pragma once

#include <stdbool.h>
#include <tcpkeep.h>

#include "plan.h"
#include "report.h"

/* Can it work here? Changes nothing. 0 or -errno with words. */
int seccomp_probe(struct tcpkeep_error *error);

/* Whose sockets it can get at: target_reach(). */
enum seccomp_reach {
	SECCOMP_SEES_ALL,
	SECCOMP_MAKES_SOCKETS,      /* of those that may not be looked into */
	SECCOMP_SEES_COMMAND_ALONE, /* and not what it starts */
	SECCOMP_SEES_NOTHING,
};
enum seccomp_reach seccomp_reach(void);

/* Can it do this, where it works? 0 or -errno with words. */
int seccomp_check_plan(const struct plan *plan, struct tcpkeep_error *error);

/*
 * Turns this process into one whose sockets, and those of what it executes and starts, get the
 * settings: starts supervisor and guardian, sets the filter. report may be NULL.
 *
 * -errno with words. *ret_turned: the filter is there all the same, and nobody answers it: this
 * process must not execute anything any more.
 */
int seccomp_enter(const struct plan *plan, struct report *report, bool *ret_turned,
		  struct tcpkeep_error *error);
