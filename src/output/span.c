/* SPDX-License-Identifier: MIT */
#include "span.h"

#include <stdio.h>

#include "base/macro.h"

/* The units that are not zero: "2h 11m 15s", "1m", "1d 4h". */
static void write_units(uint64_t s, char *buf)
{
	static const struct {
		uint64_t s;
		char name;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		uint64_t value = s / units[i].s;

		s %= units[i].s;
		if (value)
			n += snprintf(buf + n, SPAN_TEXT_MAX - (size_t)n, "%s%llu%c", n ? " " : "",
				      (unsigned long long)value, units[i].name);
	}
}

const char *span_format(uint64_t us, int up, char *buf)
{
	uint64_t tenths, s;

	if (us == UINT64_MAX) {
		snprintf(buf, SPAN_TEXT_MAX, "never");
		return buf;
	}
	tenths = us / 100000 + (up && us % 100000 ? 1 : 0);
	if (tenths < 600) {
		if (tenths % 10)
			snprintf(buf, SPAN_TEXT_MAX, "%u.%u s", (unsigned)(tenths / 10),
				 (unsigned)(tenths % 10));
		else
			snprintf(buf, SPAN_TEXT_MAX, "%u s", (unsigned)(tenths / 10));
		return buf;
	}
	s = tenths / 10 + (up && tenths % 10 ? 1 : 0);
	write_units(s, buf);
	return buf;
}
