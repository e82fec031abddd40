/* SPDX-License-Identifier: MIT */
/* A live socket for `explain PID:FD`: found, and copied out of its snapshot. */
#pragma once

#include <stdbool.h>

#include "sockets/snapshot.h"

struct live_socket {
	struct snapshot_row row; /* its owners are the one that was asked for */
	struct snapshot_netns netns;
	struct socket_owner owner;
	size_t subflows; /* of an MPTCP connection: rows that fit; the first is here */
};

/* Does the word look like PID:FD? */
bool live_socket_is_meant(const char *word);

/* EXIT_DONE, or says why not: no such process, no TCP socket, not to be seen. ret points into
 * itself. */
int live_socket_find(const char *word, struct live_socket *ret);
