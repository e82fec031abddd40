/* SPDX-License-Identifier: MIT */
/* Every kind of rule, on the running kernel: who is given the settings, and who is not. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "lab/lab.h"
#include "policy-world.h"
#include "unit/unit.h"

#define SET " time = 61 intvl = 11 probes = 7 "

enum ends {
	NEITHER = 0,
	CLIENT = 1,
	SERVER = 2,
	BOTH = 3,
};

static bool is_set(const struct world_end *end)
{
	if (end->on != 1)
		return false;
	assert_int_equal(end->time_s, 61);
	assert_int_equal(end->intvl_s, 11);
	assert_int_equal(end->probes, 7);
	return true;
}

static enum ends ends_of(const struct world_subject *subject)
{
	struct world_pair pair = world_connect(subject);

	assert_int_equal(pair.r, 0);
	return (is_set(&pair.client) ? CLIENT : 0) | (is_set(&pair.server) ? SERVER : 0);
}

/* A selector, and which ends of two connections it holds for. */
static const struct {
	const char *selector;
	struct world_subject one;
	enum ends ends;
	struct world_subject other;
	enum ends other_ends;
} kinds[] = {
	{"", {0}, BOTH, {.address = "::1"}, BOTH},
	{"peer = ':5432'", {0}, CLIENT, {.port = 5433}, NEITHER},
	{"peer != ':5432'", {0}, SERVER, {.port = 5433}, BOTH},
	{"local = ':5432'", {0}, SERVER, {.port = 5433}, NEITHER},
	{"local = ':5400-5432'", {0}, SERVER, {.port = 5433}, NEITHER},
	{"peer = { ':80', ':5433' }", {0}, NEITHER, {.port = 5433}, CLIENT},
	{"peer = '127.0.0.0/8:5432'", {0}, CLIENT, {.address = "::1"}, NEITHER},
	{"peer = '127.0.0.2/31'",
	 {.address = "127.0.0.3"},
	 CLIENT,
	 {.address = "127.0.0.4"},
	 NEITHER},
	{"peer = '127.0.0.1'", {.address = "::ffff:127.0.0.1"}, BOTH, {.address = "::1"}, NEITHER},
	{"local = '127.0.0.0/8:5432'", {.address = "::ffff:127.0.0.1"}, SERVER, {0}, SERVER},
	{"peer = '::/0'", {.address = "::1"}, BOTH, {.address = "::ffff:127.0.0.1"}, NEITHER},
	{"peer = '[::1]:5432'", {.address = "::1"}, CLIENT, {0}, NEITHER},
	{"direction = in", {0}, SERVER, {.address = "::1"}, SERVER},
	{"direction = out", {0}, CLIENT, {.address = "::1"}, CLIENT},
	{"direction != in", {0}, CLIENT, {.address = "::1"}, CLIENT},
	{"program = tk-alpha", {.program = "tk-alpha"}, BOTH, {.program = "tk-alph"}, NEITHER},
	{"program = 'tk-al*[x-z]'",
	 {.program = "tk-alpha-y"},
	 BOTH,
	 {.program = "tk-alpha"},
	 NEITHER},
	{"program != 'tk-a*'", {.program = "tk-beta"}, BOTH, {.program = "tk-alpha"}, NEITHER},
	{"user = 65534", {.uid = 65534}, BOTH, {0}, NEITHER},
	{"user != 65534", {.uid = 65534}, NEITHER, {.uid = 4711}, BOTH},
	{"unit = tk", {.below = "tk.service"}, BOTH, {.below = "tk2.service"}, NEITHER},
	{"unit = 'tk@*'",
	 {.below = "a.slice/tk@7.service/worker"},
	 BOTH,
	 {.below = "a.slice/tk.service"},
	 NEITHER},
	{"unit = a.slice",
	 {.below = "a.slice/tk.service"},
	 BOTH,
	 {.below = "b.slice/tk.service"},
	 NEITHER},
	{"unit != tk", {.below = "tk.service"}, NEITHER, {.below = "plain"}, BOTH},
	{"unit = net.service", {.below = "_net.service"}, BOTH, {0}, NEITHER},
	{"cgroup = 'CGROUP/x'", {.below = "x/deep/er"}, BOTH, {.below = "xy"}, NEITHER},
	{"cgroup != 'CGROUP/x'", {.below = "x"}, NEITHER, {0}, BOTH},
	{"cgroup = /", {0}, BOTH, {.below = "x"}, BOTH},
	{"program = 'tk-*' user = 65534 peer = ':5432' direction = out",
	 {.program = "tk-a", .uid = 65534},
	 CLIENT,
	 {.program = "tk-a"},
	 NEITHER},
};

/* CGROUP stands for the world's own. */
static void write_rule(char *text, size_t size, const char *selector)
{
	const char *at = strstr(selector, "CGROUP");

	snprintf(text, size, "rule 'it' { %.*s%s%s" SET "}",
		 at ? (int)(at - selector) : (int)strlen(selector), selector,
		 at ? world.cgroup : "", at ? at + strlen("CGROUP") : "");
}

