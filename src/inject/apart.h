/* SPDX-License-Identifier: MIT */
/*
 * A process of ours that stands apart from the program: not its parent nor its child, in a process
 * group of its own, without its descriptors, deaf to signals. It goes last.
 *
 * In the same session: another one would be another autogroup of the scheduler (sched(7)), in which
 * sched_yield() does not let the program run.
 */
#pragma once

#include <stddef.h>

/*
 * Starts the process as nobody's child: through one in between that sends no SIGCHLD, so that the
 * program will find nothing to wait for and no signal pending. Where orphans are the program's to
 * wait for (PID 1 of a container), the one in between stays. 0 or -errno. main must not return.
 */
int apart_start(void (*main)(void *userdata), void *userdata);

/*
 * In that process: lets go of everything that it inherited but n descriptors, whose numbers change.
 * Nothing that the program has is to stay open because of us: a pipe, a terminal, a directory.
 */
void apart_leave(int *fds, size_t n);

/* Closes all descriptors but these; n is small. */
void apart_close_others(const int *kept, size_t n);
