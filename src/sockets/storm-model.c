/* SPDX-License-Identifier: MIT */
/* Who is in the simulation, when it begins, and when it has been run for long enough. */
#include "storm-model.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "keepalive/wheel.h"
#include "storm-ticks.h"

/* A step is what one tick does to one cohort: this many keep a forecast within milliseconds. */
#define STEPS_MAX          200000
#define STEPS_STANDING_MAX 80000 /* a plan beside many others is to take less than a second */

/* So many periods without a loss repeat themselves. */
#define QUIET_PERIODS     12
#define QUIET_FAR_PERIODS 1
#define PERIODS_MAX       48

/* A period that is longer than so many of the shortest one is far. */
#define NEAR_TIMES 4

/* Cohorts that are looked at in the time of a step. */
#define LOOKS_IN_STEP 16

/* So long may a walk be in coming, after the look: the plan, the journal, a program to load. */
#define START_KNOWN_S 5

#define WALK_BUCKETS 256

/* Before the start: every socket has been silent for longer. */
#define LONG_AGO_TICKS (1ULL << 36)

#define NS_IN_S 1000000000ULL

/* ------------------------------------------------------------------------------- who is in it */

/* The i-th of n values from most - spread to most, in ticks. */
static uint64_t spread_ticks(const struct storm *storm, unsigned most, unsigned spread, unsigned i,
			     unsigned n)
{
	uint64_t less = n > 1 ? (uint64_t)spread * i / (n - 1) : 0;

	return (most - less) * storm->load->hz;
}

static void make_kinds(struct storm *storm, const struct storm_pace *pace)
{
	const struct tcpkeep_settings *settings = &storm->load->settings;
	unsigned time = storm_lowered(settings->time_s, pace->time_less_s);
	unsigned intvl = storm_lowered(settings->intvl_s, pace->intvl_less_s);
	unsigned times = MIN(pace->time_spread_s, time - 1),
		 intvls = MIN(pace->intvl_spread_s, intvl - 1);
	unsigned most = times > 0 && intvls > 0 ? 5 : MOVED_MAX;
	unsigned n_times = MIN(times + 1, most), n_intvls = MIN(intvls + 1, most);
	uint64_t user_timeout =
		settings->fields & TCPKEEP_USER_TIMEOUT
			? (uint64_t)settings->user_timeout_ms * storm->load->hz / 1000
			: 0;

	for (unsigned i = 0; i < n_times; i++)
		for (unsigned j = 0; j < n_intvls; j++)
			storm->kinds[storm->n_kinds++] = (struct kind){
				.time = spread_ticks(storm, time, times, i, n_times),
				.intvl = spread_ticks(storm, intvl, intvls, j, n_intvls),
				.user_timeout = user_timeout,
				.probes = (unsigned)settings->probes,
			};
	storm->n_moved = storm->n_kinds;
}

/* What probes already: each at the tick that its bucket is of, having been silent for its time. */
static void make_standing(struct storm *storm, uint64_t now)
{
	const struct storm_standing *standing = storm->load->standing;

	for (unsigned i = 0; i < standing->n_kinds; i++)
		storm->kinds[storm->n_kinds++] = (struct kind){
			.time = (uint64_t)standing->kinds[i].time_s * storm->load->hz,
			.intvl = (uint64_t)standing->kinds[i].intvl_s * storm->load->hz,
			.probes = standing->kinds[i].tolerates,
		};
	for (unsigned i = 0; i < standing->n_bins; i++) {
		const struct storm_standing_bin *bin = &standing->bins[i];
		unsigned kind = storm->n_moved + bin->kind;
		/* A timer may be late; and meanwhile it fires, in a walk over a million. */
		uint64_t tick = now + (uint64_t)(int32_t)(bin->tick - standing->now);

		if (storm->load->without_ours && standing->kinds[bin->kind].ours)
			continue;
		storm_place(storm, (struct cohort){
					   .tick = tick,
					   .width = 1ULL << 3 * bin->level,
					   .heard = tick - storm->kinds[kind].time,
					   .sockets = bin->sockets,
					   .kind = kind,
				   });
	}
}

/*
 * When the walk begins, for the worst case. Among others that probe already: how long the walk will
 * be in coming is known to some seconds. With finer buckets than that its first ones are taken to
 * meet the heaviest of the others.
 */
static uint64_t begin_of_walk(const struct storm *storm, uint64_t now)
{
	const struct storm_standing *standing = storm->load->standing;
	uint64_t delay = storm->kinds[0].time, width = wheel_bucket(delay), fires;
	uint32_t heaviest;

	if (!standing)
		return now;
	if (width >= (uint64_t)START_KNOWN_S * storm->load->hz ||
	    !storm_standing_heaviest(standing, width, &heaviest))
		return now - width;
	fires = now + (uint64_t)(int32_t)(heaviest - standing->now) + width - 1;
	fires -= fires % width;
	return fires - delay - 2 * width;
}

