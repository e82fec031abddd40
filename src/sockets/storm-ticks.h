/* SPDX-License-Identifier: MIT */
/* The machinery of the simulation: cohorts on the wheel, a tick of it, and the queue behind. */
#pragma once

#include "storm-model.h"
#include "storm-standing.h"

/*
 * A cohort is sockets that the wheel cannot tell apart: armed into one bucket one after the other,
 * with the same history. The kernel runs the buckets of a tick from the coarsest level down
 * (expire_timers() from __run_timers()), and a bucket from the last armed to the first
 * (hlist_add_head()): who lost stands in front the next time, within one bucket.
 */
struct cohort {
	uint64_t tick;  /* in which it fires */
	uint64_t width; /* of its bucket: the level of the wheel */
	uint64_t serial;
	uint64_t heard; /* the tick of the last answer */
	uint64_t sockets;
	unsigned lost; /* in a row */
	unsigned kind; /* index into kinds[] */
};

/* The values that some of the sockets have, in ticks. */
struct kind {
	uint64_t time, intvl;
	uint64_t user_timeout; /* 0: none */
	unsigned probes;       /* lost in a row that it dies of */
};

/* MOVED_MAX: of those that the change moves. */
#define MOVED_MAX    32
#define KINDS_MAX    (MOVED_MAX + STORM_STANDING_KINDS)
#define COHORTS_MAX  16384
#define NONE         UINT32_MAX /* storm.last */
#define SECOND_TICKS 1000       /* the most that HZ can be here */

struct storm {
	const struct storm_load *load;
	const struct storm_cost *cost;
	enum storm_until until;
	struct kind kinds[KINDS_MAX];
	unsigned n_kinds, n_moved; /* the moved ones come first */
	unsigned steps_max;
	uint64_t tick_ns;

	struct cohort *cohorts;
	uint32_t *heap; /* the cohort that fires next first, then the free ones */
	uint32_t used;
	uint32_t last; /* the cohort that was armed last, or NONE */
	uint64_t serial;

	/* The one queue: timers are run before received packets are (softirq order). */
	uint64_t cursor_ns; /* until when the processor sends */
	uint64_t queued;

	uint64_t tick_sent, sent, mark_sent, mark_tick;
	uint64_t last_loss_tick;
	struct {
		uint64_t tick, sent;
	} second[SECOND_TICKS];
	unsigned second_first, second_used;
	uint64_t second_sent;
	struct storm_forecast forecast;
};

/*
 * Puts so many sockets where they fire. Without room for another cohort, they join the one armed
 * before, and of both histories the worse one counts.
 */
void storm_place(struct storm *storm, struct cohort cohort);

/* Arms so many sockets' timers; the cohort says all but when it fires. */
void storm_arm(struct storm *storm, struct cohort cohort, uint64_t now, uint64_t delay);

/* Ticks of cohorts have been changed by hand. */
void storm_reorder(struct storm *storm);

/*
 * All that fires in the next tick: there is one. A tick that begins before the one before it has
 * sent all is run with it, and the queue is not drained in between. How many steps it took.
 */
unsigned storm_run_tick(struct storm *storm);
