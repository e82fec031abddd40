/* SPDX-License-Identifier: MIT */
/* So many a second, evenly: what is late is not made up for by a burst. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct pace {
	unsigned per_s;   /* 0: no limit */
	uint64_t next_ns; /* CLOCK_MONOTONIC: when the next one is due */
};

void pace_start(struct pace *pace, unsigned per_s);

/* Waits until at least one is due; how many are, at most max. */
size_t pace_wait(struct pace *pace, size_t max);

/* So many have been done of what pace_wait() allowed. */
void pace_count(struct pace *pace, size_t n);
