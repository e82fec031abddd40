/* SPDX-License-Identifier: MIT */
/*
 * A compiled policy, looked up the way the kernel does it, against selector_matches() of each rule
 * in turn: the same rule for every connection.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "policy/policy-compile.h"
#include "unit.h"

/* A connection, and who makes it. */
struct subject {
	struct socket_row row;
	const char *program; /* "": unknown */
	const char *cgroup;
	uint32_t netns;
};

static const char *const programs[] = {
	"",    "psql", "postgres",      "nginx",           "ngin",    "java", "node-1", "node-2",
	"a[b", "x",    "node-exporter", "node-exporter-2", "node-exp"};
static const char *const cgroups[] = {
	"/",
	"/system.slice/nginx.service",
	"/system.slice/nginx.service/worker",
	"/system.slice/system-pg.slice/pg@1.service",
	"/system.slice/system-pg.slice/pg@2.service",
	"/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope",
	"/system.slice2/other.service",
	"/_net.service/deep",
	"/plain/path",
};
static const struct policy_netns named[] = {
	{4026532001, "blue"}, {4026532002, "blue2"}, {4026532003, "red"}};

/* ---- the kernel's look-up, in user space */

static bool glob(const struct policy_glob *g, const char *text)
{
	__u64 at = policy_glob_start(g);

	for (; *text && at; text++)
		at = policy_glob_step(g, at, (__u8)*text);
	return at & g->end;
}

static void ask_program(const struct policy_set *set, const char *program, struct policy_bits *bits)
{
	struct policy_slots holds = {0};

	if (!*program) {
		policy_bits_and(bits, &set->program_unknown);
		return;
	}
	for (__u32 i = 0; i < set->n_programs; i++)
		if (glob(&set->glob[i], program))
			policy_slots_or(&holds, &set->glob_rules[i]);
	policy_slots_and(bits, &holds, &set->empty[POLICY_PROGRAM]);
}

static void ask_unit(const struct policy_set *set, const char *name, size_t len,
		     struct policy_slots *holds)
{
	char text[256];

	snprintf(text, sizeof(text), "%.*s", (int)len, name);
	for (__u32 i = set->n_programs; i < set->n_globs; i++)
		if (glob(&set->glob[i], text))
			policy_slots_or(holds, &set->glob_rules[i]);
}

static void ask_path(const struct policy_set *set, const char *path, size_t len,
		     struct policy_slots *holds)
{
	char text[256];

	snprintf(text, sizeof(text), "%.*s", (int)len, path);
	for (__u32 i = 0; i < set->n_paths; i++)
		if (set->path[i].hash == policy_path_hash(text))
			policy_slots_or(holds, &set->path[i].rules);
}

static void ask_cgroup(const struct policy_set *set, const char *path, struct policy_bits *bits)
{
	struct policy_slots units = {0}, paths = {0};
	const char *unit, *at = path;
	size_t len;

	ask_path(set, "", 0, &paths);
	while (at[0] && at[1]) {
		const char *name = at + 1, *end = strchrnul(name, '/');

		ask_path(set, path, (size_t)(end - path), &paths);
		if (name[0] == '_')
			name++;
		if (end - name > 6 && strncmp(end - 6, ".slice", 6) == 0)
			ask_unit(set, name, (size_t)(end - name), &units);
		at = end;
	}
	unit = cgroup_unit(path, &len);
	if (unit)
		ask_unit(set, unit, len, &units);
	policy_slots_and(bits, &units, &set->empty[POLICY_UNIT]);
	policy_slots_and(bits, &paths, &set->empty[POLICY_CGROUP]);
}

static size_t exact;          /* answers without match_row() */
static size_t programs_exact; /* without a look at the patterns */

static int look_up(const struct policy_set *set, const struct subject *subject)
{
	struct policy_bits bits = set->present;
	struct policy_key key = {.row = subject->row};
	int rule;

	strncpy(key.program, subject->program, sizeof(key.program) - 1);
	key.row.padding[0] = policy_class(set->users, key.row.uid);
	key.row.padding[1] = policy_class(set->netns, subject->netns);
	if (!policy_narrow(set, &key, 0, set->n_program, &bits) ||
	    !policy_narrow_rest(set, &key, &bits))
		return -1;
	programs_exact += policy_bits_within(&bits, &set->program_exact);
	if (!policy_bits_within(&bits, &set->program_exact))
		ask_program(set, subject->program, &bits);
	ask_cgroup(set, subject->cgroup, &bits);
	rule = policy_first_exact(set, &bits);
	exact += rule >= 0;
	if (rule >= 0)
		return rule;
	for (unsigned w = 0; w < POLICY_WORDS; w++)
		for (__u64 left = bits.word[w]; left; left &= left - 1) {
			rule = (int)(w * 64 + policy_lowest(left));
			if (match_row(&set->rule[rule], &key.row))
				return rule;
		}
	return -1;
}

