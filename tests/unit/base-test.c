/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "base/escape.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/nearest.h"
#include "base/number.h"
#include "unit.h"

static void durations_are_read(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {
		{"60", 60000},  {"60s", 60000},
		{"2m", 120000}, {"1h30m", 5400000},
		{"0", 0},       {"1d", 86400000},
		{"500ms", 500}, {"1m1s1ms", 61001},
		{"007", 7000},  {"1d1h1m1s1ms", 90061001},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct duration_error error;
		uint64_t ms = 1;

		assert_int_equal(duration_parse(good[i].text, strlen(good[i].text), DURATION_MS,
						&ms, &error),
				 0);
		assert_int_equal(ms, good[i].ms);
	}
}

static void bad_durations_are_refused_with_the_place(void **state)
{
	static const struct {
		const char *text;
		int r;
		size_t offset;
		const char *reason;
	} bad[] = {
		{"", -EINVAL, 0, "is empty"},
		{"abc", -EINVAL, 0, "is not a number"},
		{"-1", -EINVAL, 0, "is negative"},
		{"12x", -EINVAL, 2, "has a unit other than d, h, m, s or ms"},
		{"1e9", -EINVAL, 1, "has a unit other than d, h, m, s or ms"},
		{"1m1h", -EINVAL, 3, "has its units out of order; they descend, each once"},
		{"1s1s", -EINVAL, 3, "has its units out of order; they descend, each once"},
		{"1h30", -EINVAL, 2, "ends with a number that lacks its unit (d, h, m or s)"},
		{"1 s", -EINVAL, 1, "has a unit other than d, h, m, s or ms"},
		{"99999999999999999999", -ERANGE, 0, "is too large a number"},
		{"999999999999999999d", -ERANGE, 0, "is too large a number"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct duration_error error;
		uint64_t ms = 42;

		assert_int_equal(
			duration_parse(bad[i].text, strlen(bad[i].text), DURATION_MS, &ms, &error),
			bad[i].r);
		assert_int_equal(ms, 42);
		assert_int_equal(error.offset, bad[i].offset);
		assert_string_equal(error.reason, bad[i].reason);
	}
}

static void milliseconds_need_their_flag(void **state)
{
	struct duration_error error;
	uint64_t ms;

	(void)state;
	assert_int_equal(duration_parse("500ms", 5, 0, &ms, &error), -EINVAL);
	assert_string_equal(error.reason, "is in milliseconds, which only user-timeout takes");
}

static void durations_come_back_as_written(void **state)
{
	static const uint64_t values[] = {0, 1, 999, 1000, 61000, 5400000, 86400001, 7199999};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		char text[DURATION_TEXT_MAX];
		struct duration_error error;
		uint64_t ms;

		duration_format(values[i], text);
		assert_int_equal(duration_parse(text, strlen(text), DURATION_MS, &ms, &error), 0);
		assert_int_equal(ms, values[i]);
	}
	{
		char text[DURATION_TEXT_MAX];

		assert_string_equal(duration_format(5400000, text), "1h30m");
		assert_string_equal(duration_format(0, text), "0s");
	}
}

static void numbers_are_read_whole(void **state)
{
	int64_t value = 7;

	(void)state;
	assert_int_equal(number_parse("127", 3, 1, 127, &value), 0);
	assert_int_equal(value, 127);
	assert_int_equal(number_parse("-9223372036854775808", 20, INT64_MIN, INT64_MAX, &value), 0);
	assert_true(value == INT64_MIN);
	value = 7;
	assert_int_equal(number_parse("128", 3, 1, 127, &value), -ERANGE);
	assert_int_equal(number_parse("9223372036854775808", 19, 0, INT64_MAX, &value), -ERANGE);
	assert_int_equal(number_parse("", 0, 0, 9, &value), -EINVAL);
	assert_int_equal(number_parse("-", 1, -9, 9, &value), -EINVAL);
	assert_int_equal(number_parse("+1", 2, 0, 9, &value), -EINVAL);
	assert_int_equal(number_parse(" 1", 2, 0, 9, &value), -EINVAL);
	assert_int_equal(number_parse("1x", 2, 0, 9, &value), -EINVAL);
	assert_int_equal(value, 7);
}

