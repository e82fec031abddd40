/* SPDX-License-Identifier: MIT */
/* The words of selectors: what is refused, and with which words. What is understood:
 * selector-test.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "sockets/selector.h"
#include "unit.h"

static void what_is_needed_is_told(void **state)
{
	static const struct {
		const char *word;
		bool needs_owner, program_cut;
	} cases[] = {
		{"user=root", false, false},
		{"cgroup=/", false, false},
		{"pid=1", true, false},
		{"program=nginx", true, false},
		{"program=systemd-timesyn", true, false},
		{"program=systemd-timesyn*", true, false},
		{"program=systemd-timesyncd", true, true},
		{"program=*-timesyncd", true, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct selector selector = {0};

		assert_int_equal(
			selector_parse_word(&selector, cases[i].word, strlen(cases[i].word), NULL),
			0);
		assert_true(selector.any);
		assert_int_equal(selector.needs_owner, cases[i].needs_owner);
		assert_int_equal(selector.program_cut, cases[i].program_cut);
	}
}

static void bad_texts_are_refused_with_what_where_and_form(void **state)
{
	static const struct {
		const char *text;
		int r;
		size_t offset, length;
		const char *part; /* of the message */
	} bad[] = {
		{"pere=:1", -ENOKEY, 0, 4, "'pere' is not a selector; did you mean 'peer'?"},
		{"dst=:1", -ENOKEY, 0, 3, "did you mean 'peer'?"},
		{"", -ENOKEY, 0, 0, "the selectors are pid, program, user, unit, cgroup"},
		{"time=60", -ENOKEY, 0, 4, "'time' is not a selector"},
		{"nginx", -ENOKEY, 0, 5,
		 "'nginx' lacks its key; write program=nginx for a program"},
		{"5432", -ENOKEY, 0, 4,
		 "'5432' lacks its key; write peer=:5432 or local=:5432 for a port, pid=5432"},
		{"prog=x", -ENOKEY, 0, 4, "'prog' is not a selector; did you mean 'program'?"},
		{"di=in", -ENOKEY, 0, 2, "'di' is not a selector; the selectors are"},
		{":5432", -ENOKEY, 0, 5, "':5432' lacks its side; write peer=:5432 or local=:5432"},
		{"port=22", -ENOKEY, 0, 4, "write peer=:PORT or local=:PORT"},
		{"pid", -EINVAL, 0, 3, "pid lacks its value; write pid=VALUE"},
		{"pid>5", -EINVAL, 3, 2, "pid takes = or !=; write pid=VALUE"},
		{"pid==5", -EINVAL, 3, 2, "pid takes = or !=; write pid=VALUE"},
		{"pid!5", -EINVAL, 3, 2, "pid takes = or !=; write pid=VALUE"},
		{"pid=", -EINVAL, 4, 0,
		 "pid: '' is empty; accepted: process numbers, 1 to 4194304"},
		{"pid=1,,2", -EINVAL, 6, 0, "pid: '' is empty"},
		{"pid=1,x", -EINVAL, 6, 1, "pid: 'x' is not a whole number"},
		{"pid=0", -ERANGE, 4, 1, "pid: '0' is out of range"},
		{"pid=-1", -ERANGE, 4, 2, "pid: '-1' is out of range"},
		{"pid=99999999999999999999", -ERANGE, 4, 20, "is out of range"},
		{"pid=1.5", -EINVAL, 4, 3, "is not a whole number"},
		{"user=", -EINVAL, 5, 0, "user: '' is empty"},
		{"user=no\x1bsuch", -EINVAL, 5, 7, "'no\\x1bsuch' is not a user of this machine"},
		{"user=4294967295", -ERANGE, 5, 10,
		 "is out of range; accepted: users by name or number"},
		{"program=", -EINVAL, 8, 0, "program: '' is empty"},
		{"program=/usr/sbin/nginx", -EINVAL, 8, 15,
		 "is a path; a program goes by its name"},
		{"unit=", -EINVAL, 5, 0, "unit: '' is empty"},
		{"unit=/system.slice", -EINVAL, 5, 13,
		 "is a path; write the unit alone, or cgroup="},
		{"cgroup=", -EINVAL, 7, 0, "cgroup: '' is empty"},
		{"cgroup=/sys/fs/cgroup/x", -EINVAL, 7, 16,
		 "write what follows the mount of cgroup2"},
		{"cgroup=/a/../b", -EINVAL, 7, 7, "has an empty component, '.' or '..'"},
		{"cgroup=/a//b", -EINVAL, 7, 5, "has an empty component"},
		{"cgroup=/a*", -EINVAL, 7, 3, "has a glob"},
		{"netns=", -EINVAL, 6, 0, "netns: '' is empty"},
		{"netns=net:[x]", -EINVAL, 6, 7, "is not a network namespace"},
		{"netns=net:[4", -EINVAL, 6, 6, "lacks its ']'"},
		{"state=", -EINVAL, 6, 0, "is not a state; accepted: ESTABLISHED, SYN-SENT"},
		{"state=nonsense", -EINVAL, 6, 8, "is not a state; accepted: ESTABLISHED"},
		{"state=ESTABLSHED", -EINVAL, 6, 10, "did you mean 'established'?"},
		{"state=estab,lisen", -EINVAL, 12, 5, "did you mean 'listen'?"},
		{"keepalive=yes", -EINVAL, 10, 3, "'yes' is neither on nor off; accepted: on, off"},
		{"direction=up", -EINVAL, 10, 2, "accepted: in, out, listen"},
		{"silent", -EINVAL, 0, 6, "write it in quotes, 'silent>10m'"},
		{"silent=10m", -EINVAL, 6, 2, "silent takes > >= < or <=, with one duration"},
		{"silent!=10m", -EINVAL, 6, 2, "silent takes > >= < or <="},
		{"silent>", -EINVAL, 7, 0,
		 "silent: '' is empty; accepted: a duration up to 49 days"},
		{"silent>10x", -EINVAL, 9, 1, "has a unit other than d, h, m, s or ms"},
		{"silent>1h,2h", -EINVAL, 9, 3, "silent: '1h,2h'"},
		{"silent>50d", -ERANGE, 7, 3,
		 "is out of range; accepted: a duration up to 49 days"},
		{"silent<0", -ERANGE, 7, 1, "write silent<1s"},
		{"peer=", -EINVAL, 5, 0,
		 "peer: '' is empty; write an address, a network or a port"},
		{"peer=:", -EINVAL, 6, 0, "peer: '' is not a port"},
		{"peer=:http", -EINVAL, 6, 4,
		 "'http' is not a port; accepted: a number, or a range"},
		{"peer=:65536", -ERANGE, 6, 5,
		 "'65536' is out of range for a port; accepted: 0 to 65535"},
		{"peer=:-1", -ERANGE, 6, 2, "is out of range for a port"},
		{"peer=:5-", -EINVAL, 8, 0, "'' is not a port"},
		{"peer=:1-2-3", -EINVAL, 8, 3, "'2-3' is not a port"},
		{"peer=:9-5", -EINVAL, 6, 3, "ports 9-5 run backwards; write 5-9"},
		{"peer=443", -EINVAL, 5, 3,
		 "'443' is not an address; did you mean the port, :443?"},
		{"peer=*:443", -EINVAL, 5, 1, "for a port of any address write :PORT"},
		{"peer=localhost:1", -EINVAL, 5, 9, "'localhost' is not an address (names are not"},
		{"peer=10.0.0", -EINVAL, 5, 6, "'10.0.0' is not an address"},
		{"peer=10.0.0.256", -EINVAL, 5, 10, "is not an address"},
		{"peer=10.0.0.0/33", -ERANGE, 14, 2,
		 "length of an IPv4 network; accepted: 0 to 32"},
		{"peer=10.0.0.0/", -EINVAL, 14, 0, "length of an IPv4 network; accepted: 0 to 32"},
		{"peer=::/129", -ERANGE, 8, 3, "length of an IPv6 network; accepted: 0 to 128"},
		{"peer=10.0.0.0/255.0.0.0", -EINVAL, 14, 9, "length of an IPv4 network"},
		{"peer=10.0.0.1:80/24", -EINVAL, 5, 14, "has the port before the length"},
		{"peer=10.1.2.3/8", -EINVAL, 5, 10, "write 10.0.0.0/8, or leave out the length"},
		{"peer=10.1.2.3/8:5-6", -EINVAL, 5, 14, "write 10.0.0.0/8:5-6, or"},
		{"peer=1.2.3.4/0", -EINVAL, 5, 9, "write 0.0.0.0/0, or"},
		{"peer=[2001:db8::1]/32:443", -EINVAL, 5, 20, "write [2001:db8::]/32:443, or"},
		{"peer=2001:db8::1/32", -EINVAL, 5, 14, "write 2001:db8::/32, or"},
		{"peer=::ffff:10.1.2.3/8", -EINVAL, 5, 17, "write 10.0.0.0/8, or"},
		{"peer=:1,10.1.2.3/8", -EINVAL, 8, 10, "write 10.0.0.0/8, or"},
		{"peer=[::1", -EINVAL, 5, 4, "lacks its ']'"},
		{"peer=[::1]80", -EINVAL, 10, 2, "follows the ']'; write [ADDR]/LEN:PORT"},
		{"peer=[::/0]:80", -EINVAL, 5, 9, "has its length inside the brackets"},
		{"peer=[10.0.0.1]:80", -EINVAL, 5, 13, "has brackets, which are for IPv6"},
		{"peer=fe80::1%eth0", -EINVAL, 5, 12, "names an interface"},
		{"peer=fe80:::1", -EINVAL, 5, 8, "is not an IPv6 address"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct selector selector = {0}, before;
		struct tcpkeep_error error = {0};
		size_t len = strlen(bad[i].text);

		assert_int_equal(selector_parse_word(&selector, "state=listen", 12, NULL), 0);
		before = selector;
		if (selector_parse_word(&selector, bad[i].text, len, &error) != bad[i].r)
			fail_msg("%s: not %d: %s", bad[i].text, bad[i].r, error.message);
		if (!strstr(error.message, bad[i].part))
			fail_msg("%s: '%s' lacks '%s'", bad[i].text, error.message, bad[i].part);
		if (error.offset != bad[i].offset || error.length != bad[i].length)
			fail_msg("%s: told at %zu+%zu", bad[i].text, error.offset, error.length);
		assert_memory_equal(&selector, &before, sizeof(selector));
		assert_int_equal(selector_parse_word(&selector, bad[i].text, len, NULL), bad[i].r);
	}
}

