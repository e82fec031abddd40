/* SPDX-License-Identifier: MIT */
#include "outlook.h"

#include <netinet/tcp.h>
#include <string.h>

#include "base/macro.h"
#include "base/put.h"

/* net/tcp_states.h: the request of a half-open connection, which the C library's header lacks. */
#define TCP_NEW_SYN_RECV 12

/* include/net/tcp.h */
#define RTO_MIN_MS     200 /* TCP_RTO_MIN */
#define ORPHAN_RETRIES 8   /* tcp_orphan_retries(): what 0 means */

static uint64_t due_ms(const struct socket_row *row)
{
	return (uint64_t)MAX(row->timer_ms, 0);
}

static uint64_t due_us(const struct socket_row *row)
{
	return due_ms(row) * 1000;
}

/* --------------------------------------------------------------- data in flight, zero window */

static unsigned retries(const struct socket_row *row, const struct tcpkeep_kernel *kernel)
{
	if (!(row->flags & ROW_ORPHAN))
		return (unsigned)MAX(kernel->retries2, 0);
	return kernel->orphan_retries > 0 ? (unsigned)kernel->orphan_retries : ORPHAN_RETRIES;
}

/* A timeout after so many doublings. */
static uint64_t doubled_ms(unsigned times, const struct tcpkeep_kernel *kernel)
{
	if (times >= 32)
		return kernel->rto_max_ms;
	return MIN((uint64_t)RTO_MIN_MS << times, (uint64_t)kernel->rto_max_ms);
}

/* The sum of the first n of them; for n = boundary + 1 this is tcp_model_timeout(). */
static uint64_t sum_ms(unsigned n, const struct tcpkeep_kernel *kernel)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += doubled_ms(i, kernel);
	return sum;
}

/* retransmits_timed_out(): dead at the first timeout that is so long after the first
 * retransmission. */
static uint64_t retransmits_end_ms(const struct socket_row *row, unsigned user_timeout_ms,
				   const struct tcpkeep_kernel *kernel)
{
	uint64_t limit =
		user_timeout_ms ? user_timeout_ms : sum_ms(retries(row, kernel) + 1, kernel);
	unsigned n = row->retransmits;
	/* The first retransmission is the start; n - 1 doubled timeouts lie between it and the
	 * last, one more until the next. */
	uint64_t elapsed = n > 0 ? sum_ms(n + 1, kernel) - RTO_MIN_MS : 0;
	uint64_t at = due_ms(row);

	/* Unless it is the first, the next timeout ends it. */
	if (n > 0 && elapsed >= limit)
		return at;
	/* tcp_clamp_rto_to_user_timeout(): the timeouts end with it. */
	if (user_timeout_ms)
		return at + limit - elapsed;
	for (n = MAX(n, 1U); elapsed < limit; n++) {
		elapsed += doubled_ms(n, kernel);
		at += doubled_ms(n, kernel);
	}
	return at;
}

/* tcp_probe_timer(): the count of probes, or with a user timeout the time since the first of them.
 */
static uint64_t window_end_ms(const struct socket_row *row, unsigned user_timeout_ms,
			      const struct tcpkeep_kernel *kernel)
{
	unsigned n = row->probes_out, max = retries(row, kernel);
	uint64_t at = due_ms(row);

	if (user_timeout_ms) {
		/* The next probe comes after n + 1 timeouts, the first of which is before the first
		 * probe. */
		uint64_t elapsed = n > 0 ? sum_ms(n + 1, kernel) - RTO_MIN_MS : 0;

		return at + (user_timeout_ms > elapsed ? user_timeout_ms - elapsed : 0);
	}
	for (; n < max; n++)
		at += doubled_ms(n + 1, kernel);
	return at;
}

static void judge_transmit(const struct socket_row *row, const struct tcpkeep_settings *effective,
			   const struct tcpkeep_kernel *kernel, struct outlook *ret)
{
	unsigned user_timeout_ms = (unsigned)MAX(effective->user_timeout_ms, 0);

	ret->kind = OUTLOOK_UNKNOWN;
	if (!(effective->fields & TCPKEEP_USER_TIMEOUT))
		return;
	if (row->timer == ROW_TIMER_RETRANSMIT) {
		ret->kind = OUTLOOK_RETRANSMITS;
		ret->in_us = retransmits_end_ms(row, user_timeout_ms, kernel) * 1000;
		return;
	}
	ret->kind = OUTLOOK_WINDOW;
	/* Each answer takes the count back to 0; one probe may just be on its way. */
	if (user_timeout_ms == 0 && row->probes_out <= 1 && !(row->flags & ROW_ORPHAN))
		ret->in_us = TCPKEEP_NEVER;
	else
		ret->in_us = window_end_ms(row, user_timeout_ms, kernel) * 1000;
}

/* ------------------------------------------------------------------------------------- idle */

