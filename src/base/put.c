/* SPDX-License-Identifier: MIT */
#include "put.h"

#include <stdbool.h>

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
			    "25262728293031323334353637383940414243444546474849"
			    "50515253545556575859606162636465666768697071727374"
			    "75767778798081828384858687888990919293949596979899";

char *put_uint(char *at, uint64_t value)
{
	char digits[PUT_NUMBER_MAX];
	char *first = digits + sizeof(digits);

	while (value >= 100) {
		first -= 2;
		memcpy(first, pairs + value % 100 * 2, 2);
		value /= 100;
	}
	if (value >= 10) {
		first -= 2;
		memcpy(first, pairs + value * 2, 2);
	} else {
		*--first = (char)('0' + value);
	}
	return put_text_n(at, first, (size_t)(digits + sizeof(digits) - first));
}

char *put_int(char *at, int64_t value)
{
	if (value >= 0)
		return put_uint(at, (uint64_t)value);
	*at = '-';
	return put_uint(at + 1, -(uint64_t)value);
}

char *put_grouped(char *at, uint64_t value)
{
	char digits[PUT_NUMBER_MAX];
	size_t n = (size_t)(put_uint(digits, value) - digits);

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			*at++ = ',';
		*at++ = digits[i];
	}
	return at;
}

char *put_seconds(char *at, uint64_t ms)
{
	uint64_t fraction = ms % 1000;

	at = put_uint(at, ms / 1000);
	*at++ = '.';
	*at++ = (char)('0' + fraction / 100);
	return put_text_n(at, pairs + fraction % 100 * 2, 2);
}

char *put_duration(char *at, uint64_t s)
{
	static const struct {
		unsigned s;
		char name;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}};
	bool some = false;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && s >= 60; i++) {
		if (s < units[i].s)
			continue;
		at = put_uint(at, s / units[i].s);
		*at++ = units[i].name;
		s %= units[i].s;
		some = true;
	}
	if (some && s == 0)
		return at;
	at = put_uint(at, s);
	*at++ = 's';
	return at;
}

char *put_span(char *at, uint64_t tenths, unsigned units)
{
	static const struct {
		unsigned s;
		char name;
	} all[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	uint64_t s = tenths / 10;
	size_t i = 0;

	if (s < 60) {
		at = put_uint(at, s);
		if (tenths % 10)
			at = put_uint(put_char(at, '.'), tenths % 10);
		return put_text(at, " s");
	}
	while (s < all[i].s)
		i++;
	for (const size_t first = i; i < first + units && i < sizeof(all) / sizeof(all[0]); i++) {
		if (s >= all[i].s) {
			if (i > first)
				*at++ = ' ';
			at = put_char(put_uint(at, s / all[i].s), all[i].name);
		}
		s %= all[i].s;
	}
	return at;
}

char *put_ipv4(char *at, const uint8_t address[4])
{
	for (int i = 0; i < 4; i++) {
		if (i > 0)
			*at++ = '.';
		at = put_uint(at, address[i]);
	}
	return at;
}

static char *put_hex(char *at, unsigned word)
{
	static const char digits[] = "0123456789abcdef";

	for (int shift = 12; shift >= 0; shift -= 4)
		if (word >> shift || shift == 0)
			*at++ = digits[word >> shift & 15];
	return at;
}

/* RFC 5952 4.2: the longest run of zero words, two at least, the first of equals. */
static void find_zeros(const unsigned words[8], int n, int *ret_from, int *ret_len)
{
	int from = -1, len = 1;

	for (int i = 0; i < n; i++) {
		int end = i;

		while (end < n && words[end] == 0)
			end++;
		if (end - i > len) {
			from = i;
			len = end - i;
		}
		if (end > i)
			i = end;
	}
	*ret_from = from;
	*ret_len = len;
}

char *put_ipv6(char *at, const uint8_t address[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	unsigned words[8];
	int from, len;

	if (memcmp(address, mapped, sizeof(mapped)) == 0)
		return put_ipv4(put_text(at, "::ffff:"), address + 12);
	for (int i = 0; i < 8; i++)
		words[i] = (unsigned)address[2 * i] << 8 | address[2 * i + 1];
	find_zeros(words, 8, &from, &len);
	for (int i = 0; i < 8; i++) {
		if (i == from) {
			at = put_text(at, "::");
			i += len - 1;
			continue;
		}
		if (i > 0 && i != from + len)
			*at++ = ':';
		at = put_hex(at, words[i]);
	}
	return at;
}
