/* SPDX-License-Identifier: MIT */
/* A policy in and out of the maps of a load. */
#pragma once

#include <stddef.h>

#include "bpf/policy/policy.h"
#include "policy-load.h"
#include "policy.h"

/* What a compile found out about the names of namespaces. */
struct policy_unknown {
	size_t n;
	char first[64];
};

/*
 * The compiled policy, the caller's to free(). -EINVAL, -E2BIG of policy_compile(), -ENOMEM; with
 * words.
 */
int policy_image(const struct policy *policy, uint64_t cgroup_root, struct policy_set **ret,
		 struct policy_unknown *ret_unknown, struct tcpkeep_error *ret_error);

/*
 * Puts the set in force: the connection after this has the new rules, the one before had the old.
 * half is chosen, the generation is new; prepare (may be NULL) is called when all is ready but the
 * swap.
 */
int policy_swap(const struct policy_fds *fds, struct policy_set *set,
		int (*prepare)(const struct policy_set *set, void *userdata), void *userdata);

/* Does the other one, which policy_image() made, say the same? When and as what it was put in force
 * is left out. */
bool policy_set_is_same(const struct policy_set *in_force, const struct policy_set *other);

/* 1: a copy of what is in force, the caller's to free(); 0: nothing is. */
int policy_in_force(const struct policy_fds *fds, struct policy_set **ret);

int policy_count_single(const struct policy_fds *fds, struct policy_single_count *ret);

int policy_count_read(const struct policy_fds *fds, const struct policy_set *set, size_t rule,
		      struct policy_count *ret);

/*
 * From here on who calls listen() is remembered; those who did so before are found. When the policy
 * is in force, policy_tag_asked() forgets those again whom no rule asks for.
 */
int policy_tag(const struct policy_fds *fds, size_t *ret_listeners);
int policy_tag_asked(const struct policy_fds *fds);
void policy_tag_no_more(const struct policy_fds *fds);
