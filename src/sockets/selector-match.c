/* SPDX-License-Identifier: MIT */
/* The half of the match that needs owners, paths and namespaces; the other half is match_row(). */
#include <fnmatch.h>
#include <stdbool.h>
#include <string.h>

#include "base/macro.h"
#include "selector.h"

/* What a clause comes to. What is not known matches neither it nor its negation. */
enum verdict {
	VERDICT_NO = 0,
	VERDICT_YES,
	VERDICT_UNKNOWN,
};

/* One question: which values, about whom. */
struct question {
	const struct selector *selector;
	const struct match_clause *clause;
	const struct socket_row *row;
	const struct selector_owner *owner;
};

/* A backslash is no escape: systemd has it in the names of units. */
static bool glob(const char *pattern, const char *text)
{
	return fnmatch(pattern, text, FNM_NOESCAPE) == 0;
}

/* A socket without a file is held by nobody; one with a file and no owner is held by who cannot be
 * seen. */
static bool knows_owners(const struct question *q)
{
	return q->owner->n > 0 || q->row->inode == 0;
}

static bool any_pid(const struct question *q, const union match_value *value)
{
	for (size_t i = 0; i < q->owner->n; i++)
		if (q->owner->pids[i] > 0 && value->number == (__u64)q->owner->pids[i])
			return true;
	return false;
}

static bool any_program(const struct question *q, const union match_value *value)
{
	for (size_t i = 0; i < q->owner->n; i++)
		if (glob(q->selector->text + value->number, q->owner->programs[i]))
			return true;
	return false;
}

/* The cgroup itself, and what is beneath it. */
static bool in_cgroup(const struct question *q, const union match_value *value)
{
	const char *prefix = q->selector->text + value->number;
	size_t len = strlen(prefix);

	return strncmp(q->owner->cgroup_path, prefix, len) == 0 &&
	       (q->owner->cgroup_path[len] == '/' || q->owner->cgroup_path[len] == '\0');
}

static bool ends_in(const char *text, size_t len, const char *suffix)
{
	size_t n = strlen(suffix);

	return len > n && memcmp(text + len - n, suffix, n) == 0;
}

/* One component of a cgroup path, and what follows it. */
struct component {
	const char *name;
	size_t len;
	const char *rest;
};

static bool next_component(struct component *c)
{
	c->rest += strspn(c->rest, "/");
	c->name = c->rest;
	c->len = strcspn(c->name, "/");
	c->rest += c->len;
	/* cg_escape() of systemd: a name that the kernel could take for its own has '_' in front.
	 */
	if (c->len > 1 && c->name[0] == '_') {
		c->name++;
		c->len--;
	}
	return c->len > 0;
}

static bool is_slice(const struct component *c)
{
	return ends_in(c->name, c->len, ".slice");
}

static bool is_unit(const struct component *c)
{
	static const char *const suffixes[] = {".service", ".scope", ".socket", ".mount", ".swap"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (ends_in(c->name, c->len, suffixes[i]))
			return true;
	return false;
}

const char *cgroup_unit(const char *cgroup_path, size_t *ret_len)
{
	struct component c = {.rest = cgroup_path}, unit = {0}, slice = {0};

	while (next_component(&c)) {
		if (is_unit(&c))
			unit = c;
		else if (is_slice(&c))
			slice = c;
	}
	if (!unit.name)
		unit = slice;
	if (unit.name)
		*ret_len = unit.len;
	return unit.name;
}

static bool glob_component(const char *pattern, const char *name, size_t len)
{
	char text[256]; /* NAME_MAX, as every name in cgroupfs */

	if (len >= sizeof(text))
		return false;
	memcpy(text, name, len);
	text[len] = '\0';
	return glob(pattern, text);
}

/* The innermost unit, or a slice around it: unit=system.slice holds for all services in it. */
static bool in_unit(const struct question *q, const union match_value *value)
{
	const char *pattern = q->selector->text + value->number, *unit;
	struct component c = {.rest = q->owner->cgroup_path};
	size_t len;

	unit = cgroup_unit(q->owner->cgroup_path, &len);
	if (unit && glob_component(pattern, unit, len))
		return true;
	while (next_component(&c))
		if (is_slice(&c) && glob_component(pattern, c.name, c.len))
			return true;
	return false;
}

static bool in_netns(const struct question *q, const union match_value *value)
{
	if (value->range.max && value->range.max == q->owner->netns_inode)
		return true;
	return q->owner->netns_name &&
	       glob(q->selector->text + value->range.min, q->owner->netns_name);
}

static enum verdict judge(const struct question *q)
{
	bool (*holds)(const struct question *q, const union match_value *value) = NULL;
	bool known = false;

	switch (q->clause->kind) {
	case MATCH_PID:
		holds = any_pid;
		known = knows_owners(q);
		break;
	case MATCH_PROGRAM:
		holds = any_program;
		known = knows_owners(q);
		break;
	case MATCH_CGROUP:
		holds = in_cgroup;
		known = q->owner->cgroup_path;
		break;
	case MATCH_UNIT:
		holds = in_unit;
		known = q->owner->cgroup_path;
		break;
	case MATCH_NETNS:
		holds = in_netns;
		known = q->owner->netns_inode || q->owner->netns_name;
		break;
	}
	if (!known)
		return VERDICT_UNKNOWN;
	for (unsigned i = 0; i < q->clause->n; i++)
		if (holds(q, &q->selector->program.values[q->clause->first + i]))
			return VERDICT_YES;
	return VERDICT_NO;
}

static bool clause_holds(const struct question *q)
{
	enum verdict verdict = judge(q);

	return verdict != VERDICT_UNKNOWN && (verdict == VERDICT_YES) != !!q->clause->negate;
}

bool selector_takes_netns(const struct selector *selector, const char *name, __u64 inode)
{
	const struct selector_owner owner = {.netns_name = name, .netns_inode = inode};
	const struct match_program *program = &selector->program;

	for (__u32 i = 0; i < program->n_clauses; i++) {
		struct question q = {selector, &program->clauses[i], NULL, &owner};

		if (q.clause->kind == MATCH_NETNS && !clause_holds(&q))
			return false;
	}
	return true;
}

bool selector_matches(const struct selector *selector, const struct socket_row *row,
		      const struct selector_owner *owner)
{
	static const struct selector_owner nobody = {0};
	const struct match_program *program = &selector->program;

	if (!match_row(program, row))
		return false;
	for (__u32 i = 0; i < program->n_clauses; i++) {
		const struct match_clause *clause = &program->clauses[i];
		struct question q = {selector, clause, row, owner ? owner : &nobody};

		if (clause->kind > MATCH_LAST_IN_KERNEL && !clause_holds(&q))
			return false;
	}
	return true;
}
