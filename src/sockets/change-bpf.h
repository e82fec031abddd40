/* SPDX-License-Identifier: MIT */
/* Changing sockets in the kernel: the walk of bpf/set over the namespaces of a set. */
#pragma once

#include <tcpkeep.h>

#include "change.h"
#include "pace.h"

struct change_bpf;

/*
 * Loads the program with the set's items in it, but for those of MPTCP. -EPERM, -EOPNOTSUPP and
 * others, with words.
 */
int change_bpf_open(const struct change_set *set, const struct change_options *options,
		    struct change_bpf **ret, struct tcpkeep_error *ret_error);
void change_bpf_close(struct change_bpf **bpf);

/*
 * One walk through a network namespace, at the pace. done is told of each item that is met there
 * for the first time. Sockets that come and go meanwhile can hide one from an older kernel's walk:
 * a second one meets it.
 */
int change_bpf_walk(struct change_bpf *bpf, int netns, struct pace *pace,
		    int (*done)(const struct change_outcome *outcome, void *userdata),
		    void *userdata, struct tcpkeep_error *ret_error);
