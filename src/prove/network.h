/* SPDX-License-Identifier: MIT */
/* One private network: client - router - server. */
#pragma once

#include "prove.h"

struct network {
	int client, router, server; /* namespaces */
	int capture;                /* the client's link */
	int listener;               /* in the server, on PROVE_PORT, non-blocking */
	int diag;                   /* sock_diag netlink, in the client */
};

#define NETWORK_NONE                                                                               \
	{                                                                                          \
		-1, -1, -1, -1, -1, -1                                                             \
	}

/*
 * nat_timeout_s: the router forgets an established connection that was silent for so long; 0 = the
 * kernel's five days. every_port: the listener answers on each port.
 */
int network_make(struct network *ret, unsigned nat_timeout_s, bool every_port,
		 struct tcpkeep_error *error);

/* For _cleanup_: with the last descriptor and process the namespaces go away. */
void network_close(struct network *network);

/* The server is gone, as if its power were cut: nothing reaches it, nothing leaves it. */
int network_vanish_server(const struct network *network, struct tcpkeep_error *error);

/* The timer of the client's connection as inet_diag shows it. */
struct network_timer {
	bool found;     /* the socket is still there, and not closed */
	unsigned timer; /* idiag_timer: 0 none, 1 retransmit, 2 keepalive, 4 window probe */
	uint64_t expires_us;
};

int network_read_timer(const struct network *network, uint16_t client_port,
		       struct network_timer *ret);
