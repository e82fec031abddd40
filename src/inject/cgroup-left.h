/* SPDX-License-Identifier: MIT */
/* Who is in a cgroup, or beneath it. */
#pragma once

#include <stddef.h>

/* Directories deep; more is not a tree that programs make. */
#define CGROUP_DEPTH_MAX 32

/* What events, an open cgroup.events, says. 1: a process is in it or beneath it; 0: none is;
 * -errno: it was removed. */
int cgroup_is_populated(int events);

/* How many processes are in the cgroup of this directory and beneath it; those that are just ending
 * are given so long for it. */
size_t cgroup_left(int fd, int grace_ms);
