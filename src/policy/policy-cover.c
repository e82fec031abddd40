/* SPDX-License-Identifier: MIT */
#include "policy-cover.h"

#include <fnmatch.h>
#include <string.h>

#include "policy.h"

/* One clause with its values, and one value with the text that it may point to. */
struct view {
	const struct selector *selector;
	const struct match_clause *clause;
};

static struct view find(const struct selector *selector, unsigned kind)
{
	const struct match_program *program = &selector->program;

	for (__u32 i = 0; i < program->n_clauses; i++)
		if (program->clauses[i].kind == kind)
			return (struct view){selector, &program->clauses[i]};
	return (struct view){selector, NULL};
}

static const union match_value *value_of(const struct view *view, unsigned i)
{
	return &view->selector->program.values[view->clause->first + i];
}

/* --------------------------------------------------------------------------- single values */

static bool endpoint_is_ipv4(const struct match_endpoint *e)
{
	return e->prefix >= 96 && match_is_ipv4(e->address);
}

/* No address at all, or one that both families share. */
static bool endpoint_may_be_ipv4(const struct match_endpoint *e)
{
	return !e->not_ipv4 && (e->prefix < 96 || endpoint_is_ipv4(e));
}

static bool endpoint_may_be_ipv6(const struct match_endpoint *e)
{
	return !endpoint_is_ipv4(e);
}

static bool endpoint_covers(const struct match_endpoint *wide, const struct match_endpoint *narrow)
{
	if (wide->prefix > narrow->prefix || wide->port_min > narrow->port_min ||
	    wide->port_max < narrow->port_max)
		return false;
	for (int i = 0; i < 4; i++)
		if ((narrow->address[i] & wide->mask[i]) != wide->address[i])
			return false;
	return !wide->not_ipv4 || !endpoint_may_be_ipv4(narrow);
}

static bool endpoints_apart(const struct match_endpoint *a, const struct match_endpoint *b)
{
	if (a->port_max < b->port_min || b->port_max < a->port_min)
		return true;
	for (int i = 0; i < 4; i++)
		if ((a->address[i] ^ b->address[i]) & a->mask[i] & b->mask[i])
			return true;
	return (a->not_ipv4 && !endpoint_may_be_ipv6(b)) ||
	       (b->not_ipv4 && !endpoint_may_be_ipv6(a));
}

static bool is_glob(const char *text)
{
	return strpbrk(text, "*?[") != NULL;
}

/* "nginx*" covers what begins so. */
static bool pattern_covers(const char *wide, const char *narrow)
{
	size_t fixed = strcspn(wide, "*?[");

	if (strcmp(wide, narrow) == 0)
		return true;
	if (!is_glob(narrow))
		return fnmatch(wide, narrow, FNM_NOESCAPE) == 0;
	return strcmp(wide + fixed, "*") == 0 && strcspn(narrow, "*?[") >= fixed &&
	       strncmp(wide, narrow, fixed) == 0;
}

static bool patterns_apart(const char *a, const char *b)
{
	if (is_glob(a) && is_glob(b))
		return false;
	return is_glob(b) ? fnmatch(b, a, FNM_NOESCAPE) != 0 : fnmatch(a, b, FNM_NOESCAPE) != 0;
}

static bool path_covers(const char *wide, const char *narrow)
{
	size_t len = strlen(wide);

	return strncmp(wide, narrow, len) == 0 && (narrow[len] == '/' || narrow[len] == '\0');
}

static const char *text_of(const struct view *view, const union match_value *value)
{
	return view->selector->text + value->number;
}

static bool covers(const struct view *wide, const union match_value *w, const struct view *narrow,
		   const union match_value *n)
{
	switch (wide->clause->kind) {
	case MATCH_LOCAL:
	case MATCH_PEER:
		return endpoint_covers(&w->endpoint, &n->endpoint);
	case MATCH_UID:
		return w->number == n->number;
	case MATCH_PROGRAM:
	case MATCH_UNIT:
		return pattern_covers(text_of(wide, w), text_of(narrow, n));
	case MATCH_CGROUP:
		return path_covers(text_of(wide, w), text_of(narrow, n));
	case MATCH_NETNS:
		return (w->range.max && w->range.max == n->range.max) ||
		       strcmp(wide->selector->text + w->range.min,
			      narrow->selector->text + n->range.min) == 0;
	}
	return false;
}

