/* SPDX-License-Identifier: MIT */
/*
 * A cgroup2 directory for one run of a program, below the caller's own and empty of controllers: it
 * limits nothing and accounts nothing, it only tells the program's sockets apart. Also inside
 * systemd units, containers and on machines that have cgroup v1 beside.
 *
 * It is removed when its last process is gone, by a process of ours that stands apart: whoever else
 * is killed. When that one is killed as well, the directory stays, and the next
 * transient_cgroup_create() below the same parent clears it away: who uses one keeps it locked.
 */
#pragma once

#include <tcpkeep.h>

#define TRANSIENT_CGROUP_PREFIX "tcpkeep-run-"

struct transient_cgroup {
	int parent; /* the caller's own */
	int fd;     /* the directory, locked; for CLONE_INTO_CGROUP */
	int held;   /* while it is open anywhere, an empty directory stays */
	char name[64];
};

#define TRANSIENT_CGROUP_NONE                                                                      \
	{                                                                                          \
		.parent = -1, .fd = -1, .held = -1                                                 \
	}

/* Could one be made here? Changes nothing. 0 or -errno with words. */
int transient_cgroup_probe(struct tcpkeep_error *error);

/* Makes one, with the process that removes it. 0 or -errno with words. */
int transient_cgroup_create(struct transient_cgroup *ret, struct tcpkeep_error *error);

/* Moves this process into it. 0 or -errno with words. */
int transient_cgroup_enter(const struct transient_cgroup *cgroup, struct tcpkeep_error *error);

/* Removes it when nobody is in it, and lets go of it. */
void transient_cgroup_free(struct transient_cgroup *cgroup);
