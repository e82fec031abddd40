/* SPDX-License-Identifier: MIT */
#include "wheel.h"

#include <tcpkeep.h>

#include "base/macro.h"

/* kernel/time/timer.c: 64 buckets a level, each level 8 times coarser; 9 levels when HZ > 100. */
#define LVL_SIZE      64
#define LVL_CLK_SHIFT 3
#define LVL_MAX       8

static unsigned level_of(uint64_t delay)
{
	unsigned level = 0;

	/* LVL_START(n + 1) */
	while (level < LVL_MAX && delay >= (uint64_t)(LVL_SIZE - 1) << (level * LVL_CLK_SHIFT))
		level++;
	return level;
}

uint64_t wheel_bucket(uint64_t delay)
{
	return 1ULL << (level_of(delay) * LVL_CLK_SHIFT);
}

EXPORT uint64_t tcpkeep_wheel_delay(uint64_t now, uint64_t delay)
{
	uint64_t bucket = wheel_bucket(delay);

	/* calc_index(): rounded up to the next bucket, so that no timer fires early. */
	return ((now + delay) / bucket + 1) * bucket - now;
}

EXPORT uint64_t tcpkeep_wheel_latest(uint64_t delay)
{
	return delay + wheel_bucket(delay);
}
