/* SPDX-License-Identifier: MIT */
/* How far a long walk is, on stderr: after a second, on a terminal, and not between rows on the
 * same one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct list_progress {
	bool wanted, shown;
	size_t rows;
	uint64_t next_ms; /* when it is told again */
};

/* silent: nothing is written to stdout meanwhile. */
void list_progress_start(struct list_progress *progress, bool silent);

void list_progress_show(struct list_progress *progress);
void list_progress_clear(struct list_progress *progress);

/* A clock read for each row would cost more than the row. */
#define LIST_PROGRESS_ROWS 8192

static inline void list_progress_count(struct list_progress *progress)
{
	if (++progress->rows % LIST_PROGRESS_ROWS == 0 && progress->wanted)
		list_progress_show(progress);
}
