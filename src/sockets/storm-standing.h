/* SPDX-License-Identifier: MIT */
/*
 * What probes already, beside the sockets of a change: by values and by the tick of the wheel in
 * which each will probe next. Of a million sockets a few hundred numbers: all timers of a bucket
 * fire together. All are taken to stay silent from now on, which is the worst.
 *
 * Constant memory: where there are more kinds of values or more ticks than fit, values are lowered
 * and ticks put off until they do. That makes the load heavier and more bunched, never lighter.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "change-kind.h"
#include "row.h"

#define STORM_STANDING_KINDS 48
#define STORM_STANDING_BINS  4096

struct storm_standing_kind {
	unsigned time_s, intvl_s;
	unsigned tolerates; /* lost probes in a row that a connection dies of */
	bool ours;          /* the change makes them heavier without moving their timers */
	uint64_t sockets;
};

struct storm_standing_bin {
	uint32_t tick; /* jiffies, the lower half: in which they probe */
	uint8_t kind, level;
	bool together; /* when is not known: with the heaviest of the others */
	uint64_t sockets;
};

struct storm_standing {
	struct storm_standing_kind kinds[STORM_STANDING_KINDS];
	unsigned n_kinds;
	struct storm_standing_bin bins[STORM_STANDING_BINS]; /* a hash; sealed: ordered by tick */
	unsigned n_bins;
	unsigned hz;
	unsigned coarser; /* levels by which ticks have been put off */
	unsigned lowered; /* how far values have been: see storm-standing.c */
	uint32_t now;     /* jiffies, when the first socket was looked at */
	bool now_known;
	uint64_t sockets;
};

/* NULL: out of memory. free() is enough. */
struct storm_standing *storm_standing_new(unsigned hz);

/*
 * A socket whose keepalive is on, with the values that hold for it once the change is done. What
 * does not probe (listeners, what its program has closed) is passed over. 0 or -ENOMEM.
 */
int storm_standing_add(struct storm_standing *standing, const struct socket_row *row,
		       const struct change_values *values, bool ours);

/* Once all have been added, before a forecast. */
void storm_standing_seal(struct storm_standing *standing);

/* Probes in 1000 seconds, of those that are ours or of the others. */
uint64_t storm_standing_rate(const struct storm_standing *standing, bool ours);

/* The kind that sends the most probes. Something stands. */
const struct storm_standing_kind *storm_standing_busiest(const struct storm_standing *standing);

/*
 * The tick at which most of them probe together, among the multiples of width when there are any.
 * False: nothing stands.
 */
bool storm_standing_heaviest(const struct storm_standing *standing, uint64_t width, uint32_t *ret);
