/* SPDX-License-Identifier: MIT */
/*
 * Would keepalive's own probes drown the machine? All timers of one bucket of the wheel fire in the
 * same tick and on one CPU; what they send over loopback or veth waits in a queue of
 * net.core.netdev_max_backlog packets (1000), and what does not fit there is lost, though the
 * kernel counts it as sent. Enough losses in a row, and a healthy connection dies.
 *
 * A pure model: cohorts of sockets by the tick in which they fire, moved over the wheel of
 * keepalive/wheel.h until the load repeats itself. No clock, no I/O, integers only.
 *
 * Who walks the sockets owes the model three things:
 *  - a pace is kept evenly, in steps of a tick or two, not in one step at the start of a second;
 *  - under a pace (per_s != 0) the timer of each socket starts with its own change, at a full time
 *    from then (TCP_KEEPIDLE while SO_KEEPALIVE is off, then SO_KEEPALIVE; off and on again where
 *    it was on). Crediting the silence so far would let all that fell silent together fire
 *    together, however slow the walk;
 *  - each socket's values come from storm_spread().
 *
 * And it may do one thing more: go from one processor to the next with each step of the pace
 * (sched_setaffinity() of the walking thread). Timers stay where they were armed, so a machine
 * whose processors are all awake has as many queues; an idle one lets one processor fire them all,
 * which is why the model counts on one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tcpkeep.h>

struct storm_standing; /* storm-standing.h */

/* What the change is done to, and on what machine. */
struct storm_load {
	uint64_t sockets;                 /* whose keepalive timer the change starts, or moves */
	struct tcpkeep_settings settings; /* what will hold for them: TCPKEEP_THREE present */
	unsigned hz;
	unsigned backlog; /* net.core.netdev_max_backlog */
	/* What probes beside them, sealed; NULL: nothing. */
	const struct storm_standing *standing;
	bool without_ours; /* of it those alone that the change has nothing to do with */
	bool values_fixed; /* a plan may not lower them */
};

/*
 * How the change is spread. Zeroed: all at once, the same values for all. Values are only ever
 * lowered: all by less, and each by up to spread more. A time just below a level of the wheel has
 * buckets eight times finer; an intvl whose ticks meet other buckets' first probes loses every
 * time: then one second less for all saves them all.
 *
 * storm_spread() gives the values and storm_range() their bounds: nobody else need know the members
 * but per_s. A plan that is safe is so with these values only.
 */
struct storm_pace {
	unsigned per_s; /* sockets changed in a second, evenly; 0: as fast as it goes */
	unsigned time_less_s, time_spread_s;
	unsigned intvl_less_s, intvl_spread_s;
};

/* What comes of it. */
struct storm_forecast {
	uint64_t takes_ms;        /* the change itself */
	uint64_t peak_per_tick;   /* probes in the worst tick */
	uint64_t peak_per_s;      /* in the worst second */
	uint64_t average_per_s;   /* in the long run */
	uint64_t lost;            /* probes lost in the first periods, until it repeats itself */
	unsigned lost_in_row_max; /* the most that one healthy connection loses in a row */
	unsigned worst_lost;      /* in a row, by the one that is nearest to death, ... */
	unsigned worst_of;        /* ... which so many would be; 0: nothing is lost */
	uint64_t deaths;          /* healthy connections that die of it */
};

/* What would make a load safe that storm_plan() refuses: each alone; 0: that alone does not. */
struct storm_remedy {
	unsigned backlog; /* net.core.netdev_max_backlog of at least so much */
	int time_s;       /* a longer time */
	int probes;       /* more probes */
};

/* -EINVAL: settings without the three, or off, or out of a socket's range; -ENOMEM. */
int storm_forecast(const struct storm_load *load, const struct storm_pace *pace,
		   struct storm_forecast *ret);

/*
 * A pace that is safe: no probe lost where that can be had within two minutes; else so few in a row
 * that every healthy connection, of those that stand as well, keeps a margin; and only then a
 * longer walk, the quickest. Half of the backlog and twice the processor's work are taken for
 * granted. Returns 1: safe; 0: none is, *ret_pace is the least bad one. ret_forecast is what comes
 * of it with the whole backlog. Errors as storm_forecast().
 */
int storm_plan(const struct storm_load *load, struct storm_pace *ret_pace,
	       struct storm_forecast *ret_forecast);

/* Whether a pace of somebody else's choice is safe by the same rule: 1, 0. Errors as
 * storm_forecast(). */
int storm_is_safe(const struct storm_load *load, const struct storm_pace *pace);

/* What storm_plan() would accept instead. Takes up to a second. Errors as storm_forecast(). */
int storm_remedy(const struct storm_load *load, struct storm_remedy *ret);

/* The values for the serial-th socket that is changed (0, 1, ...): lowers time and intvl. */
void storm_spread(const struct storm_pace *pace, uint64_t serial,
		  struct tcpkeep_settings *settings);

/* The lowest and the highest values that storm_spread() makes of these settings. Returns whether it
 * makes any others than the settings themselves. */
bool storm_range(const struct storm_pace *pace, const struct tcpkeep_settings *settings,
		 struct tcpkeep_settings *ret_lowest, struct tcpkeep_settings *ret_highest);