static void every_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct policy_kernel_rule count;
		enum ends ends, other_ends;
		char text[512];

		write_rule(text, sizeof(text), kinds[i].selector);
		world_apply(text);
		ends = ends_of(&kinds[i].one);
		other_ends = ends_of(&kinds[i].other);
		if (ends != kinds[i].ends || other_ends != kinds[i].other_ends)
			fail_msg("%s: %d instead of %d, %d instead of %d", kinds[i].selector, ends,
				 kinds[i].ends, other_ends, kinds[i].other_ends);
		count = world_count("it");
		assert_int_equal(count.set, !!(ends & 1) + !!(ends & 2) + !!(other_ends & 1) +
						    !!(other_ends & 2));
		assert_int_equal(count.matched, count.set);
	}
}

static void namespaces(void **state)
{
	struct world_subject inside = {.netns = lab_netns_new(NULL)};
	struct stat st;
	char text[256];

	(void)state;
	assert_true(inside.netns > 0);
	assert_int_equal(fstat(inside.netns, &st), 0);
	snprintf(text, sizeof(text), "rule 'it' { netns = 'net:[%lu]'" SET "}",
		 (unsigned long)st.st_ino);
	world_apply(text);
	assert_int_equal(ends_of(&inside), BOTH);
	assert_int_equal(ends_of(&(struct world_subject){0}), NEITHER);
	snprintf(text, sizeof(text), "rule 'it' { netns != 'net:[%lu]'" SET "}",
		 (unsigned long)st.st_ino);
	world_apply(text);
	assert_int_equal(ends_of(&inside), NEITHER);
	assert_int_equal(ends_of(&(struct world_subject){0}), BOTH);
	close(inside.netns);
}

static void a_name_that_no_namespace_has_is_told(void **state)
{
	struct policy_apply_report report;

	(void)state;
	assert_int_equal(world_try_apply("rule 'it' { netns = 'nowhere-*'" SET "}", &report, NULL),
			 0);
	assert_int_equal(report.netns_unknown, 1);
	assert_string_equal(report.netns_first, "nowhere-*");
	assert_int_equal(ends_of(&(struct world_subject){0}), NEITHER);
}

static void the_first_that_matches_decides(void **state)
{
	struct world_pair pair;

	(void)state;
	world_apply("rule 'not' { peer = ':9' time = 1 }"
		    "rule 'leave' { user = 4711 mode = leave }"
		    "rule 'first' { peer = ':5432' time = 62 }"
		    "rule 'second' { time = 63 }");
	pair = world_connect(&(struct world_subject){0});
	assert_int_equal(pair.client.time_s, 62);
	assert_int_equal(pair.server.time_s, 63);
	assert_int_equal(pair.client.on, 1);
	pair = world_connect(&(struct world_subject){.uid = 4711});
	assert_int_equal(pair.client.on, 0);
	assert_int_equal(pair.server.on, 0);
	assert_int_equal(world_count("leave").matched, 2);
	assert_int_equal(world_count("leave").set, 0);
	assert_int_equal(world_count("first").set, 1);
	assert_int_equal(world_count("second").set, 1);
}

static void two_hundred_and_fifty_six(void **state)
{
	static char text[256 * 160];
	size_t at = 0;

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "rule 'r%u' { peer = '127.0.%u.0/24:%u' program = 'tk-%u' "
				       "time = %u intvl = 1 probes = 2 }\n",
				       i, i, 6000 + i, i % 7, 1000 + i);
	world_apply(text);
	for (unsigned i = 0; i < 256; i += 51) {
		char program[16], address[32];
		struct world_subject subject = {
			.program = program, .address = address, .port = (uint16_t)(6000 + i)};
		struct world_pair pair;

		snprintf(program, sizeof(program), "tk-%u", i % 7);
		snprintf(address, sizeof(address), "127.0.%u.9", i);
		pair = world_connect(&subject);
		assert_int_equal(pair.client.on, 1);
		assert_int_equal(pair.client.time_s, 1000 + i);
		assert_int_equal(pair.server.on, 0);
		snprintf(program, sizeof(program), "tk-%u", (i + 1) % 7);
		assert_int_equal(world_connect(&subject).client.on, 0);
	}
}

/* Its units start after the apply. */
static void a_cgroup_made_later(void **state)
{
	(void)state;
	world_apply("rule 'it' { unit = 'later@*' " SET "}");
	assert_int_equal(ends_of(&(struct world_subject){.below = "later@1.service"}), BOTH);
	assert_int_equal(ends_of(&(struct world_subject){.below = "later@2.service"}), BOTH);
	assert_int_equal(ends_of(&(struct world_subject){.below = "later.service"}), NEITHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind),
		cmocka_unit_test(namespaces),
		cmocka_unit_test(a_name_that_no_namespace_has_is_told),
		cmocka_unit_test(the_first_that_matches_decides),
		cmocka_unit_test(two_hundred_and_fifty_six),
		cmocka_unit_test(a_cgroup_made_later),
	};
	int r;

	if (!world_make())
		return 0;
	r = run_unit_tests("policy-rules", tests);
	world_leave();
	return r;
}
