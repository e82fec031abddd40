/* SPDX-License-Identifier: MIT */
/* Who holds which socket, from procfs: /proc/PID/fd of every process that may be seen. */
#pragma once

#include <stddef.h>
#include <tcpkeep.h>

#include "owners.h"

/*
 * Adds every descriptor of a socket, of whatever kind, by the socket's inode, and the names of the
 * processes that have one. Processes come and go meanwhile: what vanishes is left out. Descriptors
 * of threads that do not share their process's are not seen.
 *
 * ret_hidden: processes whose descriptors may not be seen. -ENOENT, -EXDEV: no /proc, or another
 * PID namespace's; -ENOMEM, -EMFILE and the like.
 */
int proc_owners_read(struct owners *owners, size_t *ret_hidden, struct tcpkeep_error *ret_error);