/* No connection matches both. */
static bool apart(const struct view *a, const union match_value *x, const struct view *b,
		  const union match_value *y)
{
	switch (a->clause->kind) {
	case MATCH_LOCAL:
	case MATCH_PEER:
		return endpoints_apart(&x->endpoint, &y->endpoint);
	case MATCH_UID:
		return x->number != y->number;
	case MATCH_PROGRAM:
		return patterns_apart(text_of(a, x), text_of(b, y));
	case MATCH_CGROUP:
		return !path_covers(text_of(a, x), text_of(b, y)) &&
		       !path_covers(text_of(b, y), text_of(a, x));
	}
	/* A unit may be in another, a namespace has many names. */
	return false;
}

/* -------------------------------------------------------------------------------- clauses */

static bool all_covered(const struct view *wide, const struct view *narrow)
{
	for (unsigned i = 0; i < narrow->clause->n; i++) {
		bool covered = false;

		for (unsigned j = 0; j < wide->clause->n && !covered; j++)
			covered = covers(wide, value_of(wide, j), narrow, value_of(narrow, i));
		if (!covered)
			return false;
	}
	return true;
}

static bool all_apart(const struct view *a, const struct view *b)
{
	for (unsigned i = 0; i < a->clause->n; i++)
		for (unsigned j = 0; j < b->clause->n; j++)
			if (!apart(a, value_of(a, i), b, value_of(b, j)))
				return false;
	return true;
}

static bool clause_covers(const struct view *wide, const struct view *narrow)
{
	if (!narrow->clause)
		return false;
	if (wide->clause->negate)
		return narrow->clause->negate ? all_covered(narrow, wide) : all_apart(wide, narrow);
	return !narrow->clause->negate && all_covered(wide, narrow);
}

/* The directions that a rule lets through, a bit each: in and out are all there is. */
static unsigned directions(const struct selector *selector)
{
	const unsigned all = 1U << ROW_DIRECTION_IN | 1U << ROW_DIRECTION_OUT;
	struct view view = find(selector, MATCH_DIRECTION);
	unsigned mask = 0;

	if (!view.clause)
		return all;
	for (unsigned i = 0; i < view.clause->n; i++)
		mask |= 1U << value_of(&view, i)->number;
	return all & (view.clause->negate ? ~mask : mask);
}

bool selector_covers(const struct selector *wide, const struct selector *narrow)
{
	const struct match_program *program = &wide->program;

	if (directions(narrow) & ~directions(wide))
		return false;
	for (__u32 i = 0; i < program->n_clauses; i++) {
		struct view w = {wide, &program->clauses[i]};
		struct view n = find(narrow, w.clause->kind);

		if (w.clause->kind != MATCH_DIRECTION && !clause_covers(&w, &n))
			return false;
	}
	return true;
}

/* Which families the values of local or peer leave: bit 0 IPv4, bit 1 IPv6. */
static unsigned families(const struct selector *selector, unsigned kind)
{
	struct view view = find(selector, kind);
	unsigned mask = 0;

	if (!view.clause || view.clause->negate)
		return 3;
	for (unsigned i = 0; i < view.clause->n; i++) {
		const struct match_endpoint *e = &value_of(&view, i)->endpoint;

		mask |= (unsigned)endpoint_may_be_ipv4(e) | (unsigned)endpoint_may_be_ipv6(e) << 1;
	}
	return mask;
}

const char *selector_contradiction(const struct selector *selector)
{
	struct view user = find(selector, MATCH_UID);
	bool known = false;

	if (!directions(selector))
		return "every connection is either in or out, and both are left out";
	if (!(families(selector, MATCH_LOCAL) & families(selector, MATCH_PEER)))
		return "local and peer are of different families, IPv4 and IPv6";
	if (user.clause && !user.clause->negate) {
		for (unsigned i = 0; i < user.clause->n; i++)
			known |= value_of(&user, i)->number != POLICY_UID_UNKNOWN;
		if (!known)
			return "this machine knows none of its users";
	}
	return NULL;
}
