/* SPDX-License-Identifier: MIT */
/* The language of a policy file: what is understood, and what is refused, with which words. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "policy-told.h"

static void the_example_of_the_manual_is_read(void **state)
{
	(void)state;
	read_as("rule \"postgres clients\" { program = \"psql\" peer = { \":5432\", \"10.0.0.0/8\" } "
		"time = 60 intvl = 10 probes = 6 user-timeout = \"2m\" mode = \"default\" }",
		"",
		"rule \"postgres clients\" {\n\tprogram = \"psql\"\n\tpeer = { \":5432\", \"10.0.0.0/8\" }\n"
		"\ton\n\ttime = 60\n\tintvl = 10\n\tprobes = 6\n\tuser-timeout = 2m\n\tmode = \"default\"\n}\n");
}

static void quotes_comments_and_blanks_do_not_matter(void **state)
{
	static const char form[] =
		"rule \"a\" {\n\tcgroup = \"/system.slice\"\n\tpeer = \"10.0.0.0/8\"\n\ton\n\ttime = 60\n"
		"\tmode = \"enforce\"\n}\n";

	(void)state;
	read_as("rule a{peer=10.0.0.0/8 cgroup=/system.slice time=60 mode=enforce}", NULL, form);
	read_as("# one\n// two\n/* three\n four */ rule 'a' {\r\n\r\n peer /* = */ = # x\n"
		" '10.0.0.0/8' cgroup =\n\"/system.slice\" idle = \"1m\" mode='enforce' }",
		NULL, form);
	read_as("\xef\xbb\xbfrule \"a\" { peer = { \"10.0.0.0/8\", } on time = 60s cgroup = "
		"{system.slice} mode = enforce }",
		NULL, form);
	read_as("rule \"\\\"\\\\\" { on netns = 'a\\b' }\n", NULL,
		"rule \"\\\"\\\\\" {\n\tnetns = \"a\\\\b\"\n\ton\n\tmode = \"default\"\n}\n");
}

static void every_selector_and_its_negation(void **state)
{
	(void)state;
	read_as("rule a { program != { psql, 'pg_*,pg?' } user = root unit = { no-such-unit, a.slice } cgroup = / "
		"local != { [2001:db8::]/32:443-8443, 2001:db8::1, ::/0, :80 } peer = 10.1.2.3:5432 "
		"direction = out netns = { blue, 4026531840 } off mode = enforce }",
		NULL,
		"rule \"a\" {\n\tprogram != { \"psql\", \"pg_*\", \"pg?\" }\n\tuser = \"0\"\n"
		"\tunit = { \"no-such-unit.service\", \"a.slice\" }\n\tcgroup = \"/\"\n"
		"\tlocal != { \"[2001:db8::]/32:443-8443\", \"[2001:db8::1]/128\", \"[::]/0\", \":80\" }\n"
		"\tpeer = \"10.1.2.3/32:5432\"\n\tdirection = \"out\"\n\tnetns = { \"blue\", \"4026531840\" }\n"
		"\toff\n\tmode = \"enforce\"\n}\n");
}

static void profiles_stand_anywhere_and_the_rule_wins(void **state)
{
	struct policy policy;
	struct told told;

	(void)state;
	assert_int_equal(read_text("rule a { profile = wan probes = 9 }\n"
				   "profile \"wan\" { time = 600 intvl = 30 count = 5 }\n"
				   "rule b { profile = wan off }\n"
				   "profile u { user-timeout = 30s }\n"
				   "rule c { program = x profile = u }\n",
				   &told, &policy),
			 0);
	assert_int_equal(policy.n_rules, 3);
	assert_int_equal(policy.rules[0].settings.fields, TCPKEEP_ON | TCPKEEP_THREE);
	assert_true(policy.rules[0].settings.on);
	assert_int_equal(policy.rules[0].settings.time_s, 600);
	assert_int_equal(policy.rules[0].settings.probes, 9);
	assert_false(policy.rules[1].settings.on);
	/* A user timeout alone turns nothing on. */
	assert_int_equal(policy.rules[2].settings.fields, TCPKEEP_USER_TIMEOUT);
	assert_int_equal(policy.rules[2].line, 5);
	assert_string_equal(policy.rules[2].path, "text");
	policy_free(&policy);
}

