/* SPDX-License-Identifier: MIT */
/* The network namespaces of a snapshot, one after the other, each with what the model needs of it.
 */
#pragma once

#include "snapshot.h"

typedef int (*netns_walk_fn)(const struct snapshot_netns *netns, int fd, void *userdata,
			     struct tcpkeep_error *ret_error);

/* The one behind the descriptor, or TCPKEEP_NETNS_OWN. */
int netns_list_one(int fd, netns_walk_fn fn, void *userdata, struct tcpkeep_error *ret_error);

/*
 * Every one of this machine, the own one first. What cannot be entered is left out and counted, and
 * so is what vanishes meanwhile, which is not. fn's first failure that is neither ends the walk.
 * *ret_processes_hidden: processes whose namespace may not be known, and may be one more.
 */
int netns_list_all(netns_walk_fn fn, void *userdata, size_t *ret_hidden,
		   size_t *ret_processes_hidden, struct tcpkeep_error *ret_error);