static void a_nul_ends_no_name(void **state)
{
	static const char *const words[] = {"program=a\0b", "user=a\0b", "peer=::\0a",
					    "netns=a\0b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct selector selector = {0};
		struct tcpkeep_error error;

		assert_int_equal(
			selector_parse_word(&selector, words[i], strlen(words[i]) + 2, &error),
			-EINVAL);
		assert_non_null(strstr(error.message, "has a NUL byte"));
	}
}

static void more_than_fits_is_refused(void **state)
{
	struct selector selector = {0};
	struct tcpkeep_error error;
	char word[2 * SELECTOR_TEXT_MAX];
	struct socket_row row = {.state = 1, .uid = 1000, .peer_port = MATCH_VALUES_MAX};
	size_t n = 0;

	(void)state;
	for (int i = 0; i < MATCH_CLAUSES_MAX; i++)
		assert_int_equal(selector_parse_word(&selector, "user=1000", 9, &error), 0);
	assert_true(selector_matches(&selector, &row, NULL));
	assert_int_equal(selector_parse_word(&selector, "user=1000", 9, &error), -E2BIG);
	assert_string_equal(
		error.message,
		"more than 16 selectors; several values of one key go by comma: pid=1,2");

	/* All values count, to the last; one more does not fit. */
	memset(&selector, 0, sizeof(selector));
	n = (size_t)snprintf(word, sizeof(word), "peer=");
	for (int i = 1; i <= MATCH_VALUES_MAX; i++)
		n += (size_t)snprintf(word + n, sizeof(word) - n, "%s:%d", i > 1 ? "," : "", i);
	assert_int_equal(selector_parse_word(&selector, word, n, &error), 0);
	assert_int_equal(selector.program.n_values, MATCH_VALUES_MAX);
	assert_true(selector_matches(&selector, &row, NULL));
	row.peer_port++;
	assert_false(selector_matches(&selector, &row, NULL));
	assert_int_equal(selector_parse_word(&selector, "pid=1", 5, &error), -E2BIG);
	assert_non_null(strstr(error.message, "more than 64 values"));

	/* A name that fills the room to its last byte, and one byte more. */
	memset(&selector, 0, sizeof(selector));
	memset(word, '*', sizeof(word));
	memcpy(word, "netns=", 6);
	assert_int_equal(selector_parse_word(&selector, word, 6 + SELECTOR_TEXT_MAX, &error),
			 -E2BIG);
	assert_non_null(strstr(error.message, "longer than 4095 bytes"));
	assert_int_equal(selector_parse_word(&selector, word, 6 + SELECTOR_TEXT_MAX - 1, &error),
			 0);
	assert_int_equal(selector.text_len, SELECTOR_TEXT_MAX);
	assert_int_equal(selector.text[SELECTOR_TEXT_MAX - 1], '\0');
	assert_int_equal(selector_parse_word(&selector, "netns=a", 7, &error), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_needed_is_told),
		cmocka_unit_test(bad_texts_are_refused_with_what_where_and_form),
		cmocka_unit_test(a_nul_ends_no_name),
		cmocka_unit_test(more_than_fits_is_refused),
	};

	return run_unit_tests("selector-parse", tests);
}