/* The walk over the sockets of one kind, in so many ticks: bucket by bucket. */
static void walk_kind(struct storm *storm, unsigned kind, uint64_t begin, uint64_t ticks)
{
	uint64_t delay = storm->kinds[kind].time, n = storm->n_moved;
	uint64_t bucket = wheel_bucket(delay);
	uint64_t sockets = storm->load->sockets / n + (kind < storm->load->sockets % n);
	/* The first bucket is a whole one: the worst case. */
	uint64_t start = begin + bucket - (begin + delay) % bucket;
	uint64_t from = 0, done = 0;

	while (done < sockets) {
		uint64_t now = start + from;
		uint64_t upto = from + tcpkeep_wheel_delay(now, delay) - delay;
		uint64_t share = upto >= ticks ? sockets : (sockets * upto + ticks - 1) / ticks;

		storm_arm(storm, (struct cohort){.sockets = share - done, .kind = kind}, now,
			  delay);
		done = share;
		from = upto;
	}
}

/* How many ticks the walk takes; more than some periods of buckets come to the same. */
static uint64_t walk_ticks(const struct storm *storm, const struct storm_pace *pace)
{
	uint64_t most = WALK_BUCKETS * wheel_bucket(storm->kinds[0].time);

	if (pace->per_s == 0)
		return 1;
	return MAX(MIN(storm->load->sockets * storm->load->hz / pace->per_s, most), 1UL);
}

/* -------------------------------------------------------------------------------------- time */

static bool is_used(const struct storm *storm, unsigned kind)
{
	return kind >= storm->n_moved || storm->load->sockets > 0;
}

/*
 * Periods of minutes and of hours do not fit into one simulation, step by step: those that are not
 * much longer than the shortest are near, and run in full; then those that are far, one after the
 * other, with the time between them left out.
 */
struct periods {
	uint64_t near, far; /* the longest of each; far: 0, there are none */
	uint64_t unlucky;   /* until the last of the near ones has died */
	uint64_t width;     /* the widest bucket of the near ones */
};

static uint64_t period_of(const struct kind *kind)
{
	return MAX(kind->time, kind->intvl);
}

static void find_periods(const struct storm *storm, struct periods *ret)
{
	uint64_t shortest = UINT64_MAX;

	*ret = (struct periods){.near = 1, .width = 1};
	for (unsigned i = 0; i < storm->n_kinds; i++)
		if (is_used(storm, i))
			shortest = MIN(shortest, period_of(&storm->kinds[i]));
	for (unsigned i = 0; i < storm->n_kinds; i++) {
		const struct kind *kind = &storm->kinds[i];
		uint64_t period = period_of(kind);

		if (!is_used(storm, i))
			continue;
		if (period / NEAR_TIMES > shortest) {
			ret->far = MAX(ret->far, period);
			continue;
		}
		ret->near = MAX(ret->near, period);
		ret->width = MAX(ret->width, wheel_bucket(period));
		ret->unlucky =
			MAX(ret->unlucky, (kind->probes + 2) * tcpkeep_wheel_latest(kind->intvl));
	}
}

/* Has been seen what was to be seen? */
static bool is_known(const struct storm *storm)
{
	const struct storm_forecast *forecast = &storm->forecast;

	if (storm->until == STORM_UNTIL_LOSS && forecast->lost > 0)
		return true;
	return storm->until != STORM_UNTIL_END &&
	       (forecast->deaths > 0 ||
		(forecast->worst_of > 0 && forecast->worst_lost >= forecast->worst_of));
}

static unsigned run_near(struct storm *storm, const struct periods *periods, uint64_t loaded)
{
	uint64_t period = periods->near;
	uint64_t most = loaded + MAX(PERIODS_MAX * period, periods->unlucky + 2 * period);
	unsigned steps = 0;

	storm->last_loss_tick = loaded;
	storm->mark_tick = loaded;
	while (storm->used > 0 && steps < storm->steps_max && !is_known(storm)) {
		uint64_t tick = storm->cohorts[storm->heap[0]].tick;

		if (tick > storm->last_loss_tick + QUIET_PERIODS * period || tick > most)
			break;
		if (tick >= storm->mark_tick + period) {
			uint64_t sent = storm->sent - storm->mark_sent;

			storm->forecast.average_per_s =
				sent * storm->load->hz / (tick - storm->mark_tick);
			storm->mark_tick = tick;
			storm->mark_sent = storm->sent;
		}
		steps += storm_run_tick(storm);
	}
	return steps;
}

/* Nothing is lost on it, and it comes round again and again. */
static bool is_tedious(const struct storm *storm, const struct cohort *cohort,
		       const struct periods *periods)
{
	return cohort->lost == 0 && period_of(&storm->kinds[cohort->kind]) <= periods->near;
}

