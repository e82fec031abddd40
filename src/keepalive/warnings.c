/* SPDX-License-Identifier: MIT */
/* What is legal and dangerous in settings, and the words for it. */
#include <errno.h>
#include <stdio.h>
#include <tcpkeep.h>

#include "base/duration.h"
#include "base/macro.h"

/* Beyond a day a user timeout was most likely written in milliseconds without the unit. */
#define USER_TIMEOUT_HUGE_MS (24 * 3600 * 1000)

/* Over 360 probes an hour cost radio, battery and money for nothing that a slower pace would miss.
 */
#define CHATTY_BELOW_S 10

static bool has(const struct tcpkeep_settings *s, uint32_t fields)
{
	return (s->fields & fields) == fields;
}

static int64_t first_death_ms(const struct tcpkeep_settings *s)
{
	return ((int64_t)s->time_s + s->intvl_s) * 1000;
}

/* Fewer lost packets than these are no sign of a dead peer. */
#define PROBES_LEAST 3

/* The user timeout that changes nothing of when an idle connection ends: it takes the place of the
 * count, so that it has to leave room for as many probes. */
static int fitting_probes(const struct tcpkeep_settings *s)
{
	return has(s, TCPKEEP_PROBES) ? MAX(s->probes, PROBES_LEAST) : PROBES_LEAST;
}

static int64_t fitting_ms(const struct tcpkeep_settings *s)
{
	return ((int64_t)s->time_s + (int64_t)s->intvl_s * fitting_probes(s)) * 1000;
}

/* An intvl above time holds the next probe back, also on a healthy connection. */
static int probe_period_s(const struct tcpkeep_settings *s)
{
	return MAX(s->time_s, has(s, TCPKEEP_INTVL) ? s->intvl_s : 1);
}

EXPORT uint32_t tcpkeep_settings_warnings(const struct tcpkeep_settings *s)
{
	bool user_timeout = has(s, TCPKEEP_USER_TIMEOUT) && s->user_timeout_ms > 0;
	uint32_t w = 0;

	if (has(s, TCPKEEP_ON) && !s->on)
		return user_timeout ? TCPKEEP_WARN_USER_TIMEOUT_OFF : 0;
	/* A user timeout replaces the count, so that probes=1 harms nobody then. */
	if (has(s, TCPKEEP_PROBES) && s->probes == 1 && !user_timeout)
		w |= TCPKEEP_WARN_ONE_PROBE;
	if (has(s, TCPKEEP_PROBES) && s->probes <= 0)
		w |= TCPKEEP_WARN_PROBES_ZERO;
	if (has(s, TCPKEEP_INTVL) && s->intvl_s <= 0)
		w |= TCPKEEP_WARN_INTVL_ZERO;
	if (has(s, TCPKEEP_TIME) && s->time_s <= 0)
		w |= TCPKEEP_WARN_TIME_NEVER;
	else if (has(s, TCPKEEP_TIME) && probe_period_s(s) < CHATTY_BELOW_S)
		w |= TCPKEEP_WARN_CHATTY;
	if (has(s, TCPKEEP_TIME | TCPKEEP_INTVL) && s->intvl_s > s->time_s && s->time_s > 0)
		w |= TCPKEEP_WARN_INTVL_OVER_TIME;
	if (user_timeout && has(s, TCPKEEP_TIME | TCPKEEP_INTVL) &&
	    s->user_timeout_ms <= first_death_ms(s))
		w |= TCPKEEP_WARN_USER_TIMEOUT_SHORT;
	if (user_timeout && s->user_timeout_ms > USER_TIMEOUT_HUGE_MS)
		w |= TCPKEEP_WARN_USER_TIMEOUT_HUGE;
	return w;
}

static int write_words(enum tcpkeep_warning warning, const struct tcpkeep_settings *s, char *buf,
		       size_t size)
{
	char a[DURATION_TEXT_MAX], b[DURATION_TEXT_MAX], c[DURATION_TEXT_MAX];

	switch (warning) {
	case TCPKEEP_WARN_ONE_PROBE:
		return snprintf(buf, size,
				"probes=1: a single lost packet kills a healthy connection; "
				"use 3 or more");
	case TCPKEEP_WARN_USER_TIMEOUT_SHORT:
		return snprintf(
			buf, size,
			"user-timeout=%s is not above time+intvl=%s: a single lost packet kills "
			"a healthy connection, and probes no longer counts; use %s or more (time + "
			"intvl x %d)",
			duration_format((uint64_t)s->user_timeout_ms, a),
			duration_format((uint64_t)first_death_ms(s), b),
			duration_format((uint64_t)fitting_ms(s), c), fitting_probes(s));
	case TCPKEEP_WARN_INTVL_ZERO:
		return snprintf(buf, size,
				"intvl=%d: a probe on every tick of the kernel, death within "
				"milliseconds; use 1 or more",
				s->intvl_s);
	case TCPKEEP_WARN_PROBES_ZERO:
		return snprintf(buf, size,
				"probes=%d: kills every idle connection, also healthy ones, "
				"without sending a single probe; use 3 or more",
				s->probes);
	case TCPKEEP_WARN_TIME_NEVER:
		return snprintf(buf, size,
				s->time_s < 0
					? "time=%d: never probes; use 1 or more"
					: "time=%d: probes at once and all the time; use 1 or more",
				s->time_s);
	case TCPKEEP_WARN_USER_TIMEOUT_HUGE:
		return snprintf(buf, size,
				"user-timeout=%s is very long; a number without a unit is "
				"seconds: were milliseconds meant (user-timeout=%dms)?",
				duration_format((uint64_t)s->user_timeout_ms, a),
				s->user_timeout_ms / 1000);
	case TCPKEEP_WARN_USER_TIMEOUT_OFF:
		return snprintf(buf, size,
				"user-timeout with keepalive off does nothing for an idle "
				"connection; it only bounds unacknowledged data");
	case TCPKEEP_WARN_CHATTY:
		return snprintf(buf, size,
				"time=%d: %d probes an hour on every idle connection; few "
				"paths need less than time=30",
				s->time_s, 3600 / probe_period_s(s));
	case TCPKEEP_WARN_INTVL_OVER_TIME:
		return snprintf(buf, size,
				"intvl=%d is longer than time=%d: after the first probe the "
				"next come every intvl; a NAT sees one packet every %d s",
				s->intvl_s, s->time_s, s->intvl_s);
	}
	return -EINVAL;
}

EXPORT int tcpkeep_warning_format(enum tcpkeep_warning warning,
				  const struct tcpkeep_settings *settings, char *buf, size_t size)
{
	int n = write_words(warning, settings, buf, size);

	return n >= 0 && (size_t)n >= size ? -ENOBUFS : n;
}
