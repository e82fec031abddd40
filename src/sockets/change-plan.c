/* SPDX-License-Identifier: MIT */
/* From a row and settings to what is to be done, and the words for what is not. */
#include <netinet/tcp.h>
#include <string.h>

#include "base/macro.h"
#include "change.h"

/* net/tcp_states.h: the request of a half-open connection, which the C library's header lacks. */
#define TCP_NEW_SYN_RECV 12

/* The wheel's timers are late by at most 8/63 of their delay: keepalive/wheel.h. */
#define ON_TIME 63
#define LATEST  71

const char *change_reason_text(enum change_reason reason)
{
	static const char *const texts[] = {
		[CHANGE_REASON_NONE] = "",
		[CHANGE_REASON_TIME_WAIT] = "only TIME-WAIT is left",
		[CHANGE_REASON_HANDSHAKE] = "still in the handshake",
		[CHANGE_REASON_ORPHAN] = "closed by its program",
		[CHANGE_REASON_CLOSED] = "not connected",
		[CHANGE_REASON_SINCE] = "changed by somebody else meanwhile",
		[CHANGE_REASON_KILLS] = "unanswered too long: would be ended at once (--force)",
		[CHANGE_REASON_ERROR] = "the kernel refuses it",
		[CHANGE_REASON_OWNER] = "the owner may not be looked into",
		[CHANGE_REASON_NOBODY] = "held by no process that is seen",
	};

	return (size_t)reason < ARRAY_SIZE(texts) ? texts[reason] : "unknown";
}

const char *change_result_name(enum change_result result)
{
	static const char *const names[] = {
		[CHANGE_DONE] = "changed",      [CHANGE_HELD] = "held",
		[CHANGE_VANISHED] = "vanished", [CHANGE_SKIPPED] = "skipped",
		[CHANGE_REFUSED] = "refused",   [CHANGE_DENIED] = "denied",
	};

	return (size_t)result < ARRAY_SIZE(names) ? names[result] : "unknown";
}

static enum change_reason why_not(const struct socket_row *row)
{
	switch (row->state) {
	case TCP_TIME_WAIT:
		return CHANGE_REASON_TIME_WAIT;
	case TCP_SYN_RECV:
	case TCP_NEW_SYN_RECV:
		return CHANGE_REASON_HANDSHAKE;
	case TCP_CLOSE:
		return CHANGE_REASON_CLOSED;
	}
	if (row->flags & ROW_ORPHAN || row->timer == ROW_TIMER_TIME_WAIT || row->cookie == 0)
		return CHANGE_REASON_ORPHAN;
	return CHANGE_REASON_NONE;
}

/* A sysctl can be what no socket can have: such a value only serves to foresee what happens. */
static uint16_t clip(int value)
{
	return (uint16_t)MAX(0, MIN(value, (int)UINT16_MAX));
}

void change_row_values(const struct snapshot_row *row, struct change_values *ret)
{
	const struct tcpkeep_settings *s = &row->effective.settings;

	*ret = (struct change_values){
		.user_timeout_ms = (uint32_t)s->user_timeout_ms,
		.time_s = clip(s->time_s),
		.intvl_s = clip(s->intvl_s),
		.probes = (uint8_t)MAX(0, MIN(s->probes, (int)UINT8_MAX)),
		.on = s->on,
		.fields = (uint8_t)s->fields,
	};
}

/* Without its origin a value is taken for the socket's own. */
static void fill_before(const struct socket_row *row, struct change_values *ret)
{
	if (!(row->known & ROW_KNOWN_ORIGIN))
		return;
	ret->fields |= TCPKEEP_THREE;
	ret->time_s = clip(row->time_s);
	ret->intvl_s = clip(row->intvl_s);
	ret->probes = row->probes;
}

