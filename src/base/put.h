/* SPDX-License-Identifier: MIT */
/*
 * Text built by hand, for rows that come by the million: each function writes at its first argument
 * and returns the end of what it wrote, so that calls chain; nothing is ended by a NUL. The caller
 * has the room that is named.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PUT_NUMBER_MAX   20 /* of a 64-bit number, with its sign */
#define PUT_ADDRESS_MAX  48 /* "[" INET6_ADDRSTRLEN "]" without its NUL */
#define PUT_ENDPOINT_MAX (PUT_ADDRESS_MAX + 6)
#define PUT_SPAN_MAX     (PUT_NUMBER_MAX + 13)
#define PUT_SPAN_UNITS   4 /* all there are: days, hours, minutes, seconds */

char *put_uint(char *at, uint64_t value);
char *put_int(char *at, int64_t value);

/* "1,204" */
char *put_grouped(char *at, uint64_t value);

/* Milliseconds as decimal seconds: "12.345". */
char *put_seconds(char *at, uint64_t ms);

/* Whole seconds as durations are written: "2h13m45s", "0s". */
char *put_duration(char *at, uint64_t s);

/*
 * Tenths of seconds as spans are written for people: "43 s", "12.3 s", "2m 5s", "2h 11m 15s". From
 * a minute on the largest units alone, so many at most, and none that is zero.
 */
char *put_span(char *at, uint64_t tenths, unsigned units);

/* "10.0.0.1"; the four bytes as they stand in a packet. */
char *put_ipv4(char *at, const uint8_t address[4]);

/* RFC 5952: "2001:db8::1", "::ffff:10.0.0.1". */
char *put_ipv6(char *at, const uint8_t address[16]);

static inline char *put_text_n(char *at, const char *text, size_t len)
{
	memcpy(at, text, len);
	return at + len;
}

/* A literal's length is known to the compiler. */
static inline char *put_text(char *at, const char *text)
{
	return put_text_n(at, text, strlen(text));
}

static inline char *put_char(char *at, char c)
{
	*at = c;
	return at + 1;
}