/* ---- what it has to be */

static int expected(const struct policy *policy, const struct subject *subject)
{
	const int pid = 1;
	struct selector_owner owner = {
		.pids = &pid,
		.programs = &subject->program,
		.n = *subject->program ? 1 : 0,
		.cgroup_path = subject->cgroup,
		.netns_inode = subject->netns,
	};
	struct socket_row row = subject->row;

	row.inode = 1;
	for (size_t i = 0; i < ARRAY_SIZE(named); i++)
		if (named[i].inode == subject->netns)
			owner.netns_name = named[i].name;
	for (size_t i = 0; i < policy->n_rules; i++)
		if (selector_matches(&policy->rules[i].selector, &row, &owner))
			return (int)i;
	return -1;
}

static unsigned seed;

static unsigned any(unsigned n)
{
	seed = seed * 1103515245U + 12345U;
	return (seed >> 8) % n;
}

static struct subject any_subject(void)
{
	static const __u8 bytes[] = {0, 1, 10, 127, 192, 255};
	static const __u16 ports[] = {0, 22, 80, 255, 256, 443, 5432, 5433, 8080, 32768, 65535};
	struct subject subject = {
		.program = programs[any(ARRAY_SIZE(programs))],
		.cgroup = cgroups[any(ARRAY_SIZE(cgroups))],
		.netns = 4026532000U + any(5),
	};
	struct socket_row *row = &subject.row;
	bool four = any(2);

	for (size_t i = 0; i < 16; i++) {
		((__u8 *)row->local)[i] = i == 0 ? 0x20 : bytes[any(ARRAY_SIZE(bytes))];
		((__u8 *)row->peer)[i] = i == 0 ? 0x20 : bytes[any(ARRAY_SIZE(bytes))];
	}
	if (four) {
		row->local[0] = row->local[1] = row->peer[0] = row->peer[1] = 0;
		row->local[2] = row->peer[2] = MATCH_BE32(0xffffU);
	}
	row->family = four ? 2 : 10;
	row->state = 1;
	row->local_port = ports[any(ARRAY_SIZE(ports))];
	row->peer_port = ports[any(ARRAY_SIZE(ports))];
	row->direction = any(2) ? ROW_DIRECTION_IN : ROW_DIRECTION_OUT;
	row->uid = any(4);
	return subject;
}

static const char *const words[] = {
	"peer=:5432",
	"peer=:80,:443",
	"peer=10.0.0.0/8",
	"peer=10.0.0.0/8:5432,:8080",
	"peer!=:22",
	"peer!=10.0.0.0/8:5432",
	"peer=::/0",
	"peer!=::/0",
	"peer=2001::/8:200-600",
	"peer!=:0-255",
	"peer=:200-600",
	"peer=:5432-5433",
	"peer=0.0.0.0/0",
	"peer=127.0.0.0/9,192.0.0.0/8",
	"local=:80",
	"local!=:80",
	"local=10.1.0.0/16",
	"local=:256-511",
	"local!=:256-511",
	"direction=in",
	"direction=out",
	"direction!=in",
	"direction=in,out",
	"direction=listen",
	"user=0",
	"user=1,2",
	"user!=3",
	"user!=1,2",
	"program=psql",
	"program=ng*",
	"program=node-[12]",
	"program!=java",
	"program!=n*,psql",
	"program=?",
	"program=a[b",
	"program=*",
	"program=nginx,psql",
	"program=node-exporter",
	"program=node-expor*-[!1]",
	"program=*-2",
	"unit=nginx",
	"unit=pg@*",
	"unit=system.slice",
	"unit!=nginx",
	"unit=*.scope",
	"unit=net.service",
	"unit!=system.slice",
	"cgroup=/system.slice",
	"cgroup=/",
	"cgroup!=/system.slice/system-pg.slice",
	"cgroup=/user.slice,/plain",
	"netns=blue*",
	"netns!=blue",
	"netns=red,4026532004",
};

static struct policy any_policy(size_t n)
{
	struct policy policy = {.rules = calloc(n, sizeof(*policy.rules)), .n_rules = n};

