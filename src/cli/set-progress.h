/* SPDX-License-Identifier: MIT */
/* How far a change is and how long it will take, on stderr: after a second, on a terminal. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct set_progress {
	bool wanted, shown;
	size_t done, total;
	uint64_t started_ms, next_ms;
};

/* rows: they are written to stdout meanwhile. */
void set_progress_start(struct set_progress *progress, size_t total, bool rows);
void set_progress_count(struct set_progress *progress);
void set_progress_clear(struct set_progress *progress);
