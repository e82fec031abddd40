/* SPDX-License-Identifier: MIT */
/* The model's events against what was observed, one by one. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "model.h"

/*
 * The model's bounds hold the wheel's whole bucket already. This is for the machine: a tick that a
 * busy processor handles late, the time between a system call and our clock.
 */
#define GRACE_NS (20 * NS_PER_MS)

/* The tick at which a system call took effect, when it took longer than so many: not told exactly.
 */
#define MAX_START_TICKS 4
/* Between a stamp and the timer that is started because of it; what measuring the ticks cannot
 * tell. */
#define STAMP_BEFORE_NS (200 * NS_PER_US)
#define STAMP_AFTER_NS  (400 * NS_PER_US)

struct prediction {
	struct tcpkeep_event events[OBSERVED_MAX];
	size_t n;
};

/* What our own firewall drops happens all the same, unseen. */
static bool shows(const struct scenario *scenario, const struct tcpkeep_event *event)
{
	return scenario->fault != FAULT_OUTPUT || event->kind == TCPKEEP_EVENT_DEATH;
}

static bool predict(const struct stage *stage, const struct tcpkeep_situation *situation,
		    struct prediction *ret)
{
	struct tcpkeep_timeline timeline;

	ret->n = 0;
	if (tcpkeep_timeline_init(&timeline, situation, &stage->kernel) < 0)
		return false;
	while (ret->n < OBSERVED_MAX && tcpkeep_timeline_next(&timeline, &ret->events[ret->n]) > 0)
		ret->n += shows(stage->scenario, &ret->events[ret->n]);
	return true;
}

/* ----------------------------------------------------------------------------- the situation */

static enum tcpkeep_condition condition_of(const struct scenario *scenario)
{
	switch (scenario->deed) {
	case DEED_NOTHING:
		break;
	case DEED_SEND:
		return TCPKEEP_CONDITION_IN_FLIGHT;
	case DEED_FILL:
		return TCPKEEP_CONDITION_ZERO_WINDOW;
	case DEED_CLOSE:
		return scenario->state == STATE_FIN_WAIT2 ? TCPKEEP_CONDITION_ORPHAN_FIN_WAIT2
							  : TCPKEEP_CONDITION_IN_FLIGHT;
	}
	return TCPKEEP_CONDITION_IDLE;
}

static enum tcpkeep_peer peer_of(const struct scenario *scenario)
{
	switch (scenario->fault) {
	case FAULT_NONE:
		return TCPKEEP_PEER_ANSWERS;
	case FAULT_RETURNS:
		return TCPKEEP_PEER_RETURNS;
	case FAULT_GONE:
	case FAULT_REJECTS:
		return TCPKEEP_PEER_RESETS;
	case FAULT_FILTER:
	case FAULT_RULE:
	case FAULT_UNREACHABLE:
	case FAULT_OUTPUT:
	case FAULT_DEAF_TO_EMPTY:
		break;
	}
	return TCPKEEP_PEER_SILENT;
}

static uint64_t since_us(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (to_ns - from_ns) / NS_PER_US : 0;
}

static void describe_timer(const struct stage *stage, uint64_t start_ns,
			   struct tcpkeep_situation *situation)
{
	int time_s = stage->settings.fields & TCPKEEP_TIME ? stage->settings.time_s
							   : stage->kernel.sysctls.time_s;
	uint64_t full_us = (uint64_t)MAX(time_s, 0) * 1000000;
	uint64_t passed_us = since_us(stage->start_lo_ns, start_ns);

	switch (stage->scenario->arming) {
	case ARMING_FULL:
		/* Data goes out a moment after the options were written. */
		situation->timer_known = true;
		situation->timer_us = full_us > passed_us ? full_us - passed_us : 0;
		break;
	case ARMING_DIAG:
		situation->timer_known = true;
		situation->timer_us = stage->timer_us;
		break;
	case ARMING_CREDIT:
	case ARMING_CONNECT:
		break;
	}
}

