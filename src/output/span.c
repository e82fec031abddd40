/* SPDX-License-Identifier: MIT */
#include "span.h"

#include <stdio.h>

#include "base/put.h"

const char *span_format(uint64_t us, int up, char *buf)
{
	uint64_t tenths;

	if (us == UINT64_MAX) {
		snprintf(buf, SPAN_TEXT_MAX, "never");
		return buf;
	}
	tenths = us / 100000 + (up && us % 100000 ? 1 : 0);
	/* From a minute on there are no tenths. */
	if (up && tenths >= 600)
		tenths = (tenths + 9) / 10 * 10;
	*put_span(buf, tenths, PUT_SPAN_UNITS) = '\0';
	return buf;
}
