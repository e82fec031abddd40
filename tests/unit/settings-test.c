/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/macro.h"
#include "unit.h"

static void the_language_is_understood(void **state)
{
	static const struct {
		const char *text;
		struct tcpkeep_settings want;
	} good[] = {
		{"time=60 intvl=10 probes=6", {TCPKEEP_THREE, false, 60, 10, 6, 0}},
		{"time=60,intvl=10,probes=6,user-timeout=2m",
		 {TCPKEEP_THREE | TCPKEEP_USER_TIMEOUT, false, 60, 10, 6, 120000}},
		{"on", {TCPKEEP_ON, true, 0, 0, 0, 0}},
		{"off", {TCPKEEP_ON, false, 0, 0, 0, 0}},
		{" idle=1h,\tinterval=75s\n cnt=9 ", {TCPKEEP_THREE, false, 3600, 75, 9, 0}},
		{"count=3", {TCPKEEP_PROBES, false, 0, 0, 3, 0}},
		{"user-timeout=500ms", {TCPKEEP_USER_TIMEOUT, false, 0, 0, 0, 500}},
		{"user-timeout=off", {TCPKEEP_USER_TIMEOUT, false, 0, 0, 0, 0}},
		{"time=32767 intvl=32767 probes=127", {TCPKEEP_THREE, false, 32767, 32767, 127, 0}},
		{"time=60 time=1m", {TCPKEEP_TIME, false, 60, 0, 0, 0}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct tcpkeep_settings settings;
		struct tcpkeep_error error;

		assert_int_equal(tcpkeep_settings_parse(good[i].text, TCPKEEP_SCOPE_SOCKET,
							&settings, &error),
				 0);
		assert_true(tcpkeep_settings_equal(&settings, &good[i].want));
	}
}

static void bad_texts_are_refused_with_what_where_and_range(void **state)
{
	static const struct {
		const char *text;
		int r;
		size_t offset;
		const char *message;
	} bad[] = {
		{"", -EINVAL, 0,
		 "no setting is given; write for example time=60 intvl=10 probes=6"},
		{"abc", -ENOKEY, 0,
		 "'abc' is not a setting; the settings are time, intvl, probes, user-timeout, on and off"},
		{"tiem=1", -ENOKEY, 0, "'tiem' is not a setting; did you mean 'time'?"},
		{"time", -EINVAL, 0, "time lacks its value; write time=VALUE"},
		{"time=", -EINVAL, 5, "time: '' is empty; accepted: 1 to 32767 seconds"},
		{"time=abc", -EINVAL, 5,
		 "time: 'abc' is not a number; accepted: 1 to 32767 seconds"},
		{"time=12x", -EINVAL, 7,
		 "time: '12x' has a unit other than d, h, m or s; accepted: 1 to 32767 seconds"},
		{"time=-1", -EINVAL, 5, "time: '-1' is negative; accepted: 1 to 32767 seconds"},
		{"time=1e9", -EINVAL, 6,
		 "time: '1e9' has a unit other than d, h, m or s; accepted: 1 to 32767 seconds"},
		{"time=0", -ERANGE, 5, "time: 0 is out of range; accepted: 1 to 32767 seconds"},
		{"time=32768", -ERANGE, 5,
		 "time: 32768 is out of range; accepted: 1 to 32767 seconds"},
		{"time=99999999999999999999", -ERANGE, 5,
		 "time: '99999999999999999999' is too large a number; accepted: 1 to 32767 seconds"},
		{"intvl=500ms", -EINVAL, 9,
		 "intvl: '500ms' is in milliseconds, which only user-timeout takes; accepted: 1 to 32767 "
		 "seconds"},
		{"on time=60 probes=0", -ERANGE, 18,
		 "probes: 0 is out of range; accepted: 1 to 127"},
		{"probes=128", -ERANGE, 7, "probes: 128 is out of range; accepted: 1 to 127"},
		{"probes=3s", -EINVAL, 7, "probes: '3s' is not a whole number; accepted: 1 to 127"},
		{"probes=-3", -EINVAL, 7, "probes: '-3' is negative; accepted: 1 to 127"},
		{"user-timeout=25d", -ERANGE, 13,
		 "user-timeout: 25d is out of range; accepted: off, 1ms to 24d"},
		{"on off", -EINVAL, 3, "both on and off are given"},
		{"time=60 idle=61", -EINVAL, 8, "time is given twice, as 60 and as 61"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct tcpkeep_settings settings = {.fields = 99};
		struct tcpkeep_error error;

		assert_int_equal(tcpkeep_settings_parse(bad[i].text, TCPKEEP_SCOPE_SOCKET,
							&settings, &error),
				 bad[i].r);
		assert_string_equal(error.message, bad[i].message);
		assert_int_equal(error.offset, bad[i].offset);
		assert_int_equal(settings.fields, 99);
	}
}

static void the_sysctls_have_their_own_ranges(void **state)
{
	struct tcpkeep_settings settings;
	struct tcpkeep_error error;

	(void)state;
	assert_int_equal(tcpkeep_settings_parse("time=10d probes=255", TCPKEEP_SCOPE_SYSCTL,
						&settings, &error),
			 0);
	assert_int_equal(settings.time_s, 864000);
	assert_int_equal(tcpkeep_settings_parse("time=0", TCPKEEP_SCOPE_SYSCTL, &settings, &error),
			 -ERANGE);
	assert_int_equal(tcpkeep_settings_parse("on", TCPKEEP_SCOPE_SYSCTL, &settings, &error),
			 -EINVAL);
	assert_int_equal(
		tcpkeep_settings_parse("user-timeout=1m", TCPKEEP_SCOPE_SYSCTL, &settings, &error),
		-EINVAL);
	assert_string_equal(error.message,
			    "user-timeout is not a sysctl; the three are time, intvl and probes");
}

static void hostile_texts_are_shown_escaped(void **state)
{
	struct tcpkeep_settings settings;
	struct tcpkeep_error error;

	(void)state;
	assert_int_equal(
		tcpkeep_settings_parse("\033[2Jx", TCPKEEP_SCOPE_SOCKET, &settings, &error),
		-ENOKEY);
	assert_null(strchr(error.message, '\033'));
}

static void format_and_parse_are_inverse(void **state)
{
	static const char *const texts[] = {
		"on time=60 intvl=10 probes=6 user-timeout=2m",
		"off",
		"time=32767 intvl=32767 probes=127 user-timeout=24d20h31m23s647ms",
		"probes=1 user-timeout=off",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char text[TCPKEEP_SETTINGS_TEXT_MAX];
		struct tcpkeep_settings settings;

		assert_int_equal(
			tcpkeep_settings_parse(texts[i], TCPKEEP_SCOPE_SOCKET, &settings, NULL), 0);
		assert_int_equal(tcpkeep_settings_format(&settings, text, sizeof(text)),
				 strlen(texts[i]));
		assert_string_equal(text, texts[i]);
		assert_int_equal(tcpkeep_settings_format(&settings, text, strlen(texts[i])),
				 -ENOBUFS);
	}
}

static void merge_takes_only_what_is_there(void **state)
{
	struct tcpkeep_settings base = TCPKEEP_SETTINGS(60, 10, 6);
	const struct tcpkeep_settings over = {TCPKEEP_INTVL, false, 1, 20, 2, 3};
	const struct tcpkeep_settings want = TCPKEEP_SETTINGS(60, 20, 6);

	(void)state;
	tcpkeep_settings_merge(&base, &over);
	assert_true(tcpkeep_settings_equal(&base, &want));
}

static void validate_knows_both_scopes(void **state)
{
	struct tcpkeep_settings settings = TCPKEEP_SETTINGS(60, 10, 6);
	struct tcpkeep_error error;

	(void)state;
	assert_int_equal(tcpkeep_settings_validate(&settings, TCPKEEP_SCOPE_SOCKET, &error), 0);
	assert_int_equal(tcpkeep_settings_validate(&settings, TCPKEEP_SCOPE_SYSCTL, &error),
			 -EINVAL);
	settings.fields = TCPKEEP_THREE;
	settings.time_s = 100000;
	assert_int_equal(tcpkeep_settings_validate(&settings, TCPKEEP_SCOPE_SYSCTL, &error), 0);
	assert_int_equal(tcpkeep_settings_validate(&settings, TCPKEEP_SCOPE_SOCKET, &error),
			 -ERANGE);
	assert_string_equal(error.message,
			    "time: 100000 is out of range; accepted: 1 to 32767 seconds");
	settings.fields = 1U << 31;
	assert_int_equal(tcpkeep_settings_validate(&settings, TCPKEEP_SCOPE_SOCKET, NULL), -EINVAL);
}

static uint32_t warnings_of(const char *text)
{
	struct tcpkeep_settings settings;

	assert_int_equal(tcpkeep_settings_parse(text, TCPKEEP_SCOPE_SOCKET, &settings, NULL), 0);
	return tcpkeep_settings_warnings(&settings);
}

static void dangers_are_told(void **state)
{
	const struct tcpkeep_settings sysctls = {TCPKEEP_THREE, false, -1, 0, 0, 0};

	(void)state;
	assert_int_equal(warnings_of("on time=60 intvl=10 probes=6"), 0);
	assert_int_equal(warnings_of("on time=60 intvl=10 probes=6 user-timeout=2m"), 0);
	assert_int_equal(warnings_of("probes=1"), TCPKEEP_WARN_ONE_PROBE);
	assert_int_equal(warnings_of("probes=1 user-timeout=2m"), 0);
	assert_int_equal(warnings_of("time=60 intvl=10 probes=6 user-timeout=70s"),
			 TCPKEEP_WARN_USER_TIMEOUT_SHORT);
	assert_int_equal(warnings_of("time=60 intvl=10 probes=6 user-timeout=71s"), 0);
	assert_int_equal(warnings_of("user-timeout=120000"), TCPKEEP_WARN_USER_TIMEOUT_HUGE);
	assert_int_equal(warnings_of("off user-timeout=30s"), TCPKEEP_WARN_USER_TIMEOUT_OFF);
	assert_int_equal(warnings_of("off probes=1"), 0);
	assert_int_equal(warnings_of("time=9"), TCPKEEP_WARN_CHATTY);
	assert_int_equal(warnings_of("time=9 intvl=10"), TCPKEEP_WARN_INTVL_OVER_TIME);
	assert_int_equal(warnings_of("time=60 intvl=75"), TCPKEEP_WARN_INTVL_OVER_TIME);
	assert_int_equal(tcpkeep_settings_warnings(&sysctls), TCPKEEP_WARN_TIME_NEVER |
								      TCPKEEP_WARN_INTVL_ZERO |
								      TCPKEEP_WARN_PROBES_ZERO);
}

/* What is advised against a short user timeout is one rule, and earns no warning itself. */
static void a_user_timeout_that_fits(void **state)
{
	static const struct {
		const char *settings, *advice;
	} cases[] = {
		{"time=60 intvl=10 probes=6 user-timeout=70s", "use 2m or more (time + intvl x 6)"},
		{"time=60 intvl=10 probes=1 user-timeout=5s",
		 "use 1m30s or more (time + intvl x 3)"},
		{"time=60 intvl=10 user-timeout=5s", "use 1m30s or more (time + intvl x 3)"},
		{"time=32767 intvl=32767 probes=127 user-timeout=1",
		 "use 48d13h2m56s or more (time + intvl x 127)"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tcpkeep_settings settings;
		char text[256];

		assert_int_equal(tcpkeep_settings_parse(cases[i].settings, TCPKEEP_SCOPE_SOCKET,
							&settings, NULL),
				 0);
		assert_true(tcpkeep_warning_format(TCPKEEP_WARN_USER_TIMEOUT_SHORT, &settings, text,
						   sizeof(text)) > 0);
		assert_non_null(strstr(text, cases[i].advice));
	}
}

static void every_warning_has_words(void **state)
{
	const struct tcpkeep_settings settings = {TCPKEEP_ALL, true, 5, 10, 1, 15000};
	char text[256];

	(void)state;
	for (uint32_t bit = 1; bit <= TCPKEEP_WARN_INTVL_OVER_TIME; bit <<= 1) {
		int n = tcpkeep_warning_format((enum tcpkeep_warning)bit, &settings, text,
					       sizeof(text));

		assert_in_range(n, 20, sizeof(text) - 1);
		assert_int_equal(
			tcpkeep_warning_format((enum tcpkeep_warning)bit, &settings, text, 5),
			-ENOBUFS);
	}
	assert_int_equal(
		tcpkeep_warning_format((enum tcpkeep_warning)(1U << 30), &settings, text, 256),
		-EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_language_is_understood),
		cmocka_unit_test(bad_texts_are_refused_with_what_where_and_range),
		cmocka_unit_test(the_sysctls_have_their_own_ranges),
		cmocka_unit_test(hostile_texts_are_shown_escaped),
		cmocka_unit_test(format_and_parse_are_inverse),
		cmocka_unit_test(merge_takes_only_what_is_there),
		cmocka_unit_test(validate_knows_both_scopes),
		cmocka_unit_test(dangers_are_told),
		cmocka_unit_test(a_user_timeout_that_fits),
		cmocka_unit_test(every_warning_has_words),
	};

	return run_unit_tests("settings", tests);
}
