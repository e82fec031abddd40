/* SPDX-License-Identifier: MIT */
/* How far a walk over many sockets is, on stderr: after a second, on a terminal, and not between
 * rows on the same one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	bool wanted, shown;
	size_t done;
	size_t total; /* 0: nobody knows; otherwise it tells how long it will take */
	size_t mask;  /* the clock is read when done has none of these bits */
	uint64_t started_ms, next_ms;
};

/* rows: they are written to stdout meanwhile. */
void progress_start(struct progress *progress, size_t total, bool rows);

/* Shows it when it is time to. */
void progress_look(struct progress *progress);
void progress_clear(struct progress *progress);

static inline void progress_count(struct progress *progress)
{
	if ((++progress->done & progress->mask) == 0 && progress->wanted)
		progress_look(progress);
}