static void describe(const struct stage *stage, const struct observation *observation,
		     uint64_t start_ns, struct tcpkeep_situation *ret)
{
	const struct scenario *scenario = stage->scenario;

	*ret = (struct tcpkeep_situation){
		.settings = stage->settings,
		.condition = condition_of(scenario),
		.peer = peer_of(scenario),
		.returns_us = stage->returned ? since_us(start_ns, stage->returns_lo_ns)
					      : scenario->returns_ms * 1000,
		.orphan = scenario->deed == DEED_CLOSE,
		.silence_us = since_us(observation->heard_ns, start_ns),
		.rto_ms = stage->rto_ms,
	};
	describe_timer(stage, start_ns, ret);
	if (observation->first_retransmission_ns)
		ret->first_timeout_ms =
			stage->rto_ms +
			(unsigned)(since_us(start_ns, observation->first_retransmission_ns) / 1000);
}

uint64_t judge_latest_us(const struct stage *stage)
{
	struct tcpkeep_situation situation;
	struct observation nothing = {
		.heard_ns = stage->start_lo_ns - stage->scenario->start_ms * NS_PER_MS,
	};
	struct prediction prediction;

	describe(stage, &nothing, stage->start_lo_ns, &situation);
	if (stage->scenario->tail_loss_probe)
		situation.first_timeout_ms = 3 * stage->rto_ms;
	if (!predict(stage, &situation, &prediction) || prediction.n == 0)
		return TCPKEEP_NEVER;
	return prediction.n == OBSERVED_MAX ? TCPKEEP_NEVER
					    : prediction.events[prediction.n - 1].at_us;
}

/* -------------------------------------------------------------------------------- comparison */

struct comparison {
	struct stage *stage;
	struct observation observation;
	struct prediction earliest, latest, exact;
	uint64_t now_ns;
	struct verdict *verdict;
};

static bool disagree(struct comparison *c, const char *format, ...) PRINTF_LIKE(2, 3);

static bool disagree(struct comparison *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->verdict->why, sizeof(c->verdict->why), format, args);
	va_end(args);
	return false;
}

static bool error_agrees(struct comparison *c, const struct observed *seen,
			 const struct tcpkeep_event *event)
{
	int expected = c->stage->scenario->error ? c->stage->scenario->error : event->error;

	if (seen->kind != TCPKEEP_EVENT_DEATH && seen->kind != TCPKEEP_EVENT_RESET)
		return true;
	if (seen->error == expected)
		return true;
	return disagree(c, "the error is %s instead of %s", strerror(seen->error),
			strerror(expected));
}

/*
 * A processor whose tick comes before jiffies are advanced, which another one does, looks at its
 * timers a tick later. Where buckets are wider than a tick that is rounded away; it adds up where
 * they are not.
 */
static uint64_t grace(const struct comparison *c, size_t i)
{
	return GRACE_NS + (i + 1) * (1000000000 / c->stage->kernel.hz);
}

static bool event_agrees(struct comparison *c, size_t i)
{
	const struct observation *o = &c->observation;
	const struct observed *seen = &o->events[i];
	const struct tcpkeep_event *first, *last;
	uint64_t lo, hi;

	if (seen->kind == TCPKEEP_EVENT_END)
		return disagree(c, "event %zu is a segment that nobody expects (flags 0x%x)", i + 1,
				seen->flags);
	if (i >= c->earliest.n || i >= c->latest.n)
		return disagree(c, "event %zu, %s, is not predicted", i + 1,
				tcpkeep_event_name(seen->kind));
	first = &c->earliest.events[i];
	last = &c->latest.events[i];
	if (first->kind != last->kind)
		return disagree(c, "the model's bounds differ in event %zu: %s, %s", i + 1,
				tcpkeep_event_name(first->kind), tcpkeep_event_name(last->kind));
	if (seen->kind != last->kind)
		return disagree(c, "event %zu is %s instead of %s", i + 1,
				tcpkeep_event_name(seen->kind), tcpkeep_event_name(last->kind));
	lo = o->start_lo_ns + first->at_us * NS_PER_US - GRACE_NS;
	hi = o->start_hi_ns + last->at_us * NS_PER_US + grace(c, i);
	if (seen->hi_ns < lo || seen->lo_ns > hi)
		return disagree(c, "event %zu, %s, is not in its time", i + 1,
				tcpkeep_event_name(seen->kind));
	return error_agrees(c, seen, last);
}

