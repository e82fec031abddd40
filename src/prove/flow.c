/* SPDX-License-Identifier: MIT */
#include "flow.h"

#include <netinet/tcp.h>

bool flow_begins(const struct lab_packet *packet)
{
	return packet->outgoing && packet->flags & TH_SYN && !(packet->flags & TH_ACK);
}

void flow_init(struct flow *flow, const struct lab_packet *syn)
{
	*flow = (struct flow){
		.client_port = syn->source_port,
		.server_port = syn->destination_port,
		.next = syn->seq + 1,
		.activity_ns = syn->time_ns,
		.heard_ns = FLOW_NEVER,
		.heard_any_ns = FLOW_NEVER,
		.sent_data_ns = FLOW_NEVER,
		.got_data_ns = FLOW_NEVER,
		.fin_ns = FLOW_NEVER,
		.reset_ns = FLOW_NEVER,
		.reset_in_ns = FLOW_NEVER,
	};
}

bool flow_owns(const struct flow *flow, const struct lab_packet *packet)
{
	if (packet->outgoing)
		return packet->source_port == flow->client_port &&
		       packet->destination_port == flow->server_port;
	return packet->destination_port == flow->client_port &&
	       packet->source_port == flow->server_port;
}

static void mark_activity(struct flow *flow, uint64_t time_ns)
{
	flow->activity_ns = time_ns;
	if (!flow->keep_probes)
		flow->n_probes = 0;
}

/*
 * tcp_xmit_probe_skb() in net/ipv4/tcp_output.c: no data, and a sequence number that the peer has
 * acknowledged, so that it has to answer.
 */
static bool is_probe(const struct flow *flow, const struct lab_packet *packet)
{
	return packet->payload == 0 && !(packet->flags & (TH_SYN | TH_FIN | TH_RST)) &&
	       packet->seq == flow->next - 1;
}

static void feed_outgoing(struct flow *flow, const struct lab_packet *packet)
{
	uint32_t end = packet->seq + packet->payload + !!(packet->flags & TH_FIN);

	if (packet->flags & TH_RST) {
		if (flow->reset_ns == FLOW_NEVER)
			flow->reset_ns = packet->time_ns;
		return;
	}
	if (packet->flags & TH_SYN) {
		mark_activity(flow, packet->time_ns);
		return;
	}
	if (is_probe(flow, packet)) {
		if (flow->n_probes < PROVE_PROBES_MAX)
			flow->probes[flow->n_probes++] =
				(struct flow_probe){packet->time_ns, FLOW_NEVER};
		return;
	}
	if (packet->payload > 0)
		flow->sent_data_ns = packet->time_ns;
	if (packet->flags & TH_FIN && flow->fin_ns == FLOW_NEVER)
		flow->fin_ns = packet->time_ns;
	if (packet->payload > 0 || packet->flags & TH_FIN)
		mark_activity(flow, packet->time_ns);
	if ((int32_t)(end - flow->next) > 0)
		flow->next = end;
}

static void feed_incoming(struct flow *flow, const struct lab_packet *packet)
{
	struct flow_probe *probe = flow->n_probes ? &flow->probes[flow->n_probes - 1] : NULL;

	if (packet->flags & TH_RST) {
		if (flow->reset_in_ns == FLOW_NEVER)
			flow->reset_in_ns = packet->time_ns;
		return;
	}
	flow->heard_any_ns = packet->time_ns;
	if (packet->payload > 0 || packet->flags & (TH_SYN | TH_FIN)) {
		if (packet->payload > 0)
			flow->got_data_ns = packet->time_ns;
		mark_activity(flow, packet->time_ns);
	} else if (probe) {
		if (probe->answered_ns == FLOW_NEVER)
			probe->answered_ns = packet->time_ns;
		return;
	}
	flow->heard_ns = packet->time_ns;
}

void flow_feed(struct flow *flow, const struct lab_packet *packet)
{
	if (packet->outgoing)
		feed_outgoing(flow, packet);
	else
		feed_incoming(flow, packet);
}