/* tcp_keepalive_timer() from the next time that it fires with nothing heard, due. */
static uint64_t keepalive_end_us(const struct socket_row *row, const struct tcpkeep_settings *s,
				 uint64_t due)
{
	uint64_t intvl_us = (uint64_t)MAX(s->intvl_s, 0) * 1000000;
	uint64_t elapsed_us = (uint64_t)row->silence_ms * 1000 + due;
	uint64_t steps;

	if (s->fields & TCPKEEP_USER_TIMEOUT && s->user_timeout_ms > 0) {
		uint64_t limit_us = (uint64_t)s->user_timeout_ms * 1000;

		steps = row->probes_out == 0; /* it needs one probe at least */
		if (elapsed_us + steps * intvl_us < limit_us) {
			if (intvl_us == 0) /* from the sysctl: a probe each tick */
				return due + limit_us - elapsed_us;
			steps = (limit_us - elapsed_us + intvl_us - 1) / intvl_us;
		}
	} else {
		steps = s->probes > row->probes_out ? (uint64_t)(s->probes - row->probes_out) : 0;
	}
	/* A negative interval is a huge one in the kernel's unsigned arithmetic: the end of
	 * probing. */
	if (steps > 0 && s->intvl_s < 0)
		return TCPKEEP_NEVER;
	return due + steps * intvl_us;
}

/* Keepalive is on, and its values are known. */
static void judge_probing(const struct socket_row *row, const struct tcpkeep_settings *s,
			  struct outlook *ret)
{
	uint64_t time_us = (uint64_t)MAX(s->time_s, 0) * 1000000;
	uint64_t silence_us = (uint64_t)row->silence_ms * 1000;
	uint64_t due = due_us(row);

	/* A negative time, too, is a huge one: it never probes. */
	if (s->time_s < 0) {
		ret->kind = OUTLOOK_NEVER;
		return;
	}
	if (row->probes_out > 0) {
		ret->kind = OUTLOOK_DEAD_UNLESS;
		ret->in_us = keepalive_end_us(row, s, due);
		return;
	}
	/* The armed timer may be older than the last word: then it is armed again for the rest. */
	if (row->known & ROW_KNOWN_SILENCE && time_us > silence_us)
		due = MAX(due, time_us - silence_us);
	/* probes=0, from the sysctl: dies with no probe sent. */
	ret->kind =
		s->probes > 0 || s->user_timeout_ms > 0 ? OUTLOOK_FIRST_PROBE : OUTLOOK_DEAD_UNLESS;
	ret->in_us = due;
}

static void judge_idle(const struct socket_row *row, const struct tcpkeep_settings *effective,
		       struct outlook *ret)
{
	bool seen = row->known & ROW_KNOWN_TIMER && row->timer == ROW_TIMER_KEEPALIVE;

	ret->kind = OUTLOOK_UNKNOWN;
	if (!(effective->fields & TCPKEEP_ON))
		return;
	if (!effective->on) {
		ret->kind = OUTLOOK_NEVER;
	} else if ((effective->fields & TCPKEEP_THREE) == TCPKEEP_THREE && seen) {
		judge_probing(row, effective, ret);
	} else if (seen && row->probes_out == 0) {
		/* The values are not known, and the timer's next time is: at the earliest then. */
		ret->kind = OUTLOOK_FIRST_PROBE;
		ret->in_us = due_us(row);
	}
}

/* ---------------------------------------------------------------------------------- the row */

static bool transmits(const struct socket_row *row)
{
	return row->timer == ROW_TIMER_RETRANSMIT || row->timer == ROW_TIMER_WINDOW_PROBE;
}

void outlook_of(const struct socket_row *row, const struct tcpkeep_settings *effective,
		const struct tcpkeep_kernel *kernel, struct outlook *ret)
{
	*ret = (struct outlook){OUTLOOK_NONE, 0};
	switch (row->state) {
	case TCP_LISTEN:
	case TCP_CLOSE:
		return;
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
	case TCP_NEW_SYN_RECV:
		ret->kind = OUTLOOK_CONNECTING;
		return;
	case TCP_TIME_WAIT:
		break;
	default:
		if (transmits(row)) {
			judge_transmit(row, effective, kernel, ret);
			return;
		}
		if (!(row->flags & ROW_ORPHAN) && row->timer != ROW_TIMER_TIME_WAIT) {
			judge_idle(row, effective, ret);
			return;
		}
	}
	ret->kind = OUTLOOK_GOES_AWAY;
	ret->in_us = row->known & ROW_KNOWN_TIMER ? due_us(row) : TCPKEEP_NEVER;
}

