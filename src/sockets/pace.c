/* SPDX-License-Identifier: MIT */
#include "pace.h"

#include <errno.h>
#include <time.h>

#include "base/macro.h"

#define SECOND_NS 1000000000ULL

/* Waiting for less would be a system call for each socket: about a tick of the timers. */
#define GRAIN_NS (4 * SECOND_NS / 1000)

/* What a machine that was busy meanwhile may be behind. */
#define LATE_NS (20 * SECOND_NS / 1000)

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

void pace_start(struct pace *pace, unsigned per_s)
{
	*pace = (struct pace){per_s, now_ns()};
}

static void wait_until(uint64_t at_ns)
{
	struct timespec at = {
		.tv_sec = (time_t)(at_ns / SECOND_NS),
		.tv_nsec = (long)(at_ns % SECOND_NS),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

size_t pace_wait(struct pace *pace, size_t max)
{
	uint64_t now, due;

	if (pace->per_s == 0)
		return max;
	now = now_ns();
	if (now < pace->next_ns) {
		wait_until(MAX(pace->next_ns, now + GRAIN_NS));
		now = now_ns();
	}
	if (now > pace->next_ns + LATE_NS)
		pace->next_ns = now - LATE_NS;
	due = (now - pace->next_ns) * pace->per_s / SECOND_NS + 1;
	return (size_t)MIN(due, (uint64_t)max);
}

void pace_count(struct pace *pace, size_t n)
{
	if (pace->per_s > 0)
		pace->next_ns += n * SECOND_NS / pace->per_s;
}