static void keys_that_are_none_get_the_nearest(void **state)
{
	(void)state;
	refused("rule a {\n tmie = 60\n xyzzy = 1\n dport = 5432\n keepidle = 5\n}\n",
		"2: tmie: is not a key of a rule; did you mean 'time'?\n"
		"3: xyzzy: is not a key of a rule; accepted: program, user, unit, cgroup, local, peer, "
		"direction, netns, profile, time, intvl, probes, user-timeout, on, off, mode\n"
		"4: dport: is not a key of a rule; did you mean 'peer'?\n"
		"5: keepidle: is not a key of a rule; did you mean 'time'?\n");
	refused("profile p {\n program = x\n intval = 3\n zz = 2\n on\n}\n",
		"2: program: has its place in a rule; a profile has settings alone: time, intvl, probes, "
		"user-timeout, on, off\n"
		"3: intval: is not a key of a profile; did you mean 'intvl'?\n"
		"4: zz: is not a key of a profile; accepted: time, intvl, probes, user-timeout, on, off\n");
	refused("rlue a {\n on\n}\nrlue \"b\" {\n tmie = 3 on\n}\nfrob = 3\n}\nnonsense\n",
		"1: rlue: is not known; did you mean 'rule'?\n"
		"4: rlue: is not known; did you mean 'rule'?\n"
		"5: tmie: is not a key of a rule; did you mean 'time'?\n"
		"7: frob: stands outside of a rule; write rule \"NAME\" { frob = ... }\n"
		"9: nonsense: is not known; accepted: rule, profile, include\n");
	refused("rule a {\n profile = wna\n}\nprofile wan { on }\nrule b { profile = \"\" }",
		"2: profile: there is none named 'wna'; did you mean 'wan'?\n"
		"5: profile: '' is no name of a profile; accepted: up to 63 bytes\n");
}

static void what_a_new_connection_has_not_is_refused_with_a_reason(void **state)
{
	(void)state;
	refused("rule a {\n pid = 5\n state = established\n keepalive = on\n silent = 5m\n"
		" direction = { in, listen }\n on }\n",
		"2: pid: a process number is gone with the next restart; rules go by program, user, unit or "
		"cgroup\n"
		"3: state: a rule meets each connection as it is made: all are in the same state; leave it "
		"out\n"
		"4: keepalive: a connection that is just made has none to be selected by; to turn it on or off "
		"write on or off\n"
		"5: silent: a connection that is just made has not been silent yet; leave it out (tcpkeep set "
		"has it)\n"
		"6: direction: 'listen' is no connection; accepted: in (what a listener accepts), out\n");
	refused("rule a { on direction = sideways }",
		"1: direction: 'sideways' is no direction; accepted: in, out\n");
}

static void bad_values_have_their_own_line(void **state)
{
	(void)state;
	refused("rule a {\n time = 60x\n intvl = 40000\n probes = 0\n user-timeout = -1\n"
		" peer = {\n  \":5432\",\n  \"10.0.0.1/8\",\n  \"5432\",\n  \"\"\n }\n"
		" user = !root\n program = /bin/ls\n mode = enfrce\n}\n",
		"2: time: '60x' has a unit other than d, h, m or s; accepted: 1 to 32767 seconds\n"
		"3: intvl: 40000 is out of range; accepted: 1 to 32767 seconds\n"
		"4: probes: 0 is out of range; accepted: 1 to 127\n"
		"5: user-timeout: '-1' is negative; accepted: off, 1ms to 24d\n"
		"8: peer: '10.0.0.1/8' has bits set beyond its length; write 10.0.0.0/8, or leave out the "
		"length for one address\n"
		"9: peer: '5432' is not an address; did you mean the port, :5432?\n"
		"10: peer: '' is empty; write an address, a network or a port: 10.0.0.1:5432, 10.0.0.0/8, "
		"[::1]:80, :443\n"
		"12: user: '!root': negation goes before the values; write user != ...\n"
		"13: program: '/bin/ls' is a path; a program goes by its name alone, like nginx\n"
		"14: mode: 'enfrce' is no mode; did you mean 'enforce'?\n");
	refused("rule a { mode = on time = { 1, 2 } intvl != 3 on = 1 off }",
		"1: mode: 'on' is no mode; accepted: default, enforce, leave\n"
		"1: time: takes one value, not a list of 2\n"
		"1: intvl: takes no !=, which is for selectors; write intvl = VALUE\n"
		"1: on: stands alone, without = and a value\n");
}

