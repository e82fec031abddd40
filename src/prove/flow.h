/* SPDX-License-Identifier: MIT */
/*
 * One connection as the wire on the client's link shows it: what is a keepalive probe, what answers
 * it, when something was heard last, how it ended. Pure: fed with segments, in their order.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lab/lab.h"
#include "prove.h"

#define FLOW_NEVER UINT64_MAX

struct flow_probe {
	uint64_t sent_ns;
	uint64_t answered_ns; /* FLOW_NEVER: not */
};

struct flow {
	uint16_t client_port, server_port;
	uint32_t next; /* the sequence number that the client will use next */

	uint64_t activity_ns;  /* the last segment with data, SYN or FIN: while these flow, nothing
				  is idle */
	uint64_t heard_ns;     /* the client heard something; answers to probes left out */
	uint64_t heard_any_ns; /* the same, answers to probes counted */

	struct flow_probe probes[PROVE_PROBES_MAX]; /* since activity_ns */
	unsigned n_probes;
	bool keep_probes; /* from here on, not even activity starts a new list */

	uint64_t sent_data_ns; /* the client's last data */
	uint64_t got_data_ns;  /* the last data that reached the client */
	uint64_t fin_ns;       /* the client's FIN */
	uint64_t reset_ns;     /* the client's reset */
	uint64_t reset_in_ns;  /* a reset that reached the client */
};

/* A connection begins with the client's SYN. */
bool flow_begins(const struct lab_packet *packet);
void flow_init(struct flow *flow, const struct lab_packet *syn);

bool flow_owns(const struct flow *flow, const struct lab_packet *packet);
void flow_feed(struct flow *flow, const struct lab_packet *packet);
