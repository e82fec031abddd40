/* SPDX-License-Identifier: MIT */
/* A policy and the sockets that were open before it: for `apply --existing`. */
#pragma once

#include "policy.h"

/*
 * The rule that decides over an open connection, when it has something to set there: its settings
 * are for the machinery of `set`. NULL: no rule matches; the first that does leaves it alone; it is
 * no connection (a listener's are ruled as they are accepted); or, in mode default, keepalive is on
 * already, or nobody can tell whether it is. owner: as selector_matches() takes it.
 */
const struct policy_rule *policy_existing(const struct policy *policy, const struct socket_row *row,
					  const struct selector_owner *owner);