	for (size_t i = 0; i < n; i++) {
		unsigned clauses = any(4);

		snprintf(policy.rules[i].name, sizeof(policy.rules[i].name), "r%zu", i);
		for (unsigned c = 0; c < clauses; c++) {
			const char *word = words[any(ARRAY_SIZE(words))];

			selector_parse_word(&policy.rules[i].selector, word, strlen(word), NULL);
		}
		/* Rare enough that later rules are reached. */
		if (clauses < 2)
			selector_parse_word(&policy.rules[i].selector, "local=:22", 9, NULL);
	}
	return policy;
}

static void looks_up_what_the_selectors_say(void **state)
{
	const struct policy_names names = {named, ARRAY_SIZE(named)};
	static const size_t sizes[] = {1, 2, 5, 64, 65, 256};
	size_t matched = 0, compiled = 0;

	(void)state;
	for (seed = 1; seed < 60; seed++) {
		unsigned start = seed;
		struct policy policy = any_policy(sizes[start % ARRAY_SIZE(sizes)]);
		struct policy_set *set = calloc(1, sizeof(*set));
		struct tcpkeep_error error = {0};
		int r = policy_compile(&policy, &names, set, &error);

		/* Three of one kind that must all hold are refused. */
		if (r < 0)
			assert_int_equal(r, -E2BIG);
		for (unsigned i = 0; i < 1000 && r == 0; i++) {
			struct subject subject = any_subject();
			int rule = look_up(set, &subject);

			if (rule != expected(&policy, &subject))
				fail_msg("seed %u: rule %d instead of %d", start, rule,
					 expected(&policy, &subject));
			matched += rule >= 0;
		}
		compiled += r == 0;
		free(set);
		free(policy.rules);
		seed = start;
	}
	/* It would prove nothing otherwise. */
	assert_true(compiled > 20);
	assert_true(matched > 1000);
	assert_true(exact > 500 && exact < matched);
	assert_true(programs_exact > 500 && programs_exact < matched);
}

/* A '[' that no ']' follows which could be its own. */
static bool is_broken(const char *pattern)
{
	const char *last = strrchr(pattern, '[');

	return last && !(strlen(last) > 3 && strchr(last + 3, ']'));
}

static void globs_are_those_of_fnmatch(void **state)
{
	static const char signs[] = "ab*?[]-!^:.\\";
	size_t yes = 0;

	(void)state;
	seed = 7;
	for (unsigned i = 0; i < 100000; i++) {
		char pattern[12] = "", text[8] = "";
		struct policy_glob compiled;
		unsigned n = any(sizeof(pattern));

		for (unsigned c = 0; c < n; c++)
			pattern[c] = signs[any(sizeof(signs) - 1)];
		n = any(sizeof(text));
		for (unsigned c = 0; c < n; c++)
			text[c] = "ab]-[!"[any(6)];
		/* C libraries do not agree on what a broken bracket is. */
		if (strstr(pattern, "[:") || strstr(pattern, "[.") || is_broken(pattern))
			continue;
		assert_int_equal(policy_glob_compile(pattern, &compiled), 0);
		if (glob(&compiled, text) != (fnmatch(pattern, text, FNM_NOESCAPE) == 0))
			fail_msg("'%s' over '%s'", pattern, text);
		yes += glob(&compiled, text);
	}
	assert_true(yes > 1000);
	assert_int_equal(policy_glob_compile("0123456789012345678901234567890123456789"
					     "012345678901234567890123",
					     &(struct policy_glob){0}),
			 -E2BIG);
}

static void globs_know_classes(void **state)
{
	struct policy_glob compiled;

	(void)state;
	assert_int_equal(policy_glob_compile("[[:digit:]x]*[!a-c]", &compiled), 0);
	assert_true(glob(&compiled, "7z"));
	assert_true(glob(&compiled, "xaaad"));
	assert_false(glob(&compiled, "ad"));
	assert_false(glob(&compiled, "7b"));
}

static void refuses_what_no_connection_has(void **state)
{
	static const char *const bad[] = {"state=established", "keepalive=on", "silent>1m",
					  "pid=1"};
	struct policy_set *set = calloc(1, sizeof(*set));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct policy policy = {.rules = calloc(1, sizeof(*policy.rules)), .n_rules = 1};
		struct tcpkeep_error error = {0};

		strcpy(policy.rules[0].name, "odd");
		assert_int_equal(selector_parse_word(&policy.rules[0].selector, bad[i],
						     strlen(bad[i]), NULL),
				 0);
		assert_int_equal(policy_compile(&policy, NULL, set, &error), -EINVAL);
		assert_non_null(strstr(error.message, "'odd'"));
		free(policy.rules);
	}
	free(set);
}

