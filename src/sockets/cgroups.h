/* SPDX-License-Identifier: MIT */
/* From a cgroup2's id to its path. Each is asked for once; a removed one stays unknown. */
#pragma once

#include <stdint.h>

struct cgroups;

/* 0 or -ENOMEM. A machine without cgroup2 gives one that knows nothing. */
int cgroups_new(struct cgroups **ret);
void cgroups_free(struct cgroups **cgroups);

/* The path below the cgroup2 mount, "/" for its root; NULL: unknown, removed, not to be seen. Valid
 * until cgroups_free(). */
const char *cgroups_path(struct cgroups *cgroups, uint64_t id);

/*
 * A new descriptor of the cgroup's directory, close-on-exec, with its id: path is below the mount,
 * or with it. -EOPNOTSUPP: no cgroup2 here; -ENOENT and others of openat(2).
 */
int cgroups_open(const struct cgroups *cgroups, const char *path, uint64_t *ret_id);
