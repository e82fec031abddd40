/* SPDX-License-Identifier: MIT */
/* What apply, status and remove share. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <tcpkeep.h>

#include "policy-pins.h"
#include "sockets/cgroups.h"

/* The cgroup that is meant. */
struct policy_target {
	struct cgroups *cgroups;
	int fd;
	uint64_t id;
	char *path; /* below the mount, "/" for the root */
};

/* cgroup: NULL for the root. -ENOENT, -EOPNOTSUPP: no cgroup2; with words. */
int policy_target_open(const char *cgroup, struct policy_target *ret,
		       struct tcpkeep_error *ret_error);
void policy_target_free(struct policy_target *target);

/*
 * Clears what killed tcpkeeps have left and keeps the youngest living place of each cgroup, at the
 * front of the list. -errno, or how many were cleared.
 */
int policy_tidy(const struct policy_pins *pins, struct cgroups *cgroups,
		struct policy_place *places, size_t *n);

/*
 * All that is in force, tidied, and the cgroup that is meant: for status and remove. With nothing
 * ever applied *ret_n is 0. target, pins and *ret_places are the caller's to clean up, also after a
 * failure; words are said.
 */
int policy_in_force_open(const char *cgroup, struct policy_target *target, struct policy_pins *pins,
			 struct policy_place **ret_places, size_t *ret_n,
			 struct tcpkeep_error *ret_error);
