/* SPDX-License-Identifier: MIT */
/*
 * Doing something inside a network namespace. A short-lived thread goes there: the caller's thread
 * never leaves its own, so that no early return can leave it in the wrong one.
 */
#pragma once

#include <stdbool.h>
#include <tcpkeep.h>

/* A network namespace that does not exist yet: it lives as long as somebody holds it. */
#define NETNS_NEW (-2)

/*
 * Runs fn inside the namespace and returns its result: in the caller's thread for TCPKEEP_NETNS_OWN
 * and for a descriptor of the namespace that the caller is in, otherwise in a short-lived thread.
 * Signals stay blocked meanwhile. -EPERM and others, with words (ret_error may be NULL), when the
 * namespace cannot be entered.
 */
int netns_visit(int netns, int (*fn)(void *userdata), void *userdata,
		struct tcpkeep_error *ret_error);

/* Whether the thread has it in effect; CAP_SYS_ADMIN and so on of linux/capability.h. */
bool visit_has_capability(unsigned capability);
