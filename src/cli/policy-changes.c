/* SPDX-License-Identifier: MIT */
/* What a new policy changes in the old one, rule by rule. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "output/colour.h"
#include "output/wrap.h"
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

/* enum policy_part: in what they differ; -ENOMEM. Each part by giving it to a copy of b. */
static int differ(const struct policy_rule *a, const struct policy_rule *b)
{
	struct policy_rule like_b = *a, other_settings = *b;
	int same, same_matches, same_settings;

	like_b.settings = b->settings;
	like_b.mode = b->mode;
	other_settings.settings = a->settings;
	same = is_same(a, b);
	same_matches = is_same(&like_b, b);
	same_settings = is_same(&other_settings, b);
	if (same < 0 || same_matches < 0 || same_settings < 0)
		return -ENOMEM;
	if (same)
		return 0;
	return (same_matches ? 0 : POLICY_PART_MATCHES) |
	       (same_settings ? 0 : POLICY_PART_SETTINGS) |
	       (a->mode == b->mode ? 0 : POLICY_PART_MODE);
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
		int parts =
			at == before->n_rules ? 0 : differ(&before->rules[at], &after->rules[i]);

		if (parts < 0) {
			free(changes.all);
			return parts;
		}
		if (at < before->n_rules) {
			changes.reordered |= at < last;
			last = at;
		}
		changes.all[changes.n++] = (struct policy_change){
			at == before->n_rules ? '+'
			: parts               ? '~'
					      : '=',
			after->rules[i].name,
			(unsigned)parts,
		};
	}
	for (size_t i = 0; i < before->n_rules; i++)
		if (find(after, before->rules[i].name) == after->n_rules)
			changes.all[changes.n++] =
				(struct policy_change){'-', before->rules[i].name, 0};
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

/* More than that nobody reads; the JSON has all. */
#define TOLD_MAX 20

static void print_change(const struct policy_change *change, enum colour shade, const char *word)
{
	static const struct {
		unsigned part;
		const char *name;
	} parts[] = {
		{POLICY_PART_MATCHES, "what it matches"},
		{POLICY_PART_SETTINGS, "settings"},
		{POLICY_PART_MODE, "mode"},
	};
	char shown[4 * POLICY_NAME_MAX], which[64] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (change->parts & parts[i].part)
			len += (size_t)snprintf(which + len, sizeof(which) - len, "%s%s",
						len ? ", " : ": ", parts[i].name);
	escape_text(change->name, strlen(change->name), shown, sizeof(shown));
	wrap_print(stdout, 6, "  %s%c rule \"%s\"%s  %s%s", colour(shade), change->kind, shown,
		   colour(COLOUR_NONE), word, which);
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

	size_t told = 0;

	for (size_t i = 0; i < changes->n; i++)
		for (size_t j = 0; j < ARRAY_SIZE(kinds); j++)
			if (changes->all[i].kind == kinds[j].kind && told++ < TOLD_MAX)
				print_change(&changes->all[i], kinds[j].colour, kinds[j].word);
	if (told > TOLD_MAX)
		printf("  ... and %zu more; --json has all of them\n", told - TOLD_MAX);
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
