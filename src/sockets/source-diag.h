/* SPDX-License-Identifier: MIT */
/*
 * The two sources of a snapshot that need no BPF: sock_diag alone, and sock_diag with settings
 * through pidfd_getfd(). One network namespace a call; who owns what is read once for all of them.
 */
#pragma once

#include <stddef.h>
#include <tcpkeep.h>

#include "getfd.h"
#include "owners.h"
#include "snapshot.h"

struct source_diag {
	const struct selector
		*selector; /* NULL: everything. Kinds that user space decides are passed over */
	const struct snapshot_netns *netns; /* handed on in the rows */
	int netns_fd;                       /* a descriptor, or TCPKEEP_NETNS_OWN */
	const struct owners *owners;        /* by inode: proc_owners_read(). NULL: not wanted */
	struct getfd *getfd;                /* NULL: without settings; needs owners */
};

/* Added to, namespace by namespace. */
struct source_diag_counts {
	size_t rows;        /* seen, before the selector */
	size_t interrupted; /* walks under which the kernel's table changed */
	size_t denied;  /* sockets whose settings their owners keep from us: another user, Yama */
	size_t starved; /* sockets whose settings there were no descriptors or memory for */
	int starved_of; /* the last one's errno */
};

/*
 * Calls fn for each row that match_row() takes; its non-zero result ends the walk and is returned.
 * row->effective is left zero: it follows from the row and the namespace's sysctls, whatever the
 * source. Constant memory, but for 16 bytes for each MPTCP connection. Errors as diag_walk().
 */
int source_diag_run(const struct source_diag *source,
		    int (*fn)(struct snapshot_row *row, void *userdata), void *userdata,
		    struct source_diag_counts *counts, struct tcpkeep_error *ret_error);