static void what_is_given_twice_is_refused(void **state)
{
	(void)state;
	refused("rule a { time = 60\n time = 60\n on off peer = :1\n peer = :2\n mode = default mode = default }\n"
		"rule a { on }\nprofile p { on }\nprofile p { on }\nrule c { profile = p profile = p }",
		"2: time: stands twice in one block; once is enough\n"
		"3: on and off contradict each other; give one\n"
		"4: peer: stands twice in one block; several values go into one: peer = { \"...\", \"...\" }\n"
		"5: mode: stands twice in one block; once is enough\n"
		"6: rule \"a\": there is one of this name in text:1; each rule needs its own\n"
		"8: profile \"p\": there is one of this name in text:7; each needs its own\n"
		"9: profile: stands twice in one block; a rule has one at most\n");
	/* With and without: a list is no advice. */
	refused("rule a { program = psql\n program != psql on }\n"
		"rule b { user != { root, daemon }\n user = root on }\n"
		"rule c { program = pg_*\n program != pg_dump on }\n"
		"rule d { peer != :1\n peer != :2 on }",
		"2: program: stands in one block with = and with != for the same: no connection can "
		"ever match; leave one out\n"
		"4: user: stands in one block with = and with != for the same: no connection can ever "
		"match; leave one out\n"
		"6: program: stands in one block with = and with !=; an exception is a rule of its own, "
		"above this one: mode = \"leave\"\n"
		"8: peer: stands twice in one block; several values go into one: peer != { \"...\", "
		"\"...\" }\n");
}

static void rules_without_sense_are_refused(void **state)
{
	(void)state;
	refused("rule a { peer = :1 }\nrule b { mode = leave time = 3 }\nrule \"\" { on }\nrule { on }\n"
		"profile p { }\nrule \"a\tb\" { on }\n"
		"rule 0123456789012345678901234567890123456789012345678901234567890123 { on }\n"
		"rule d { on peer = {} user }\n",
		"1: rule \"a\": sets nothing; write for example time = 60 intvl = 10 probes = 6, or mode = "
		"\"leave\"\n"
		"2: rule \"b\": mode leave sets nothing; take its settings out, or use mode default\n"
		"3: rule: its name is empty; write rule \"NAME\" { ... }\n"
		"4: rule: lacks its name; write rule \"NAME\" { ... }\n"
		"5: profile \"p\": sets nothing; write for example time = 60 intvl = 10 probes = 6\n"
		"6: rule \"a\\x09b\": the name has a control character in it, or what is not UTF-8\n"
		"7: rule \"012345678901234567890123456789012345678901234567890123456789...\": the name is 64 "
		"bytes long; accepted: up to 63\n"
		"8: peer: the list is empty; leave the key out to match all\n"
		"8: user: lacks its value; write user = VALUE\n");
}

static void after_a_syntax_error_the_rest_is_read(void **state)
{
	(void)state;
	refused("rule a {\n probes 6\n time =\n intvl = 10x\n peer = \":1\", \":x\"\n"
		" user = { root\n program = { a b, , c }\n time == 5; local { :1 }\n}\n"
		"rule b { on\nrule c\nrule d { tmie = 1 on }\n",
		"2: probes: lacks its '='; write probes = 6\n"
		"3: time: lacks its value; write time = VALUE\n"
		"4: intvl: '10x' has a unit other than d, h, m or s; accepted: 1 to 32767 seconds\n"
		"5: peer: several values stand in braces; write peer = { \"...\", \"...\" }\n"
		"5: peer: 'x' is not a port; accepted: a number, or a range like 5432-5439\n"
		"6: user: the list lacks its '}'\n"
		"7: program: a comma is missing before 'b'\n"
		"7: program: ',' in a list; write program = { \"VALUE\", \"VALUE\" }\n"
		"8: time: takes = or !=; write time = VALUE\n"
		"8: ';' separates nothing here; leave it out\n"
		"8: local: lacks its '='; write local = { ... }\n"
		"10: rule \"b\": lacks its '}'\n"
		"11: rule: lacks its '{'; write rule \"NAME\" { ... }\n"
		"12: tmie: is not a key of a rule; did you mean 'time'?\n");
	refused("rule a { program = \"x\n on }\nrule b { on program = \"a\\x\" } /* no end",
		"1: 'x' lacks its closing quote; a string ends on its line\n"
		"3: 'a\\\\x' has a backslash that escapes nothing; write \\\\ for a backslash, or use single "
		"quotes\n"
		"3: a comment lacks its end: */\n");
	refused("include \"x.conf\"\ninclude\n{ = }\n\"lost\"\nrule a { on",
		"1: include: this text has no file to be beside\n"
		"2: include: lacks its file; write include \"policy.d/*.conf\"\n"
		"3: '{' is not expected here; rules are written rule \"NAME\" { KEY = VALUE ... }\n"
		"4: 'lost' is not expected here; rules are written rule \"NAME\" { KEY = VALUE ... }\n"
		"5: rule \"a\": lacks its '}'\n");
}