static void the_nearest_word_is_offered(void **state)
{
	static const char *const words[] = {"time", "intvl", "probes", "user-timeout", "on"};

	(void)state;
	assert_string_equal(nearest("tiem", 4, words, ARRAY_SIZE(words)), "time");
	assert_string_equal(nearest("prbes", 5, words, ARRAY_SIZE(words)), "probes");
	assert_string_equal(nearest("usertimeout", 11, words, ARRAY_SIZE(words)), "user-timeout");
	assert_null(nearest("x", 1, words, ARRAY_SIZE(words)));
	assert_null(nearest("elephant", 8, words, ARRAY_SIZE(words)));
	assert_null(nearest("", 0, words, ARRAY_SIZE(words)));
}

static void hostile_bytes_are_escaped(void **state)
{
	static const char hostile[] = "a\033[31m\nb\xff\xc2\x9b\\\xc3\xa9";
	static const char *const turning[] = {
		"\u061c", "\u200e", "\u200f", "\u202e", "\u202a", "\u202d", "\u2066", "\u2069",
	};
	char text[64], tiny[8];

	(void)state;
	assert_string_equal(escape_text(hostile, sizeof(hostile) - 1, text, sizeof(text)),
			    "a\\x1b[31m\\x0ab\\xff\\xc2\\x9b\\\\\xc3\xa9");
	/* What turns the line around: "gpj.exe" would be read as "exe.jpg". */
	for (size_t i = 0; i < ARRAY_SIZE(turning); i++) {
		escape_text(turning[i], strlen(turning[i]), text, sizeof(text));
		for (const char *at = text; *at; at++)
			assert_in_range(*at, 0x20, 0x7e);
	}
	assert_string_equal(escape_text(turning[3], 3, text, sizeof(text)), "\\xe2\\x80\\xae");
	assert_string_equal(escape_text("0123456789", 10, tiny, sizeof(tiny)), "0123...");
	assert_string_equal(escape_text("1234567", 7, tiny, sizeof(tiny)), "1234567");
}

static void the_kernels_own_escapes_are_undone(void **state)
{
	char text[] = "/a\\040b\\134c\\0\\04\\999\\", plain[] = "/run/netns";

	(void)state;
	unescape_octal(text);
	assert_string_equal(text, "/a b\\c\\0\\04\\999\\");
	unescape_octal(plain);
	assert_string_equal(plain, "/run/netns");
}

static void only_true_utf8_is_a_character(void **state)
{
	uint32_t code;

	(void)state;
	assert_int_equal(utf8_decode("\xe2\x82\xac", 3, &code), 3);
	assert_int_equal(code, 0x20ac);
	assert_int_equal(utf8_decode("\xe2\x82", 2, &code), 0);     /* cut short */
	assert_int_equal(utf8_decode("\xc0\xaf", 2, &code), 0);     /* overlong */
	assert_int_equal(utf8_decode("\xed\xa0\x80", 3, &code), 0); /* surrogate */
	assert_int_equal(utf8_decode("\xf4\x90\x80\x80", 4, &code), 0);
	assert_int_equal(utf8_decode("\x80", 1, &code), 0);
}

static void a_file_is_written_whole_or_the_error_told(void **state)
{
	_cleanup_close_ int fd = memfd_create("file", MFD_CLOEXEC);
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	char found[8];

	(void)state;
	assert_int_equal(file_write_synced(fd, "", 0), 0);
	assert_int_equal(file_write_synced(fd, "tcpkeep", 7), 0);
	assert_int_equal(pread(fd, found, sizeof(found), 0), 7);
	assert_memory_equal(found, "tcpkeep", 7);
	assert_int_equal(file_write_synced(full, "tcpkeep", 7), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_read),
		cmocka_unit_test(bad_durations_are_refused_with_the_place),
		cmocka_unit_test(milliseconds_need_their_flag),
		cmocka_unit_test(durations_come_back_as_written),
		cmocka_unit_test(numbers_are_read_whole),
		cmocka_unit_test(the_nearest_word_is_offered),
		cmocka_unit_test(hostile_bytes_are_escaped),
		cmocka_unit_test(the_kernels_own_escapes_are_undone),
		cmocka_unit_test(only_true_utf8_is_a_character),
		cmocka_unit_test(a_file_is_written_whole_or_the_error_told),
	};

	return run_unit_tests("base", tests);
}
