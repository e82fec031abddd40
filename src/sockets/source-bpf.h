/* SPDX-License-Identifier: MIT */
/* The best source of a snapshot: iterators in the kernel that see every setting, timer and owner
 * (Linux 5.15). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <tcpkeep.h>

#include "owners.h"
#include "selector.h"

struct source_bpf;

/*
 * Loads the programs. selector (NULL: everything): its clauses that a row decides are matched in
 * the kernel, so that only what matches is handed over. -EOPNOTSUPP: built without BPF, or the
 * kernel lacks what it needs; -EPERM; words in ret_error.
 */
int source_bpf_open(const struct selector *selector, bool with_owners, unsigned hz,
		    struct source_bpf **ret, struct tcpkeep_error *ret_error);
void source_bpf_close(struct source_bpf **source);

/* Every descriptor of a socket in this PID namespace, by cookie. */
int source_bpf_owners(struct source_bpf *source, struct owners *owners,
		      struct tcpkeep_error *ret_error);

/*
 * Every socket of a network namespace, some at a time. fn's non-zero result ends the walk and is
 * returned.
 */
int source_bpf_rows(struct source_bpf *source, int netns,
		    int (*fn)(const struct socket_row *rows, size_t n, void *userdata),
		    void *userdata, struct tcpkeep_error *ret_error);