/* Nothing may be missing, and the end is the one that was told by hand. */
static bool end_agrees(struct comparison *c)
{
	const struct observation *o = &c->observation;
	enum tcpkeep_event_kind ends = c->stage->scenario->ends;
	size_t n = o->n;

	if (ends != TCPKEEP_EVENT_END && (n == 0 || o->events[n - 1].kind != ends))
		return disagree(c, "it does not end in %s", tcpkeep_event_name(ends));
	if (ends == TCPKEEP_EVENT_END && c->stage->dead)
		return disagree(c, "it dies, with %s", strerror(c->stage->error));
	if (n < c->latest.n &&
	    o->start_hi_ns + c->latest.events[n].at_us * NS_PER_US + grace(c, n) < c->now_ns)
		return disagree(c, "%s is missing", tcpkeep_event_name(c->latest.events[n].kind));
	return true;
}

/* ---------------------------------------------------------------------------- to the tick */

static uint64_t ticks_of(const struct ticks *ticks, uint64_t us)
{
	return (us * NS_PER_US + ticks->length_ns / 2) / ticks->length_ns;
}

/* How far the observed is from the tick, in ticks. */
static uint64_t distance(const struct ticks *ticks, const struct observed *seen, uint64_t tick)
{
	uint64_t lo = ticks_at(ticks, seen->lo_ns), hi = ticks_at(ticks, seen->hi_ns);

	if (tick < lo)
		return lo - tick;
	return tick > hi ? tick - hi : 0;
}

/* The largest distance when the start was at that tick; UINT64_MAX: the events differ. */
static uint64_t try_start(struct comparison *c, const struct ticks *ticks, uint64_t start,
			  bool *ret_within_buckets)
{
	const struct observation *o = &c->observation;
	uint64_t start_ns = (uint64_t)((int64_t)(start * ticks->length_ns) + ticks->phase_ns);
	struct tcpkeep_situation situation;
	uint64_t worst = 0, before = 0;

	describe(c->stage, o, start_ns, &situation);
	situation.silence_us =
		(start - ticks_at(ticks, o->heard_ns)) * ticks->length_ns / NS_PER_US;
	situation.wheel = TCPKEEP_WHEEL_EXACT;
	situation.start_jiffies = start;
	*ret_within_buckets = true;
	if (!predict(c->stage, &situation, &c->exact) || c->exact.n < o->n)
		return UINT64_MAX;
	for (size_t i = 0; i < o->n; i++) {
		uint64_t at = ticks_of(ticks, c->exact.events[i].at_us);
		uint64_t delay = at - before, bucket = tcpkeep_wheel_latest(delay) - delay;
		uint64_t d = distance(ticks, &o->events[i], start + at);

		/* See grace(): what adds up is measured from the event before. */
		if (i > 0 && bucket == 1)
			d = MIN(d, distance(ticks, &o->events[i],
					    ticks_at(ticks, o->events[i - 1].hi_ns) + delay));
		if (c->exact.events[i].kind != o->events[i].kind)
			return UINT64_MAX;
		/* A timer that was handled late can throw the next one into the bucket after its
		 * own. */
		if (d > bucket + GRACE_NS / ticks->length_ns)
			*ret_within_buckets = false;
		worst = MAX(worst, d);
		before = at;
	}
	return worst;
}

/* What the model cannot know to the tick: which bucket a timer that somebody else started is in. */
static bool exact_is_possible(const struct stage *stage)
{
	const struct scenario *scenario = stage->scenario;

	return !scenario->tail_loss_probe && !(scenario->arming == ARMING_DIAG && scenario->preset);
}