/* What differs, as a socket's values. */
static void fill_wanted(const struct tcpkeep_settings *settings, const struct tcpkeep_settings *now,
			struct change_values *ret)
{
	uint32_t fields = settings->fields;

#define HOLDS(field, member)                                                                       \
	(settings->fields & now->fields & (field) && settings->member == now->member)
	if (HOLDS(TCPKEEP_ON, on))
		fields &= ~(uint32_t)TCPKEEP_ON;
	if (HOLDS(TCPKEEP_TIME, time_s))
		fields &= ~(uint32_t)TCPKEEP_TIME;
	if (HOLDS(TCPKEEP_INTVL, intvl_s))
		fields &= ~(uint32_t)TCPKEEP_INTVL;
	if (HOLDS(TCPKEEP_PROBES, probes))
		fields &= ~(uint32_t)TCPKEEP_PROBES;
	if (HOLDS(TCPKEEP_USER_TIMEOUT, user_timeout_ms))
		fields &= ~(uint32_t)TCPKEEP_USER_TIMEOUT;
#undef HOLDS
	*ret = (struct change_values){.fields = (uint8_t)fields};
	if (fields & TCPKEEP_ON)
		ret->on = settings->on;
	if (fields & TCPKEEP_TIME)
		ret->time_s = (uint16_t)settings->time_s;
	if (fields & TCPKEEP_INTVL)
		ret->intvl_s = (uint16_t)settings->intvl_s;
	if (fields & TCPKEEP_PROBES)
		ret->probes = (uint8_t)settings->probes;
	if (fields & TCPKEEP_USER_TIMEOUT)
		ret->user_timeout_ms = (uint32_t)settings->user_timeout_ms;
}

/*
 * Have its options been read? That keepalive is on may be known from its timer alone; MPTCP has not
 * all of them in older kernels.
 */
static bool is_readable(const struct socket_row *row)
{
	if (row->flags & ROW_MPTCP)
		return row->known & ROW_KNOWN_KEEPALIVE;
	return row->known & ROW_KNOWN_SETTINGS;
}

enum change_result change_plan_row(const struct snapshot_row *row,
				   const struct tcpkeep_settings *settings, struct change_kind *ret,
				   enum change_reason *ret_reason)
{
	const struct socket_row *socket = &row->socket;

	*ret = (struct change_kind){.netns = row->netns->inode};
	*ret_reason = why_not(socket);
	if (*ret_reason != CHANGE_REASON_NONE)
		return CHANGE_SKIPPED;
	if (!is_readable(socket)) {
		*ret_reason = row->n_owners > 0 ? CHANGE_REASON_OWNER : CHANGE_REASON_NOBODY;
		return CHANGE_DENIED;
	}
	if (socket->flags & ROW_MPTCP)
		ret->flags |= CHANGE_MPTCP;
	if (socket->state == TCP_LISTEN)
		ret->flags |= CHANGE_LISTENS;
	change_row_values(row, &ret->effective);
	ret->before = ret->effective;
	fill_before(socket, &ret->before);
	fill_wanted(settings, &row->effective.settings, &ret->wanted);
	return ret->wanted.fields ? CHANGE_DONE : CHANGE_HELD;
}

void change_plan_now(const struct socket_row *row, struct change_kind *kind)
{
	struct change_values *wanted = &kind->wanted;
	int time_s = kind->effective.time_s;
	bool own = row->known & ROW_KNOWN_ORIGIN && row->time_s > 0;

	if (!(wanted->fields & TCPKEEP_ON) || !wanted->on || wanted->fields & TCPKEEP_TIME)
		return;
	if (time_s < 1 || time_s > TCPKEEP_TIME_MAX_S || !(row->known & ROW_KNOWN_SILENCE))
		return;
	if (!own && row->silence_ms / 1000 < (uint32_t)time_s)
		return;
	wanted->fields |= TCPKEEP_TIME;
	wanted->time_s = (uint16_t)time_s;
}

