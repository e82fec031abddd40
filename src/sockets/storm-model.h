/* SPDX-License-Identifier: MIT */
/* The simulation below storm_forecast(). */
#pragma once

#include "base/macro.h"
#include "sockets/storm.h"

/* A value that is lowered stays one: at least a second. */
static inline unsigned storm_lowered(int value_s, unsigned less_s)
{
	return (unsigned)value_s - MIN((unsigned)value_s - 1, less_s);
}

/* What a probe over loopback costs one processor. */
struct storm_cost {
	unsigned send_ns;  /* sent from the timer, lost or not */
	unsigned drain_ns; /* a queued one: received, answered, and the answer received */
};

/* How much somebody wants to know. */
enum storm_until {
	STORM_UNTIL_END = 0,
	STORM_UNTIL_LOSS,  /* whether anything is lost */
	STORM_UNTIL_DEATH, /* whether one is lost too often */
};

/*
 * Runs the load until it has been without losses for long, or for a bounded number of steps.
 * The load has been checked. -ENOMEM.
 */
int storm_simulate(const struct storm_load *load, const struct storm_pace *pace,
		   const struct storm_cost *cost, enum storm_until until,
		   struct storm_forecast *ret);
