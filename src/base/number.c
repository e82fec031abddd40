/* SPDX-License-Identifier: MIT */
#include "number.h"

#include <errno.h>
#include <stdbool.h>

int number_parse(const char *text, size_t len, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = len > 0 && text[0] == '-';
	bool overflow = false;
	int64_t value = 0;

	if (len == (size_t)negative)
		return -EINVAL;
	for (size_t i = negative; i < len; i++) {
		int digit = text[i] - '0';

		if (digit < 0 || digit > 9)
			return -EINVAL;
		overflow |= __builtin_mul_overflow(value, 10, &value);
		overflow |= __builtin_add_overflow(value, negative ? -digit : digit, &value);
	}
	if (overflow || value < min || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}
