/* SPDX-License-Identifier: MIT */
#include "duration.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "macro.h"

/* Descending, as they must stand in a text. */
static const struct unit {
	const char *name;
	uint64_t ms;
} units[] = {
	{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int fail(struct duration_error *ret, int r, size_t offset, size_t length, const char *reason)
{
	*ret = (struct duration_error){offset, length, reason};
	return r;
}

/* The index in units of the word at text, or -1. */
static int find_unit(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, text, len) == 0)
			return (int)i;
	return -1;
}

/* What is wrong with the first character, where a digit has to stand. */
static const char *not_a_digit(const char *text, size_t len, size_t at)
{
	if (at == len)
		return at == 0 ? "is empty" : "ends where a number is expected";
	if (text[at] == '-')
		return "is negative";
	return at == 0 ? "is not a number" : "has something else where a number is expected";
}

int duration_parse(const char *text, size_t len, unsigned flags, uint64_t *ret_ms,
		   struct duration_error *ret_error)
{
	uint64_t total_ms = 0;
	size_t at = 0;
	int last = -1;

	do {
		size_t number_at = at, unit_at;
		uint64_t value = 0;
		int unit;

		if (at == len || !is_digit(text[at]))
			return fail(ret_error, -EINVAL, at, len - at, not_a_digit(text, len, at));
		for (; at < len && is_digit(text[at]); at++)
			if (__builtin_mul_overflow(value, 10, &value) ||
			    __builtin_add_overflow(value, (uint64_t)(text[at] - '0'), &value))
				return fail(ret_error, -ERANGE, number_at, len - number_at,
					    "is too large a number");

		unit_at = at;
		while (at < len && is_letter(text[at]))
			at++;
		if (at == unit_at && at == len && number_at == 0)
			unit = find_unit("s", 1);
		else if (at == unit_at && at == len)
			return fail(ret_error, -EINVAL, number_at, at - number_at,
				    "ends with a number that lacks its unit (d, h, m or s)");
		else
			unit = find_unit(text + unit_at, at - unit_at);
		if (unit < 0)
			return fail(ret_error, -EINVAL, unit_at, len - unit_at,
				    flags & DURATION_MS ? "has a unit other than d, h, m, s or ms"
							: "has a unit other than d, h, m or s");
		if (units[unit].ms == 1 && !(flags & DURATION_MS))
			return fail(ret_error, -EINVAL, unit_at, at - unit_at,
				    "is in milliseconds, which only user-timeout takes");
		if (unit <= last)
			return fail(ret_error, -EINVAL, unit_at, at - unit_at,
				    "has its units out of order; they descend, each once");
		last = unit;

		if (__builtin_mul_overflow(value, units[unit].ms, &value) ||
		    __builtin_add_overflow(total_ms, value, &total_ms))
			return fail(ret_error, -ERANGE, 0, len, "is too large a number");
	} while (at < len);

	*ret_ms = total_ms;
	return 0;
}

const char *duration_format(uint64_t ms, char *buf)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		uint64_t value = ms / units[i].ms;

		ms %= units[i].ms;
		if (value)
			n += (size_t)snprintf(buf + n, DURATION_TEXT_MAX - n, "%llu%s",
					      (unsigned long long)value, units[i].name);
	}
	if (n == 0)
		snprintf(buf, DURATION_TEXT_MAX, "0s");
	return buf;
}
