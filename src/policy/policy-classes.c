/* SPDX-License-Identifier: MIT */
/*
 * Users and network namespaces: each one that a rule names has a small number of its own, its
 * class, and all others have class 0. The table of that byte is then exact.
 */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "keepalive/error.h"
#include "policy-compile.h"

/* The numbers that have a class: numbers[class - 1]. */
struct classes {
	__u32 numbers[POLICY_CLASSES];
	unsigned n;
};

static int add(struct policy_compiler *compiler, struct classes *classes, __u32 number,
	       const char *what)
{
	for (unsigned i = 0; i < classes->n; i++)
		if (classes->numbers[i] == number)
			return 0;
	if (classes->n == POLICY_CLASSES)
		return error_set(compiler->error, -E2BIG,
				 "the policy names more than %d %s; use other selectors, such as "
				 "unit= or local=",
				 POLICY_CLASSES, what);
	classes->numbers[classes->n++] = number;
	return 0;
}

/* The open hash that policy_class() reads. */
static int fill(struct policy_compiler *compiler, const struct classes *classes,
		struct policy_class *slots, const char *what)
{
	for (unsigned i = 0; i < classes->n; i++) {
		__u32 at = policy_class_slot(classes->numbers[i]);
		unsigned step = 0;

		while (step < POLICY_CLASS_PROBE &&
		       slots[(at + step) & (POLICY_CLASS_SLOTS - 1)].class)
			step++;
		if (step == POLICY_CLASS_PROBE)
			return error_set(compiler->error, -E2BIG,
					 "the policy names too many %s; use other selectors, such "
					 "as unit= or local=",
					 what);
		slots[(at + step) & (POLICY_CLASS_SLOTS - 1)] =
			(struct policy_class){classes->numbers[i], i + 1};
	}
	return 0;
}

static bool is_user(struct policy_compiler *compiler, size_t rule, const union match_value *value,
		    __u32 number)
{
	(void)compiler;
	(void)rule;
	return value->number == number;
}

/* As in_netns() of src/sockets has it: by inode, or by name. */
static bool is_netns(struct policy_compiler *compiler, size_t rule, const union match_value *value,
		     __u32 number)
{
	const char *pattern = compiler->policy->rules[rule].selector.text + value->range.min;

	if (value->range.max == number)
		return true;
	for (size_t i = 0; i < compiler->names->n_netns; i++)
		if (compiler->names->netns[i].inode == number &&
		    fnmatch(pattern, compiler->names->netns[i].name, FNM_NOESCAPE) == 0)
			return true;
	return false;
}

typedef bool (*is_fn)(struct policy_compiler *compiler, size_t rule, const union match_value *value,
		      __u32 number);

static void allow_clause(struct policy_compiler *compiler, size_t rule,
			 const struct match_clause *clause, const struct classes *classes, is_fn is)
{
	const union match_value *values = &compiler->set->rule[rule].values[clause->first];
	bool may[256];

	memset(may, clause->negate, sizeof(may));
	for (unsigned class = 1; class <= classes->n; class ++)
		for (unsigned i = 0; i < clause->n; i++)
			if (is(compiler, rule, &values[i], classes->numbers[class - 1]))
				may[class] = !clause->negate;
	policy_allow(compiler, clause->kind == MATCH_UID ? POLICY_USER : POLICY_NETNS, rule, may);
}

/* All values of this kind in all rules. */
static int collect(struct policy_compiler *compiler, __u8 kind, const char *what,
		   struct classes *classes)
{
	for (size_t rule = 0; rule < compiler->set->n_rules; rule++) {
		const struct match_program *program = &compiler->set->rule[rule];

		for (__u32 i = 0; i < program->n_values; i++) {
			__u64 number = kind == MATCH_UID ? program->values[i].number
							 : program->values[i].range.max;
			int r;

			if (program->clauses[program->clause_of[i]].kind != kind ||
			    (kind == MATCH_NETNS && number == 0))
				continue;
			r = add(compiler, classes, (__u32)number, what);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Of the namespaces with names, those that a rule means. */
static int collect_named(struct policy_compiler *compiler, struct classes *classes)
{
	const struct policy_names *names = compiler->names;

	for (size_t rule = 0; rule < compiler->set->n_rules; rule++) {
		const struct match_program *program = &compiler->set->rule[rule];

		for (__u32 i = 0; i < program->n_values; i++) {
			if (program->clauses[program->clause_of[i]].kind != MATCH_NETNS)
				continue;
			for (size_t n = 0; n < names->n_netns; n++) {
				__u32 inode = (__u32)names->netns[n].inode;
				int r;

				if (!is_netns(compiler, rule, &program->values[i], inode))
					continue;
				r = add(compiler, classes, inode, "network namespaces");
				if (r < 0)
					return r;
			}
		}
	}
	return 0;
}

static void allow_kind(struct policy_compiler *compiler, __u8 kind, const struct classes *classes,
		       is_fn is)
{
	for (size_t rule = 0; rule < compiler->set->n_rules; rule++) {
		const struct match_program *program = &compiler->set->rule[rule];

		for (__u32 i = 0; i < program->n_clauses; i++)
			if (program->clauses[i].kind == kind)
				allow_clause(compiler, rule, &program->clauses[i], classes, is);
	}
}

int policy_compile_classes(struct policy_compiler *compiler)
{
	struct classes users = {.n = 0}, netns = {.n = 0};
	int r;

	r = collect(compiler, MATCH_UID, "users", &users);
	if (r < 0)
		return r;
	r = fill(compiler, &users, compiler->set->users, "users");
	if (r < 0)
		return r;
	allow_kind(compiler, MATCH_UID, &users, is_user);

	r = collect(compiler, MATCH_NETNS, "network namespaces", &netns);
	if (r < 0)
		return r;
	r = collect_named(compiler, &netns);
	if (r < 0)
		return r;
	r = fill(compiler, &netns, compiler->set->netns, "network namespaces");
	if (r < 0)
		return r;
	allow_kind(compiler, MATCH_NETNS, &netns, is_netns);
	return 0;
}