void change_kind_after(const struct change_kind *kind, struct change_values *ret)
{
	const struct change_values *wanted = &kind->wanted;

	*ret = kind->effective;
	ret->fields |= wanted->fields;
	if (wanted->fields & TCPKEEP_ON)
		ret->on = wanted->on;
	if (wanted->fields & TCPKEEP_TIME)
		ret->time_s = wanted->time_s;
	if (wanted->fields & TCPKEEP_INTVL)
		ret->intvl_s = wanted->intvl_s;
	if (wanted->fields & TCPKEEP_PROBES)
		ret->probes = wanted->probes;
	if (wanted->fields & TCPKEEP_USER_TIMEOUT)
		ret->user_timeout_ms = wanted->user_timeout_ms;
}

bool change_kind_probes(const struct change_kind *kind)
{
	struct change_values after;

	change_kind_after(kind, &after);
	return after.on && !(kind->flags & CHANGE_LISTENS);
}

int change_values_tolerate(const struct change_values *values)
{
	int64_t timeout_ms = (int64_t)values->user_timeout_ms * ON_TIME / LATEST;
	int64_t time_ms = (int64_t)values->time_s * 1000;
	int64_t intvl_ms = (int64_t)MAX(values->intvl_s, 1) * 1000;
	int64_t probes = values->probes;

	if (values->user_timeout_ms > 0)
		probes =
			timeout_ms > time_ms ? (timeout_ms - time_ms + intvl_ms - 1) / intvl_ms : 1;
	return (int)MAX(1, MIN(probes, (int64_t)TCPKEEP_PROBES_MAX));
}

bool change_kind_moves(const struct change_kind *kind)
{
	return kind->wanted.fields & (TCPKEEP_ON | TCPKEEP_TIME) && change_kind_probes(kind);
}

bool change_kind_burdens(const struct change_kind *kind)
{
	const struct change_values *before = &kind->effective;
	struct change_values after;

	if (kind->wanted.fields == 0 || !change_kind_probes(kind))
		return false;
	change_kind_after(kind, &after);
	return !before->on || after.time_s < before->time_s || after.intvl_s < before->intvl_s ||
	       change_values_tolerate(&after) < change_values_tolerate(before);
}

uint32_t change_kind_lost(const struct change_kind *kind)
{
	uint32_t lost = 0;

	if (kind->before.time_s == 0)
		lost |= TCPKEEP_TIME;
	if (kind->before.intvl_s == 0)
		lost |= TCPKEEP_INTVL;
	if (kind->before.probes == 0)
		lost |= TCPKEEP_PROBES;
	return lost & kind->wanted.fields;
}

void change_values_settings(const struct change_values *values, struct tcpkeep_settings *ret)
{
	*ret = (struct tcpkeep_settings){
		.fields = values->fields,
		.on = values->on,
		.time_s = values->time_s,
		.intvl_s = values->intvl_s,
		.probes = values->probes,
		.user_timeout_ms = (int)values->user_timeout_ms,
	};
}

bool change_row_stands(const struct socket_row *row, struct change_standing *ret)
{
	const uint8_t known = ROW_KNOWN_TIMER | ROW_KNOWN_SILENCE;

	*ret = (struct change_standing){
		.silence_ms = row->silence_ms,
		.due_ms = row->timer_ms > 0 ? (uint32_t)row->timer_ms : 0,
		/* When it began is not told: as long ago as can be. */
		.stalled_ms = row->silence_ms,
		.probes_out = row->probes_out,
		.on = !!(row->flags & ROW_KEEPALIVE),
	};
	if (row->timer == ROW_TIMER_WINDOW_PROBE)
		ret->waits = CHANGE_WAIT_WINDOW;
	else if (row->timer == ROW_TIMER_RETRANSMIT && row->retransmits > 0)
		ret->waits = CHANGE_WAIT_RETRANSMIT;
	return row->state != TCP_LISTEN && (row->known & known) == known;
}
