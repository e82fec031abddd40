/* SPDX-License-Identifier: MIT */
/* Removing cgroups that nobody is in any more: src/inject/transient-cgroup.h. */
#pragma once

/* Removes those below parent whose name begins so, that nobody is in and nobody has locked. */
void cgroup_tidy(int parent, const char *prefix);

/*
 * Starts the process that removes the cgroup, once the other end of the pipe is closed everywhere
 * and the last process is gone. It stands apart (apart.h). fd: the cgroup's directory, whose lock
 * it shares. 0 or -errno.
 */
int cgroup_tidy_start(int parent, const char *name, int fd, int pipe_read, int pipe_write);
