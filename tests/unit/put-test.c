/* SPDX-License-Identifier: MIT */
/* Text built by hand against what the C library writes. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/put.h"
#include "unit.h"

#define CHECK(call, expected)                                                                      \
	do {                                                                                       \
		char buf_[64] = {0}, *at_ = buf_;                                                  \
		char *end_ = (call);                                                               \
		assert_string_equal(buf_, expected);                                               \
		assert_ptr_equal(end_, buf_ + strlen(expected));                                   \
	} while (0)

static void numbers(void **state)
{
	uint64_t value = 1;
	char expected[32];

	(void)state;
	CHECK(put_uint(at_, 0), "0");
	CHECK(put_uint(at_, UINT64_MAX), "18446744073709551615");
	CHECK(put_int(at_, INT64_MIN), "-9223372036854775808");
	CHECK(put_int(at_, -7), "-7");
	for (int i = 0; i < 63; i++, value = value * 2 + (unsigned)i % 3) {
		snprintf(expected, sizeof(expected), "%" PRIu64, value);
		CHECK(put_uint(at_, value), expected);
	}
	CHECK(put_grouped(at_, 0), "0");
	CHECK(put_grouped(at_, 999), "999");
	CHECK(put_grouped(at_, 1204), "1,204");
	CHECK(put_grouped(at_, 1000000), "1,000,000");
	CHECK(put_grouped(at_, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void times(void **state)
{
	(void)state;
	CHECK(put_seconds(at_, 0), "0.000");
	CHECK(put_seconds(at_, 12345), "12.345");
	CHECK(put_seconds(at_, 7), "0.007");
	CHECK(put_duration(at_, 0), "0s");
	CHECK(put_duration(at_, 59), "59s");
	CHECK(put_duration(at_, 60), "1m");
	CHECK(put_duration(at_, 7875), "2h11m15s");
	CHECK(put_duration(at_, 7200), "2h");
	CHECK(put_duration(at_, 86400 + 5), "1d5s");
	CHECK(put_duration(at_, 90000 + 120), "1d1h2m");
	CHECK(put_span(at_, 0, 4), "0 s");
	CHECK(put_span(at_, 123, 1), "12.3 s");
	CHECK(put_span(at_, 430, 2), "43 s");
	CHECK(put_span(at_, 599, 2), "59.9 s");
	CHECK(put_span(at_, 609, 2), "1m");
	CHECK(put_span(at_, 78750, 4), "2h 11m 15s");
	CHECK(put_span(at_, 78750, 2), "2h 11m");
	CHECK(put_span(at_, 72050, 2), "2h");
	CHECK(put_span(at_, 864000, 4), "1d");
	CHECK(put_span(at_, 900001200, 3), "1041d 16h 2m");
	CHECK(put_span(at_, UINT64_MAX, 4), "21350398233460d 3h 6m 1s");
}

static void addresses_are_those_of_inet_ntop(void **state)
{
	/* What is all zero in one bit pattern after the other covers every place of the "::". */
	(void)state;
	for (unsigned pattern = 0; pattern < 256; pattern++) {
		uint8_t address[16] = {0};
		char expected[INET6_ADDRSTRLEN];

		for (unsigned i = 0; i < 8; i++)
			if (pattern >> i & 1) {
				address[2 * i] = (uint8_t)(i % 2 ? 0x20 + i : 0);
				address[2 * i + 1] = (uint8_t)(i + 1);
			}
		/* inet_ntop() writes ::a.b.c.d, which RFC 5952 leaves to known prefixes. */
		if ((pattern & 0x3f) == 0 && pattern & 0x40)
			continue;
		inet_ntop(AF_INET6, address, expected, sizeof(expected));
		CHECK(put_ipv6(at_, address), expected);
	}
}

static void addresses(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"::", "::"},
		{"::1", "::1"},
		{"2001:db8::1", "2001:db8::1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"::ffff:10.0.0.1", "::ffff:10.0.0.1"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"1::", "1::"},
	};
	static const uint8_t v4[4] = {255, 0, 10, 100};
	uint8_t address[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(inet_pton(AF_INET6, cases[i].in, address), 1);
		CHECK(put_ipv6(at_, address), cases[i].out);
	}
	CHECK(put_ipv4(at_, v4), "255.0.10.100");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(times),
		cmocka_unit_test(addresses_are_those_of_inet_ntop),
		cmocka_unit_test(addresses),
	};

	return run_unit_tests("put", tests);
}
