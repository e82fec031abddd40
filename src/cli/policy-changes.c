/* SPDX-License-Identifier: MIT */
/* What a new policy changes in the old one, rule by rule. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "output/colour.h"
#include "policy-verbs.h"

static const struct policy none;

static size_t find(const struct policy *policy, const char *name)
{
	size_t i = 0;

	while (i < policy->n_rules && strcmp(policy->rules[i].name, name) != 0)
		i++;
	return i;
}

/* 1: they do the same; 0: not; -ENOMEM. */
static int is_same(const struct policy_rule *a, const struct policy_rule *b)
{
	_cleanup_free_ char *x = NULL, *y = NULL;

	if (policy_rule_format(a, &x) < 0 || policy_rule_format(b, &y) < 0)
		return -ENOMEM;
	return strcmp(x, y) == 0;
}

int policy_changes_find(const struct policy *before, const struct policy *after,
			struct policy_changes *ret)
{
	struct policy_changes changes = {0};
	size_t last = 0;

	before = before ? before : &none;
	after = after ? after : &none;
	changes.all = calloc(before->n_rules + after->n_rules + 1, sizeof(*changes.all));
	if (!changes.all)
		return -ENOMEM;
	for (size_t i = 0; i < after->n_rules; i++) {
		size_t at = find(before, after->rules[i].name);
		int same =
			at == before->n_rules ? 0 : is_same(&before->rules[at], &after->rules[i]);

		if (same < 0) {
			free(changes.all);
			return same;
		}
		if (at < before->n_rules) {
			changes.reordered |= at < last;
			last = at;
		}
		changes.all[changes.n++] = (struct policy_change){
			at == before->n_rules ? '+'
			: same                ? '='
					      : '~',
			after->rules[i].name,
		};
	}
	for (size_t i = 0; i < before->n_rules; i++)
		if (find(after, before->rules[i].name) == after->n_rules)
			changes.all[changes.n++] =
				(struct policy_change){'-', before->rules[i].name};
	changes.any = changes.reordered;
	for (size_t i = 0; i < changes.n; i++)
		changes.any |= changes.all[i].kind != '=';
	*ret = changes;
	return 0;
}

void policy_changes_free(struct policy_changes *changes)
{
	free(changes->all);
}

void policy_changes_print(const struct policy_changes *changes)
{
	static const struct {
		char kind;
		enum colour colour;
		const char *word;
	} kinds[] = {
		{'+', COLOUR_GOOD, "new"},
		{'-', COLOUR_BAD, "gone"},
		{'~', COLOUR_WARN, "changed"},
	};

	char shown[4 * POLICY_NAME_MAX];

	for (size_t i = 0; i < changes->n; i++)
		for (size_t j = 0; j < ARRAY_SIZE(kinds); j++)
			if (changes->all[i].kind == kinds[j].kind)
				printf("  %s%c rule \"%s\"%s  %s\n", colour(kinds[j].colour),
				       kinds[j].kind,
				       escape_text(changes->all[i].name,
						   strlen(changes->all[i].name), shown,
						   sizeof(shown)),
				       colour(COLOUR_NONE), kinds[j].word);
	if (changes->reordered)
		printf("  the order of the rules is another\n");
}

static void write_names(const struct policy_changes *changes, struct json *json, const char *key,
			char kind)
{
	json_begin_array(json, key);
	for (size_t i = 0; i < changes->n; i++)
		if (changes->all[i].kind == kind)
			json_string(json, NULL, changes->all[i].name);
	json_end_array(json);
}

void policy_changes_json(const struct policy_changes *changes, struct json *json)
{
	if (!changes) {
		json_null(json, "changes");
		return;
	}
	json_begin_object(json, "changes");
	write_names(changes, json, "added", '+');
	write_names(changes, json, "removed", '-');
	write_names(changes, json, "changed", '~');
	json_bool(json, "reordered", changes->reordered);
	json_end_object(json);
}
