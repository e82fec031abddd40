/* SPDX-License-Identifier: MIT */
/* What the environment asks for: ours, the predecessors', and what is wrong with it. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "inject/plan.h"
#include "unit/unit.h"

/* The environment of the test that runs: NAME=value, ended by NULL. */
static const char *const *environment;
static char complaints[1024];

static const char *lookup(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; environment[i]; i++)
		if (strncmp(environment[i], name, len) == 0 && environment[i][len] == '=')
			return environment[i] + len + 1;
	return NULL;
}

static void complain(const char *message)
{
	size_t n = strlen(complaints);

	assert_null(strchr(message, '\n'));
	snprintf(complaints + n, sizeof(complaints) - n, "%s\n", message);
}

struct plan_case {
	const char *variables[5];
	const char *settings; /* as tcpkeep_settings_format() writes them, "" = none */
	bool enforce, reread, debug;
	const char *complains; /* a part of what is said; NULL: nothing is */
};

static const struct plan_case cases[] = {
	{{"TCPKEEP=time=60 intvl=10,probes=6"}, "on time=60 intvl=10 probes=6"},
	{{"TCPKEEP=on"}, "on"},
	{{"TCPKEEP=\tuser-timeout=2m "}, "on user-timeout=2m"},
	{{"TCPKEEP=idle=5 mode=enforce"}, "on time=5", .enforce = true},
	{{"TCPKEEP=idle=5 mode=enforce mode=default"}, "on time=5"},
	{{"TCPKEEP=off"}, ""},
	{{"TCPKEEP=off mode=enforce"}, "off", .enforce = true},
	{{"TCPKEEP=time=abc intvl=3"}, "on intvl=3", .complains = "TCPKEEP: time: 'abc'"},
	{{"TCPKEEP=tiem=60"}, "", .complains = "did you mean 'time'"},
	{{"TCPKEEP=time=60 mode=Enforce"}, "on time=60", .complains = "mode is default or enforce"},
	{{"TCPKEEP=time=60 time=61"}, "on time=60", .complains = "given twice"},
	{{"TCPKEEP=time=60 report=12/3"}, "on time=60"},
	{{"TCPKEEP=time=60 report=/etc/passwd"}, "on time=60"},
	{{"TCPKEEP=time=60 root="}, "on time=60"},
	{{"TCPKEEP=time=60 root=0"}, "on time=60"},
	{{"TCPKEEP=root=-1 time=60 root=12x root=2147483648"}, "on time=60"},
	{{"TCPKEEP=time=1\x7f"}, "", .complains = "\\x7f"},

	{{NULL}, "on"},
	{{"TCPKEEP="}, "on"},
	{{"TCPKEEP=", "KEEPIDLE=7"}, "on time=7"},
	{{"KEEPIDLE=5", "KEEPINTVL=6", "KEEPCNT=7"}, "on time=5 intvl=6 probes=7"},
	{{"KEEPALIVE=on"}, "on"},
	{{"KEEPALIVE=off", "KEEPIDLE=5"}, ""},
	{{"KEEPIDLE=abc", "KEEPCNT=4"},
	 "on probes=4",
	 .complains = "KEEPIDLE: 'abc' is not a whole number"},
	{{"KEEPIDLE=12x"}, "on", .complains = "'12x'"},
	{{"KEEPIDLE=-1"}, "on", .complains = "'-1'"},
	{{"KEEPIDLE=0"}, "on", .complains = "from 1 to 32767"},
	{{"KEEPIDLE=32768"}, "on", .complains = "from 1 to 32767"},
	{{"KEEPCNT=128"}, "on", .complains = "from 1 to 127"},
	{{"KEEPIDLE=99999999999999999999"}, "on", .complains = "99999999999999999999"},
	{{"KEEPIDLE="}, "on", .complains = "''"},

	{{"DD_TCP_KEEPALIVE_TIME=5", "DD_TCP_KEEPALIVE_INTVL=6", "DD_TCP_KEEPALIVE_PROBES=7"},
	 "on time=5 intvl=6 probes=7"},
	{{"DD_USE_KEEPALIVE=0", "DD_TCP_KEEPALIVE_TIME=5"}, ""},
	{{"DD_USE_KEEPALIVE=1"}, "on"},
	{{"DD_USE_KEEPALIVE=no"}, "on", .complains = "neither 0 nor 1"},
	{{"DD_EVAL_ENVIRONMENT_ONCE=0"}, "on", .reread = true},
	{{"DD_EVAL_ENVIRONMENT_ONCE=1"}, "on"},
	{{"DD_DEBUG=1"}, "on", .debug = true},
	{{"KEEPIDLE=5", "DD_TCP_KEEPALIVE_TIME=6", "DD_TCP_KEEPALIVE_INTVL=7"},
	 "on time=5 intvl=7"},
	{{"KEEPIDLE=x", "DD_TCP_KEEPALIVE_TIME=6"}, "on time=6", .complains = "KEEPIDLE"},
	{{"TCPKEEP=time=1", "KEEPIDLE=5", "DD_EVAL_ENVIRONMENT_ONCE=0", "DD_DEBUG=1"}, "on time=1"},
};