static bool exact_agrees(struct comparison *c, const struct ticks *ticks)
{
	const struct observation *o = &c->observation;
	uint64_t from, to, best = UINT64_MAX;
	bool within = false;

	if (!ticks->known || !exact_is_possible(c->stage))
		return true;
	from = ticks_at(ticks, o->start_lo_ns - STAMP_BEFORE_NS);
	to = ticks_at(ticks, o->start_hi_ns + STAMP_AFTER_NS);
	if (to - from > MAX_START_TICKS)
		return true;
	for (uint64_t start = from; start <= to; start++) {
		bool within_now;
		uint64_t worst = try_start(c, ticks, start, &within_now);

		if (worst < best) {
			best = worst;
			within = within_now;
		}
	}
	c->verdict->exact = true;
	c->verdict->deviation = (unsigned)MIN(best, (uint64_t)UINT32_MAX);
	return within || disagree(c, "off by %u ticks from the exact prediction, over a bucket",
				  c->verdict->deviation);
}

/* ----------------------------------------------------------------------------------- telling */

static double seconds(uint64_t from_ns, uint64_t ns)
{
	return (double)(int64_t)(ns - from_ns) / 1e9;
}

static void print_both(const struct comparison *c)
{
	const struct observation *o = &c->observation;

	for (size_t i = 0; i < MAX(o->n, c->latest.n) && i < 40; i++) {
		printf("#  %2zu:", i + 1);
		if (i < c->latest.n && i < c->earliest.n)
			printf(" predicted %s at %.3f to %.3f s,",
			       tcpkeep_event_name(c->latest.events[i].kind),
			       (double)c->earliest.events[i].at_us / 1e6,
			       (double)c->latest.events[i].at_us / 1e6);
		if (i < c->exact.n)
			printf(" exactly %.3f,", (double)c->exact.events[i].at_us / 1e6);
		if (i < o->n)
			printf(" measured %s at %.4f to %.4f s, error %d, flags 0x%x",
			       tcpkeep_event_name(o->events[i].kind),
			       seconds(o->start_lo_ns, o->events[i].lo_ns),
			       seconds(o->start_lo_ns, o->events[i].hi_ns), o->events[i].error,
			       o->events[i].flags);
		else if (o->start_hi_ns + c->latest.events[i].at_us * NS_PER_US > c->now_ns)
			i = OBSERVED_MAX;
		printf("\n");
	}
	printf("#  start within %.3f ms, rto %u ms, %zu segments, %u dropped\n",
	       seconds(o->start_lo_ns, o->start_hi_ns) * 1e3, c->stage->rto_ms, c->stage->n_packets,
	       c->stage->dropped);
}

void judge(struct stage *stage, const struct ticks *ticks, uint64_t now_ns, struct verdict *ret)
{
	static struct comparison c; /* too large for a stack; one judge at a time */
	struct tcpkeep_situation situation;
	bool agrees = true;

	*ret = (struct verdict){0};
	c = (struct comparison){.stage = stage, .now_ns = now_ns, .verdict = ret};
	stage->dropped += lab_capture_dropped(stage->capture);
	if (!observe(stage, &c.observation)) {
		snprintf(ret->why, sizeof(ret->why), "%s", stage->trouble);
		return;
	}
	describe(stage, &c.observation, c.observation.start_lo_ns, &situation);
	situation.wheel = TCPKEEP_WHEEL_EARLIEST;
	agrees = predict(stage, &situation, &c.earliest);
	situation.wheel = TCPKEEP_WHEEL_LATEST;
	agrees = agrees && predict(stage, &situation, &c.latest);
	if (stage->dropped)
		agrees = disagree(&c, "the capture lost %u segments", stage->dropped);
	for (size_t i = 0; agrees && i < c.observation.n; i++)
		agrees = event_agrees(&c, i);
	agrees = agrees && end_agrees(&c) && exact_agrees(&c, ticks);
	ret->agrees = agrees;
	ret->compared = c.observation.n;
	if (!agrees)
		print_both(&c);
}
