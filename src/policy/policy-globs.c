/* SPDX-License-Identifier: MIT */
/*
 * What rules ask by name: patterns of programs and units, paths of cgroups. The kernel side runs
 * each pattern over a name once and keeps the answer, so that nothing here has to be fast.
 */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "base/escape.h"
#include "keepalive/error.h"
#include "policy-compile.h"

/* Signs of a pattern: the 64th bit is the end's. */
#define SIGNS_MAX 63

/* A bracket as fnmatch() reads it, from its '[': how many bytes; 1: not closed, a '[' as such. */
static size_t bracket_len(const char *at)
{
	const char *p = at + 1;

	if (*p == '!' || *p == '^')
		p++;
	if (*p == ']')
		p++;
	for (; *p && *p != ']'; p++) {
		const char kind[] = {p[1], ']', '\0'};
		const char *end;

		if (*p != '[' || !p[1] || !strchr(":.=", p[1]))
			continue;
		end = strstr(p + 2, kind);
		if (end)
			p = end + 1;
	}
	return *p ? (size_t)(p - at) + 1 : 1;
}

/* Which bytes a sign takes is what fnmatch() says. */
static int add_sign(struct policy_glob *glob, unsigned at, const char *sign, size_t len)
{
	char text[256];

	if (len >= sizeof(text))
		return -E2BIG;
	memcpy(text, sign, len);
	text[len] = '\0';
	for (unsigned byte = 1; byte < 256; byte++) {
		const char name[] = {(char)byte, '\0'};

		if (len == 1 && *sign != '?' ? (unsigned char)*sign == byte
					     : fnmatch(text, name, FNM_NOESCAPE) == 0)
			glob->takes[byte] |= 1ULL << at;
	}
	return 0;
}

int policy_glob_compile(const char *pattern, struct policy_glob *ret)
{
	struct policy_glob glob = {0};
	unsigned at = 0;

	for (size_t len; *pattern; pattern += len) {
		len = *pattern == '[' ? bracket_len(pattern) : 1;
		/* Two stars in a row are one. */
		if (*pattern == '*' && at > 0 && glob.stars >> (at - 1) & 1)
			continue;
		if (at == SIGNS_MAX)
			return -E2BIG;
		if (*pattern == '*')
			glob.stars |= 1ULL << at;
		else if (add_sign(&glob, at, pattern, len) < 0)
			return -E2BIG;
		at++;
	}
	glob.end = 1ULL << at;
	*ret = glob;
	return 0;
}

/* May a text that the pattern takes have this byte there? After a star any. */
static bool glob_may(const struct policy_glob *glob, unsigned at, unsigned byte)
{
	__u64 sign = 1ULL << at, upto = sign | (sign - 1);

	if (glob->stars & upto)
		return true;
	if (glob->end & upto)
		return glob->end != sign || byte == 0;
	return glob->takes[byte] & sign;
}

/* Do its bytes decide a pattern? A star is decided where nothing follows it. */
static bool glob_is_exact(const struct policy_glob *glob)
{
	return (glob->stars & ~(glob->end >> 1)) == 0;
}

int policy_allow_program(struct policy_compiler *compiler, size_t rule,
			 const struct match_clause *clause)
{
	const struct selector *selector = &compiler->policy->rules[rule].selector;
	bool may[POLICY_COMM][256], exact = !clause->negate && clause->n == 1;

	memset(may, clause->negate, sizeof(may));
	for (unsigned v = 0; v < clause->n && !clause->negate; v++) {
		__u64 text = selector->program.values[clause->first + v].number;
		struct policy_glob glob;
		int r = policy_glob_compile(selector->text + text, &glob);

		if (r < 0)
			return r;
		exact = exact && glob_is_exact(&glob);
		for (unsigned at = 0; at < POLICY_COMM; at++)
			for (unsigned byte = 0; byte < 256; byte++)
				may[at][byte] |= glob_may(&glob, at, byte);
	}
	if (!exact)
		policy_bit_clear(&compiler->set->program_exact, rule);
	/* A program that is not known is neither this one nor another. */
	may[0][0] = false;
	for (unsigned at = 0; at < POLICY_COMM; at++)
		policy_allow(compiler, POLICY_PROGRAM_NAME + at, rule, may[at]);
	return 0;
}

uint64_t policy_path_hash(const char *path)
{
	uint64_t hash = POLICY_PATH_START;

	for (; *path; path++)
		hash = policy_path_step(hash, (__u8)*path);
	return hash;
}

/* Where the bits of one value go. */
static struct policy_slots *slots_of_glob(struct policy_compiler *compiler, const char *pattern,
					  __u32 first, int *ret_r)
{
	struct policy_set *set = compiler->set;
	struct policy_glob glob;

	*ret_r = policy_glob_compile(pattern, &glob);
	if (*ret_r < 0)
		return NULL;
	for (__u32 i = first; i < set->n_globs; i++)
		if (memcmp(&set->glob[i], &glob, sizeof(glob)) == 0)
			return &set->glob_rules[i];
	if (set->n_globs == POLICY_GLOBS) {
		*ret_r = -ENOSPC;
		return NULL;
	}
	set->glob[set->n_globs] = glob;
	return &set->glob_rules[set->n_globs++];
}

