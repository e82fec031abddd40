/* SPDX-License-Identifier: MIT */
/* What the wire saw, in the model's words. */
#include <netinet/tcp.h>
#include <stdio.h>

#include "model.h"

/* Sequence numbers wrap. */
static bool after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

struct reader {
	struct stage *stage;
	struct observation *observation;
	uint32_t unacknowledged; /* snd_una: the highest acknowledgement from the peer */
	uint32_t next;           /* snd_nxt: the end of what was sent */
	bool synchronized;
	bool tail_loss_probe_seen;
	uint64_t reset_sent_ns;
};

/* Keeps snd_una and snd_nxt as the kernel does. */
static void follow(struct reader *reader, const struct lab_packet *packet)
{
	uint32_t end = packet->seq + packet->payload + !!(packet->flags & (TH_SYN | TH_FIN));

	if (packet->outgoing) {
		if (!reader->synchronized || after(end, reader->next))
			reader->next = end;
		if (!reader->synchronized)
			reader->unacknowledged = packet->seq;
		reader->synchronized = true;
	} else if (packet->flags & TH_ACK && after(packet->ack, reader->unacknowledged)) {
		reader->unacknowledged = packet->ack;
	}
}

static void add(struct reader *reader, enum tcpkeep_event_kind kind,
		const struct lab_packet *packet)
{
	struct observation *observation = reader->observation;

	if (observation->n == OBSERVED_MAX)
		return;
	observation->events[observation->n++] = (struct observed){
		.kind = kind,
		.lo_ns = packet->time_ns,
		.hi_ns = packet->time_ns,
		.flags = packet->flags,
	};
}

static void classify_outgoing(struct reader *reader, const struct lab_packet *packet)
{
	const struct scenario *scenario = reader->stage->scenario;
	bool occupies = packet->payload > 0 || packet->flags & TH_FIN;

	if (packet->flags & TH_RST) {
		reader->reset_sent_ns = packet->time_ns;
	} else if (occupies && after(reader->next, packet->seq)) {
		if (scenario->tail_loss_probe && !reader->tail_loss_probe_seen) {
			reader->tail_loss_probe_seen = true;
			return;
		}
		add(reader, TCPKEEP_EVENT_RETRANSMIT, packet);
	} else if (!occupies && packet->seq == reader->unacknowledged - 1) {
		add(reader,
		    scenario->deed == DEED_FILL ? TCPKEEP_EVENT_WINDOW_PROBE : TCPKEEP_EVENT_PROBE,
		    packet);
	} else {
		add(reader, TCPKEEP_EVENT_END, packet);
	}
}

static void classify(struct reader *reader, const struct lab_packet *packet)
{
	if (packet->outgoing)
		classify_outgoing(reader, packet);
	else if (packet->flags & TH_RST)
		add(reader, TCPKEEP_EVENT_RESET, packet);
	else if (packet->payload == 0 && !(packet->flags & (TH_SYN | TH_FIN)))
		add(reader, TCPKEEP_EVENT_ANSWER, packet);
	else
		add(reader, TCPKEEP_EVENT_END, packet);
}

/* The death has no segment of its own when it is retransmission's: then it is what poll() saw. */
static void add_death(struct reader *reader)
{
	struct observation *observation = reader->observation;
	const struct stage *stage = reader->stage;
	struct observed *last = observation->n ? &observation->events[observation->n - 1] : NULL;
	struct observed death = {TCPKEEP_EVENT_DEATH, stage->death_lo_ns, stage->death_hi_ns,
				 stage->error, 0};

	if (!stage->dead)
		return;
	if (last && last->kind == TCPKEEP_EVENT_RESET) {
		last->error = stage->error;
		return;
	}
	if (reader->reset_sent_ns)
		death.lo_ns = death.hi_ns = reader->reset_sent_ns;
	if (stage->scenario->deed == DEED_CLOSE)
		death.kind = TCPKEEP_EVENT_FREED;
	if (observation->n < OBSERVED_MAX)
		observation->events[observation->n++] = death;
}

/* --------------------------------------------------------------------------------- the start */

static bool is_start(const struct stage *stage, const struct lab_packet *packet)
{
	const struct scenario *scenario = stage->scenario;
	bool occupies = packet->payload > 0 || packet->flags & TH_FIN;

	if (scenario->arming == ARMING_CONNECT)
		return !packet->outgoing && packet->flags & TH_ACK;
	if (packet->time_ns < stage->start_lo_ns)
		return false;
	switch (scenario->deed) {
	case DEED_NOTHING:
		return false;
	case DEED_CLOSE:
		return scenario->state == STATE_ESTABLISHED && packet->outgoing && occupies;
	case DEED_SEND:
		return packet->outgoing && occupies;
	case DEED_FILL:
		return !packet->outgoing && packet->window == 0;
	}
	return false;
}

static bool starts_on_the_wire(const struct scenario *scenario)
{
	return scenario->arming == ARMING_CONNECT || scenario->deed == DEED_SEND ||
	       scenario->deed == DEED_FILL ||
	       (scenario->deed == DEED_CLOSE && scenario->state == STATE_ESTABLISHED);
}

/* Returns the index of the first segment after the start. */
static size_t find_start(struct reader *reader)
{
	struct observation *observation = reader->observation;
	const struct stage *stage = reader->stage;
	size_t i;

	observation->start_lo_ns = stage->start_lo_ns;
	observation->start_hi_ns = stage->start_hi_ns;
	for (i = 0; i < stage->n_packets; i++) {
		const struct lab_packet *packet = &stage->packets[i];

		if (!starts_on_the_wire(stage->scenario) && packet->time_ns >= stage->start_lo_ns)
			return i;
		follow(reader, packet);
		if (!packet->outgoing)
			observation->heard_ns = packet->time_ns;
		if (!is_start(stage, packet))
			continue;
		observation->start_lo_ns = observation->start_hi_ns = packet->time_ns;
		/* The last segment of the handshake is ours when we connect. */
		if (stage->scenario->arming == ARMING_CONNECT && !stage->scenario->accepted &&
		    i + 1 < stage->n_packets)
			follow(reader, &stage->packets[++i]);
		return i + 1;
	}
	return starts_on_the_wire(stage->scenario) ? SIZE_MAX : i;
}

/* A tail loss probe starts the retransmission timer anew. */
static void note_tail_loss_probe(struct reader *reader, const struct lab_packet *packet)
{
	if (reader->tail_loss_probe_seen && reader->observation->first_retransmission_ns == 0)
		reader->observation->first_retransmission_ns = packet->time_ns;
}

bool observe(struct stage *stage, struct observation *ret)
{
	struct reader reader = {.stage = stage, .observation = ret};
	size_t i;

	*ret = (struct observation){0};
	i = find_start(&reader);
	if (i == SIZE_MAX) {
		snprintf(stage->trouble, sizeof(stage->trouble),
			 "the capture of %zu segments does not show the start", stage->n_packets);
		return false;
	}
	for (; i < stage->n_packets; i++) {
		classify(&reader, &stage->packets[i]);
		note_tail_loss_probe(&reader, &stage->packets[i]);
		follow(&reader, &stage->packets[i]);
	}
	add_death(&reader);
	return true;
}
