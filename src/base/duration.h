/* SPDX-License-Identifier: MIT */
/* Durations as people write them: 60, 60s, 2m, 1h30m, 1d, 500ms. Allocation-free. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum duration_flags {
	DURATION_MS = 1 << 0, /* the unit ms is allowed */
};

/* Where and why a text is no duration. */
struct duration_error {
	size_t offset;
	size_t length;
	const char *reason; /* static */
};

/*
 * Parses len bytes, whole. A bare number is seconds; units descend (d, h, m, s, ms), each at most
 * once. -EINVAL: no duration; -ERANGE: it does not fit 64 bits of milliseconds.
 */
int duration_parse(const char *text, size_t len, unsigned flags, uint64_t *ret_ms,
		   struct duration_error *ret_error);

/* Room for every text that duration_format() makes, with the NUL. */
#define DURATION_TEXT_MAX 40

/*
 * Writes a duration the way it is read: "1h30m", "90s" as "1m30s", "1.5s" as "1s500ms", zero as
 * "0s". buf holds DURATION_TEXT_MAX bytes; returns buf.
 */
const char *duration_format(uint64_t ms, char *buf);