static struct policy_slots *slots_of_path(struct policy_compiler *compiler, const char *path,
					  int *ret_r)
{
	struct policy_set *set = compiler->set;
	uint64_t hash = policy_path_hash(path);

	*ret_r = 0;
	for (__u32 i = 0; i < set->n_paths; i++)
		if (set->path[i].hash == hash)
			return &set->path[i].rules;
	if (set->n_paths == POLICY_PATHS) {
		*ret_r = -ENOSPC;
		return NULL;
	}
	set->path[set->n_paths].hash = hash;
	return &set->path[set->n_paths++].rules;
}

static const char *const name_of[] = {
	[POLICY_PROGRAM] = "program",
	[POLICY_UNIT] = "unit",
	[POLICY_CGROUP] = "cgroup",
};

/* One value of one clause. */
static int add_value(struct policy_compiler *compiler, size_t rule, enum policy_name name,
		     unsigned slot, const char *text)
{
	struct policy_set *set = compiler->set;
	const char *rule_name = compiler->policy->rules[rule].name;
	char shown[POLICY_NAME_MAX * 2], value[96];
	struct policy_slots *slots;
	int r;

	if (name == POLICY_CGROUP)
		slots = slots_of_path(compiler, text, &r);
	else
		slots = slots_of_glob(compiler, text, name == POLICY_UNIT ? set->n_programs : 0,
				      &r);
	if (slots) {
		policy_bit_set(&slots->slot[slot], rule);
		return 0;
	}
	escape_text(rule_name, strlen(rule_name), shown, sizeof(shown));
	if (r == -E2BIG)
		return error_set(compiler->error, r,
				 "rule '%s': %s '%s' has more than %d letters; use a shorter one "
				 "with a '*'",
				 shown, name_of[name],
				 escape_text(text, strlen(text), value, sizeof(value)), SIGNS_MAX);
	return error_set(compiler->error, -E2BIG,
			 "rule '%s': the policy names more than %d %s; use globs, or a cgroup "
			 "above",
			 shown, name == POLICY_CGROUP ? POLICY_PATHS : POLICY_GLOBS,
			 name == POLICY_CGROUP ? "cgroups" : "programs and units");
}

/* The clauses of one kind in one rule; up to two that must hold, all negated ones in one. */
static int add_clauses(struct policy_compiler *compiler, size_t rule, enum policy_name name,
		       __u8 kind)
{
	const struct selector *selector = &compiler->policy->rules[rule].selector;
	const struct match_program *program = &selector->program;
	struct policy_slots *empty = &compiler->set->empty[name];
	char shown[POLICY_NAME_MAX * 2];
	unsigned held = 0;

	for (__u32 i = 0; i < program->n_clauses; i++) {
		const struct match_clause *clause = &program->clauses[i];
		unsigned slot = clause->negate ? POLICY_NOT : held;

		if (clause->kind != kind)
			continue;
		if (!clause->negate && held++ == POLICY_NOT)
			return error_set(
				compiler->error, -E2BIG,
				"rule '%s': more than two '%s' that must all hold; join them into "
				"one pattern",
				escape_text(compiler->policy->rules[rule].name,
					    strlen(compiler->policy->rules[rule].name), shown,
					    sizeof(shown)),
				name_of[name]);
		for (unsigned v = 0; v < clause->n; v++) {
			__u64 at = program->values[clause->first + v].number;
			int r = add_value(compiler, rule, name, slot, selector->text + at);

			if (r < 0)
				return r;
		}
	}
	for (unsigned slot = held; slot <= POLICY_NOT; slot++)
		policy_bit_set(&empty->slot[slot], rule);
	policy_bit_set(&empty->slot[POLICY_NOT], rule);
	return 0;
}

static int add_kind(struct policy_compiler *compiler, enum policy_name name, __u8 kind)
{
	for (size_t rule = 0; rule < compiler->set->n_rules; rule++) {
		int r = add_clauses(compiler, rule, name, kind);

		if (r < 0)
			return r;
	}
	return 0;
}

static bool asks_for(const struct match_program *program, __u8 kind)
{
	for (__u32 i = 0; i < program->n_clauses; i++)
		if (program->clauses[i].kind == kind)
			return true;
	return false;
}

int policy_compile_names(struct policy_compiler *compiler)
{
	struct policy_set *set = compiler->set;
	int r;

	r = add_kind(compiler, POLICY_PROGRAM, MATCH_PROGRAM);
	if (r < 0)
		return r;
	set->n_programs = set->n_globs;
	r = add_kind(compiler, POLICY_UNIT, MATCH_UNIT);
	if (r < 0)
		return r;
	r = add_kind(compiler, POLICY_CGROUP, MATCH_CGROUP);
	if (r < 0)
		return r;
	for (size_t rule = 0; rule < set->n_rules; rule++) {
		const struct match_program *program = &set->rule[rule];

		if (!asks_for(program, MATCH_PROGRAM))
			policy_bit_set(&set->program_unknown, rule);
		if (!asks_for(program, MATCH_UNIT) && !asks_for(program, MATCH_CGROUP))
			policy_bit_set(&set->cgroup_unknown, rule);
	}
	return 0;
}