int outlook_condition(const struct socket_row *row)
{
	switch (row->state) {
	case TCP_LISTEN:
	case TCP_CLOSE:
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
	case TCP_NEW_SYN_RECV:
	case TCP_TIME_WAIT:
		return -1;
	}
	if (row->timer == ROW_TIMER_RETRANSMIT)
		return TCPKEEP_CONDITION_IN_FLIGHT;
	if (row->timer == ROW_TIMER_WINDOW_PROBE)
		return TCPKEEP_CONDITION_ZERO_WINDOW;
	if (row->state == TCP_FIN_WAIT2 && row->flags & ROW_ORPHAN)
		return TCPKEEP_CONDITION_ORPHAN_FIN_WAIT2;
	return TCPKEEP_CONDITION_IDLE;
}

const char *outlook_name(enum outlook_kind kind)
{
	static const char *const names[] = {
		[OUTLOOK_NONE] = "none",
		[OUTLOOK_UNKNOWN] = "unknown",
		[OUTLOOK_NEVER] = "never-notices",
		[OUTLOOK_FIRST_PROBE] = "first-probe",
		[OUTLOOK_DEAD_UNLESS] = "dead-unless-answered",
		[OUTLOOK_RETRANSMITS] = "dead-unless-acked",
		[OUTLOOK_WINDOW] = "dead-unless-read",
		[OUTLOOK_CONNECTING] = "connecting",
		[OUTLOOK_GOES_AWAY] = "gone",
	};

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}

/* Below a minute in seconds; above it with one unit more. */
static char *put_in(char *at, uint64_t us)
{
	uint64_t s = us / 1000000;

	if (s < 60)
		return put_text(put_uint(at, s), " s");
	if (s < 3600) {
		at = put_text(put_uint(at, s / 60), "m ");
		return put_char(put_uint(at, s % 60), 's');
	}
	if (s < 86400) {
		at = put_text(put_uint(at, s / 3600), "h ");
		return put_char(put_uint(at, s / 60 % 60), 'm');
	}
	at = put_text(put_uint(at, s / 86400), "d ");
	return put_char(put_uint(at, s / 3600 % 24), 'h');
}

/* What stands around the time, or instead of TCPKEEP_NEVER; without after the kind has no time. */
static const struct {
	const char *before, *after, *never;
} words[] = {
	[OUTLOOK_NONE] = {"-", NULL},
	[OUTLOOK_UNKNOWN] = {"unknown", NULL},
	[OUTLOOK_NEVER] = {"never notices", NULL},
	[OUTLOOK_FIRST_PROBE] = {"first probe in ", "", "never probes"},
	[OUTLOOK_DEAD_UNLESS] = {"dead in ", " unless answered", "never gives up"},
	[OUTLOOK_RETRANSMITS] = {"dead in ", " unless acked", "never gives up"},
	[OUTLOOK_WINDOW] = {"dead in ", " unless read", "waits for the reader"},
	[OUTLOOK_CONNECTING] = {"connecting", NULL},
	[OUTLOOK_GOES_AWAY] = {"gone in ", "", "goes away"},
};

char *outlook_put(const struct outlook *outlook, char *buf)
{
	const char *after = words[outlook->kind].after;
	char *at;

	if (outlook->in_us == TCPKEEP_NEVER && after)
		return put_text(buf, words[outlook->kind].never);
	at = put_text(buf, words[outlook->kind].before);
	return after ? put_text(put_in(at, outlook->in_us), after) : at;
}

/* -------------------------------------------------------------------------------- detection */

bool detection_known(const struct tcpkeep_settings *effective)
{
	uint32_t needed = TCPKEEP_ON | TCPKEEP_USER_TIMEOUT;

	if (effective->on)
		needed |= TCPKEEP_THREE;
	return (effective->fields & needed) == needed;
}

static bool entry_is(const struct detection_entry *entry, const struct tcpkeep_settings *settings,
		     const struct tcpkeep_kernel *kernel)
{
	/* The kernel's are all of four bytes: no holes. */
	return memcmp(&entry->kernel, kernel, sizeof(*kernel)) == 0 &&
	       tcpkeep_settings_equal(&entry->settings, settings);
}

int detection_of(struct detection_cache *cache, const struct tcpkeep_settings *settings,
		 const struct tcpkeep_kernel *kernel, const struct tcpkeep_detection **ret)
{
	unsigned hash = (unsigned)settings->time_s * 31 + (unsigned)settings->intvl_s * 7 +
			(unsigned)settings->probes + (unsigned)settings->user_timeout_ms * 13 +
			settings->on * 17U + (unsigned)kernel->sysctls.time_s * 3 +
			(unsigned)kernel->retries2;
	struct detection_entry *entry = &cache->entries[hash % DETECTION_CACHE_ENTRIES];
	struct tcpkeep_detection detection;
	int r;

	if (!entry_is(entry, settings, kernel)) {
		r = tcpkeep_detection(settings, kernel, &detection);
		if (r < 0)
			return r;
		*entry = (struct detection_entry){*settings, *kernel, detection};
	}
	*ret = &entry->detection;
	return 0;
}