static void one_mistake_is_one_error(void **state)
{
	static const struct {
		const char *text, *remarks;
	} cases[] = {
		{"rule a { time: 60 intvl : 10 probes 6 }",
		 "1: time: takes '=', not ':'; write time = 60\n"
		 "1: intvl: takes '=', not ':'; write intvl = 10\n"
		 "1: probes: lacks its '='; write probes = 6\n"},
		{"rule a { time => 60\n peer = [\":1\", \":2\"]\n local = [ :3 ]\n program = [a,b] on }",
		 "1: time: takes = or !=; write time = VALUE\n"
		 "2: peer: several values stand in braces; write peer = { \"...\", \"...\" }\n"
		 "3: local: several values stand in braces; write local = { \"...\", \"...\" }\n"
		 "4: program: several values stand in braces; write program = { \"...\", \"...\" }\n"},
		{"rule a { user-timeout = 5 s time = 60 program = my long one intvl = 10 }",
		 "1: user-timeout: 's' stands behind its value; write the value without blanks, or in quotes\n"
		 "1: program: 'long' stands behind its value; write the value without blanks, or in quotes\n"},
		{"rule a {\n if (x) { y }\n settings { time = 60 intvl = x }\n peer = :x }",
		 "2: if: is not a key of a rule; accepted: program, user, unit, cgroup, local, peer, "
		 "direction, netns, profile, time, intvl, probes, user-timeout, on, off, mode\n"
		 "3: settings: is not a key of a rule; accepted: program, user, unit, cgroup, local, peer, "
		 "direction, netns, profile, time, intvl, probes, user-timeout, on, off, mode\n"
		 "4: peer: 'x' is not a port; accepted: a number, or a range like 5432-5439\n"},
		{"peer = :1\ntime = 60\nintvl: 10\n}\nrule b { on }\n}\n",
		 "1: peer: stands outside of a rule; write rule \"NAME\" { peer = ... }\n"
		 "6: a '}' closes nothing\n"},
		{"rule a { { time = 60 } }\nprofile p { { on } }\n",
		 "1: '{' is not expected here; rules are written rule \"NAME\" { KEY = VALUE ... }\n"
		 "2: '{' is not expected here; rules are written rule \"NAME\" { KEY = VALUE ... }\n"},
		{"rule a {\n time = 60;\n intvl = 10;\n probes = 6;\n}",
		 "2: ';' separates nothing here; leave it out\n"},
		{"rule a {\n peer = \":1\n time = 60 }\nrule b {\n peer = { :1\n time = 60 }",
		 "2: ':1' lacks its closing quote; a string ends on its line\n"
		 "5: peer: the list lacks its '}'\n"},
		/* What is on its own is no part of it. */
		{"rule a {\n tiem 60\n time = 5 itnvl = 3 mode = enfrce }",
		 "2: tiem: is not a key of a rule; did you mean 'time'?\n"
		 "3: itnvl: is not a key of a rule; did you mean 'intvl'?\n"
		 "3: mode: 'enfrce' is no mode; did you mean 'enforce'?\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refused(cases[i].text, cases[i].remarks);
}

static void typographic_quotes_are_told(void **state)
{
	(void)state;
	refused("rule “pg” {\n peer = {„:5432“,«:x»}\n program = \"psql”\n user = ‘root’ on }\n",
		"1: the quotes at 'pg' are typographic ones; write straight ones: \"pg\"\n"
		"2: the quotes at ':5432' are typographic ones; write straight ones: \":5432\"\n"
		"2: the quotes at ':x' are typographic ones; write straight ones: \":x\"\n"
		"2: peer: 'x' is not a port; accepted: a number, or a range like 5432-5439\n"
		"3: the quotes at 'psql' are typographic ones; write straight ones: \"psql\"\n"
		"4: the quotes at 'root' are typographic ones; write straight ones: \"root\"\n");
	/* Within straight ones, and in comments, they are text. */
	read_as("rule \"Bob’s “own”\" { on } # “no”\n", "",
		"rule \"Bob’s “own”\" {\n\ton\n\tmode = \"default\"\n}\n");
	refused("rule \"a\\\"b” { on }\n",
		"1: 'a\"b” { on }' lacks its closing quote; a string ends on its line\n1: rule: lacks its '{'; write rule \"NAME\" { ... }\n");
}

static void what_is_no_text_is_refused(void **state)
{
	static const char nul[] =
		"rule a { on program = x\0y }\n\xff\xfe # \xe9\n# \x1b[31m\n# ok\n";
	struct policy policy;
	struct told told = {0};

	(void)state;
	assert_int_equal(policy_read_text("text", nul, sizeof(nul) - 1, tell, &told, &policy),
			 -EINVAL);
	assert_string_equal(told.text,
			    "1: a NUL byte; this is no text file\n"
			    "1: program: the value has a NUL byte in it\n"
			    "2: byte 0xff is not UTF-8; save the file as UTF-8\n"
			    "2: \\xff\\xfe: is not known; accepted: rule, profile, include\n"
			    "3: a control character, 0x1b; take it out\n");
}

static void errors_have_an_end(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct policy policy;
	struct told told;
	size_t lines = 0, len;
	FILE *file = open_memstream(&text, &len);

	(void)state;
	for (int i = 0; i < 3000; i++)
		fprintf(file, "x%d\n", i);
	fclose(file);
	assert_int_equal(read_text(text, &told, &policy), -EINVAL);
	for (const char *c = told.text; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 501);
	assert_non_null(strstr(told.text, "501: there are more errors; correct these first\n"));
}

static void rules_have_an_end(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct policy policy;
	struct told told;
	size_t len;
	FILE *file = open_memstream(&text, &len);

	(void)state;
	for (int i = 1; i <= POLICY_RULES_MAX; i++)
		fprintf(file, "rule r%d { peer = :%d time = 60 intvl = 5 }\n", i, i);
	fflush(file);
	assert_int_equal(read_text(text, &told, &policy), 0);
	assert_string_equal(told.text, "");
	assert_int_equal(policy.n_rules, POLICY_RULES_MAX);
	policy_free(&policy);
	/* Told once, however many there are. */
	fprintf(file, "rule more { on }\nrule \"and more\" { on }");
	fclose(file);
	refused(text,
		"257: there are more than 256 rules; several programs, users and addresses fit in "
		"one\n");
}

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifndef HAS_ASAN /* whose shadow takes terabytes of addresses: there is no limit then */
/* More than there is memory for, by a margin in which all else fits. */
static int format_in_little_memory(const struct policy *policy)
{
	struct rlimit limit = {0};
	char *text = NULL;
	size_t pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");
	int r = file ? fscanf(file, "%zu", &pages) : 0;

	if (r != 1)
		return 1;
	limit.rlim_cur = limit.rlim_max = pages * (size_t)getpagesize() + (1 << 20);
	if (setrlimit(RLIMIT_AS, &limit) < 0)
		return 1;
	r = policy_format(policy, &text);
	return r == -ENOMEM && !text ? 0 : 2;
}

static void a_text_that_memory_is_short_for_is_none(void **state)
{
	struct policy_rule *rules, *one;
	struct policy policy, many;
	char addresses[MATCH_VALUES_MAX * 32], line[sizeof(addresses) + 64];
	struct told told;
	int status;
	pid_t child;

	(void)state;
	for (size_t i = 0, n = 0; i < MATCH_VALUES_MAX; i++)
		n += (size_t)snprintf(addresses + n, sizeof(addresses) - n, "%s2001:db8::%zx",
				      i ? ", " : "", i + 1);
	snprintf(line, sizeof(line), "rule a { peer = { %s } on }", addresses);
	assert_int_equal(read_text(line, &told, &policy), 0);
	one = &policy.rules[0];
	many = (struct policy){.n_rules = 4000};
	many.rules = rules = calloc(many.n_rules, sizeof(*rules));
	assert_non_null(rules);
	for (size_t i = 0; i < many.n_rules; i++)
		rules[i] = *one;
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(format_in_little_memory(&many));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	free(rules);
	policy_free(&policy);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_the_manual_is_read),
		cmocka_unit_test(quotes_comments_and_blanks_do_not_matter),
		cmocka_unit_test(every_selector_and_its_negation),
		cmocka_unit_test(profiles_stand_anywhere_and_the_rule_wins),
		cmocka_unit_test(keys_that_are_none_get_the_nearest),
		cmocka_unit_test(what_a_new_connection_has_not_is_refused_with_a_reason),
		cmocka_unit_test(bad_values_have_their_own_line),
		cmocka_unit_test(what_is_given_twice_is_refused),
		cmocka_unit_test(rules_without_sense_are_refused),
		cmocka_unit_test(after_a_syntax_error_the_rest_is_read),
		cmocka_unit_test(one_mistake_is_one_error),
		cmocka_unit_test(typographic_quotes_are_told),
		cmocka_unit_test(what_is_no_text_is_refused),
		cmocka_unit_test(errors_have_an_end),
		cmocka_unit_test(rules_have_an_end),
#ifndef HAS_ASAN
		cmocka_unit_test(a_text_that_memory_is_short_for_is_none),
#endif
	};

	return run_unit_tests("policy-file", tests);
}
