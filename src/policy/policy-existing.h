/* SPDX-License-Identifier: MIT */
/* A policy and the sockets that were open before it: for `apply --existing`. */
#pragma once

#include "policy.h"
#include "sockets/snapshot.h"

/*
 * The rule that decides over an open connection. NULL: none matches; the first that does leaves it
 * alone; or it is no connection (a listener's are ruled as they are accepted). owner: as
 * selector_matches() takes it.
 */
const struct policy_rule *policy_existing(const struct policy *policy, const struct socket_row *row,
					  const struct selector_owner *owner);

/*
 * What that rule sets there. In mode default what the program has set itself is left out, as in the
 * kernel; and while a connection is being made the user timeout, which would cut the handshake
 * short. False, with no field: it is mode default, and keepalive is on already, or nobody can tell
 * whether it is.
 */
bool policy_existing_settings(const struct policy_rule *rule, const struct snapshot_row *row,
			      struct tcpkeep_settings *ret);

/* Does mode default leave something there that differs from the rule, and that mode enforce would
 * change? */
bool policy_existing_keeps(const struct policy_rule *rule, const struct snapshot_row *row);

/* Does any rule ask for who holds a socket, or for its cgroup? */
bool policy_asks_owner(const struct policy *policy);
bool policy_asks_cgroup(const struct policy *policy);