/* 256 rules, each with its number between these, and perhaps with a port. */
static struct policy_set *compile_256(const char *before, const char *after, bool port)
{
	struct policy policy = {.rules = calloc(256, sizeof(*policy.rules)), .n_rules = 256};
	struct policy_set *set = calloc(1, sizeof(*set));

	for (unsigned i = 0; i < 256; i++) {
		char text[64], number[8] = "", *rest = text;

		if (port)
			snprintf(number, sizeof(number), "%u", 1000 + i);
		snprintf(text, sizeof(text), "%s%u%s%s", before, i, after, number);
		for (const char *word; (word = strsep(&rest, " "));)
			assert_int_equal(selector_parse_word(&policy.rules[i].selector, word,
							     strlen(word), NULL),
					 0);
	}
	assert_int_equal(policy_compile(&policy, NULL, set, NULL), 0);
	free(policy.rules);
	return set;
}

/* The first test of each table ends most connections: 256 rules must not mean 256 questions. */
static void asks_little(void **state)
{
	struct policy_key key = {.row = {.peer_port = 9, .direction = ROW_DIRECTION_OUT}};
	struct policy_set *set = compile_256("peer=10.0.", ".0/24:", true);
	struct policy_bits bits = set->present;

	(void)state;
	assert_int_equal(set->n_cheap, 2);
	assert_false(policy_narrow(set, &key, 0, 2, &bits));
	free(set);
}

/* Nor is a pattern run over a name that begins like none of those in the rules. */
static void asks_for_the_bytes_of_a_name(void **state)
{
	struct policy_set *set = compile_256("program=worker", "", false);
	struct policy_key key = {.program = "nginx"};
	struct policy_bits bits = set->present;

	(void)state;
	assert_int_equal(set->n_cheap, 0);
	assert_false(policy_narrow(set, &key, 0, 1, &bits));
	strcpy(key.program, "worker255");
	assert_true(policy_narrow(set, &key, 0, set->n_program, &bits));
	assert_true(policy_bits_within(&bits, &set->program_exact));
	key.program[0] = '\0';
	bits = set->present;
	assert_false(policy_narrow(set, &key, 0, set->n_program, &bits));
	free(set);
	set = compile_256("program=*", "", false);
	strcpy(key.program, "nginx");
	bits = set->present;
	assert_true(policy_narrow(set, &key, 0, set->n_program, &bits));
	assert_false(policy_bits_within(&bits, &set->program_exact));
	free(set);
}

/* For connections that a program makes its listeners need not keep its name. */
static void knows_who_may_accept(void **state)
{
	struct policy_set *set = compile_256("direction=out program=worker", "", false);

	(void)state;
	assert_true(policy_bits_empty(&set->accepting));
	assert_false(policy_bits_empty(&set->present));
	free(set);
	set = compile_256("direction=in program=worker", "", false);
	assert_true(policy_bits_equal(&set->accepting, &set->present));
	free(set);
}

/* A rule for IPv4 fixes twelve bytes that are the same for all of it. */
static void asks_ipv4_for_its_own_bytes_alone(void **state)
{
	struct policy_key key = {.row.peer = {0, 0, MATCH_BE32(0xffffU), MATCH_BE32(0x0a000001U)}};
	struct policy_set *set = compile_256("peer=10.0.", ".0/24", false);
	struct policy_bits bits = set->present;

	(void)state;
	assert_int_equal(set->n_ipv4, 3);
	assert_int_equal(set->n_positions, 15);
	assert_true(policy_narrow_rest(set, &key, &bits));
	key.row.peer[0] = 1;
	bits = set->present;
	assert_false(policy_narrow_rest(set, &key, &bits));
	free(set);
	/* One for IPv6 ends there. */
	set = compile_256("peer=2001:db8:", "::/48", false);
	key.row.peer[0] = 0;
	bits = set->present;
	assert_false(policy_narrow_rest(set, &key, &bits));
	key.row.peer[0] = MATCH_BE32(0x20010db8U);
	key.row.peer[1] = MATCH_BE32(0x02550000U);
	bits = set->present;
	assert_true(policy_narrow_rest(set, &key, &bits));
	free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looks_up_what_the_selectors_say),
		cmocka_unit_test(globs_are_those_of_fnmatch),
		cmocka_unit_test(globs_know_classes),
		cmocka_unit_test(refuses_what_no_connection_has),
		cmocka_unit_test(asks_little),
		cmocka_unit_test(asks_for_the_bytes_of_a_name),
		cmocka_unit_test(knows_who_may_accept),
		cmocka_unit_test(asks_ipv4_for_its_own_bytes_alone),
	};

	return run_unit_tests("policy-compile", tests);
}