static void test_read(void **state)
{
	const struct plan_case *c = *state;
	char settings[TCPKEEP_SETTINGS_TEXT_MAX];
	struct plan plan;

	environment = c->variables;
	complaints[0] = '\0';
	plan_read(lookup, complain, &plan);
	assert_true(tcpkeep_settings_format(&plan.settings, settings, sizeof(settings)) >= 0);
	assert_string_equal(settings, c->settings);
	assert_int_equal(plan.enforce, c->enforce);
	assert_int_equal(plan.reread, c->reread);
	assert_int_equal(plan.debug, c->debug);
	assert_int_equal(plan.report.pid, 0);
	assert_int_equal(plan.root, 0);
	if (!c->complains)
		assert_string_equal(complaints, "");
	else if (!strstr(complaints, c->complains))
		fail_msg("said: %s", complaints);
	/* Nobody listens: the same. */
	plan_read(lookup, NULL, &plan);
	assert_int_equal(plan.enforce, c->enforce);
}

static void test_round_trip(void **state)
{
	static const struct plan plans[] = {
		{.settings = TCPKEEP_SETTINGS(60, 10, 6)},
		{.settings = {TCPKEEP_ALL, true, 32767, 32767, 127, INT32_MAX},
		 .enforce = true,
		 .report = {INT32_MAX, INT32_MAX, INT64_MAX},
		 .root = INT32_MAX},
		{.settings = {.fields = TCPKEEP_ON}, .enforce = true, .report = {1, 0, 0}},
	};
	char text[PLAN_TEXT_MAX + 8] = "TCPKEEP=";
	const char *variables[] = {text, NULL};
	struct plan again;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
		assert_true(plan_format(&plans[i], text + 8, sizeof(text) - 8) > 0);
		environment = variables;
		complaints[0] = '\0';
		plan_read(lookup, complain, &again);
		assert_string_equal(complaints, "");
		assert_true(tcpkeep_settings_equal(&plans[i].settings, &again.settings));
		assert_int_equal(plans[i].enforce, again.enforce);
		assert_int_equal(plans[i].report.pid, again.report.pid);
		assert_int_equal(plans[i].root, again.root);
		assert_int_equal(plans[i].report.fd, again.report.fd);
		assert_true(plans[i].report.nonce == again.report.nonce);
	}
	assert_int_equal(plan_format(&plans[0], text, 8), -ENOBUFS);
}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(cases) + 1];
	size_t n = 0;

	for (; n < ARRAY_SIZE(cases); n++)
		tests[n] = (struct CMUnitTest){cases[n].variables[0] ? cases[n].variables[0]
								     : "TCPKEEP is not set",
					       test_read, NULL, NULL, (void *)&cases[n]};
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_round_trip);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return _cmocka_run_group_tests("plan", tests, n, NULL, NULL);
}