/* Puts off what comes round again and again until the next other one; returns when that is. */
static uint64_t leave_out(struct storm *storm, const struct periods *periods)
{
	uint64_t now = storm->cohorts[storm->heap[0]].tick, next = UINT64_MAX, left_out;

	for (uint32_t i = 0; i < storm->used; i++) {
		const struct cohort *cohort = &storm->cohorts[storm->heap[i]];

		if (!is_tedious(storm, cohort, periods))
			next = MIN(next, cohort->tick);
	}
	/* Whole buckets: who meets whom stays as it is. */
	left_out = next == UINT64_MAX ? 0 : (next - now) / periods->width * periods->width;
	if (left_out == 0)
		return next;
	for (uint32_t i = 0; i < storm->used; i++) {
		struct cohort *cohort = &storm->cohorts[storm->heap[i]];

		if (!is_tedious(storm, cohort, periods))
			continue;
		cohort->tick += left_out;
		cohort->heard += left_out;
	}
	storm_reorder(storm);
	return next;
}

static unsigned run_far(struct storm *storm, const struct periods *periods, unsigned steps)
{
	uint64_t begin = storm->used > 0 ? storm->cohorts[storm->heap[0]].tick : 0;
	uint64_t next = begin;

	storm->last_loss_tick = MAX(storm->last_loss_tick, begin);
	while (storm->used > 0 && steps < storm->steps_max && !is_known(storm)) {
		uint64_t tick = storm->cohorts[storm->heap[0]].tick;

		if (tick > storm->last_loss_tick + QUIET_FAR_PERIODS * periods->far)
			break;
		if (tick >= next) {
			next = MAX(leave_out(storm, periods), tick + 1);
			steps += storm->used / LOOKS_IN_STEP;
		}
		steps += storm_run_tick(storm);
	}
	return steps;
}

/* Those that are far probe seldom, but they do. */
static uint64_t far_per_s(const struct storm *storm, const struct periods *periods)
{
	const struct storm_standing *standing = storm->load->standing;
	uint64_t sent = 0;

	if (storm->load->sockets > 0 && period_of(&storm->kinds[0]) > periods->near)
		sent += storm->load->sockets * storm->load->hz / period_of(&storm->kinds[0]);
	for (unsigned i = storm->n_moved; i < storm->n_kinds; i++)
		if (period_of(&storm->kinds[i]) > periods->near)
			sent += standing->kinds[i - storm->n_moved].sockets * storm->load->hz /
				period_of(&storm->kinds[i]);
	return sent;
}

static void run(struct storm *storm, uint64_t begin, uint64_t walk)
{
	struct periods periods;
	unsigned steps;

	find_periods(storm, &periods);
	/* A walk of hours is left out like a period of hours. */
	if (period_of(&storm->kinds[0]) > periods.near)
		walk = 0;
	steps = run_near(storm, &periods, begin + walk + tcpkeep_wheel_latest(periods.near));
	if (periods.far > 0) {
		storm->forecast.average_per_s += far_per_s(storm, &periods);
		steps = run_far(storm, &periods, steps);
	}
	/* No step left: who has lost half is given up. */
	for (uint32_t i = 0; steps >= storm->steps_max && i < storm->used; i++) {
		const struct cohort *cohort = &storm->cohorts[storm->heap[i]];

		if (2 * cohort->lost > storm->kinds[cohort->kind].probes)
			storm->forecast.deaths += cohort->sockets;
	}
}

int storm_simulate(const struct storm_load *load, const struct storm_pace *pace,
		   const struct storm_cost *cost, enum storm_until until,
		   struct storm_forecast *ret)
{
	_cleanup_free_ struct storm *storm = calloc(1, sizeof(*storm));
	_cleanup_free_ struct cohort *cohorts = calloc(COHORTS_MAX, sizeof(*cohorts));
	_cleanup_free_ uint32_t *heap = calloc(COHORTS_MAX, sizeof(*heap));
	uint64_t now = LONG_AGO_TICKS, begin, walk;

	if (!storm || !cohorts || !heap)
		return -ENOMEM;
	storm->load = load;
	storm->cost = cost;
	storm->until = until;
	storm->steps_max = load->standing ? STEPS_STANDING_MAX : STEPS_MAX;
	storm->cohorts = cohorts;
	storm->heap = heap;
	storm->last = NONE;
	for (uint32_t i = 0; i < COHORTS_MAX; i++)
		heap[i] = i;
	storm->tick_ns = NS_IN_S / load->hz;
	make_kinds(storm, pace);
	if (load->standing) {
		now += load->standing->now;
		make_standing(storm, now);
	}
	begin = begin_of_walk(storm, now);
	walk = walk_ticks(storm, pace);
	for (unsigned kind = 0; kind < storm->n_moved; kind++)
		walk_kind(storm, kind, begin, walk);
	run(storm, MAX(begin, now), walk);
	storm->forecast.takes_ms = pace->per_s ? load->sockets * 1000 / pace->per_s : 0;
	*ret = storm->forecast;
	return 0;
}
