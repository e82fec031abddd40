/* SPDX-License-Identifier: MIT */
/* From a block of the file to a rule or a profile. */
#include <string.h>

#include "base/array.h"
#include "base/macro.h"
#include "base/nearest.h"
#include "policy-reader.h"

static const char *const modes[] = {
	[POLICY_DEFAULT] = "default",
	[POLICY_ENFORCE] = "enforce",
	[POLICY_LEAVE] = "leave",
};

const char *policy_mode_name(enum policy_mode mode)
{
	return modes[mode];
}

static bool take_mode(struct policy_reader *reader, const struct policy_entry *entry,
		      struct policy_draft *draft)
{
	const struct policy_word *value = policy_single(reader, entry);
	char shown[POLICY_SHOWN_MAX];
	const char *hint;

	if (!value)
		return false;
	if (draft->has_mode) {
		policy_fail(reader, entry->key.line,
			    "mode: stands twice in one block; once is enough");
		return false;
	}
	draft->has_mode = true;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (policy_word_is(value, modes[i])) {
			draft->rule.mode = (enum policy_mode)i;
			return true;
		}
	hint = nearest(value->text, value->len, modes, ARRAY_SIZE(modes));
	policy_show(value, shown);
	if (hint)
		policy_fail(reader, value->line, "mode: '%s' is no mode; did you mean '%s'?", shown,
			    hint);
	else
		policy_fail(reader, value->line,
			    "mode: '%s' is no mode; accepted: default, enforce, leave", shown);
	return false;
}

static bool take_profile_name(struct policy_reader *reader, const struct policy_entry *entry,
			      struct policy_draft *draft)
{
	const struct policy_word *value = policy_single(reader, entry);
	char shown[POLICY_SHOWN_MAX];

	if (!value)
		return false;
	if (draft->profile_line) {
		policy_fail(reader, entry->key.line,
			    "profile: stands twice in one block; a rule has one at most");
		return false;
	}
	draft->profile_line = value->line;
	/* What is empty or longer names none. */
	if (value->len == 0 || value->len >= sizeof(draft->profile) ||
	    memchr(value->text, '\0', value->len)) {
		policy_fail(reader, value->line,
			    "profile: '%s' is no name of a profile; accepted: up to %d bytes",
			    policy_show(value, shown), POLICY_NAME_MAX - 1);
		return false;
	}
	memcpy(draft->profile, value->text, value->len);
	draft->profile[value->len] = '\0';
	return true;
}

static bool has_value(const struct policy_entry *entry, const struct policy_word *value)
{
	for (size_t i = 0; i < entry->n_values; i++)
		if (entry->values[i].len == value->len &&
		    memcmp(entry->values[i].text, value->text, value->len) == 0)
			return true;
	return false;
}

/* What one of them asks for the other one refuses, word for word. */
static bool excludes(const struct policy_entry *is, const struct policy_entry *is_not)
{
	for (size_t i = 0; i < is->n_values; i++)
		if (!has_value(is_not, &is->values[i]))
			return false;
	return is->n_values > 0;
}

/* The same selector twice, by what may have been meant. */
static void tell_repeated(struct policy_reader *reader, const struct policy_entry *first,
			  const struct policy_entry *second)
{
	const struct policy_entry *is = first->op == POLICY_IS_NOT ? second : first;
	unsigned line = second->key.line;
	char key[POLICY_SHOWN_MAX];

	policy_show(&second->key, key);
	if (first->op == second->op)
		policy_fail(reader, line,
			    "%s: stands twice in one block; several values go into one: "
			    "%s %s { \"...\", \"...\" }",
			    key, key, first->op == POLICY_IS_NOT ? "!=" : "=");
	else if (excludes(is, is == first ? second : first))
		policy_fail(
			reader, line,
			"%s: stands in one block with = and with != for the same: no connection "
			"can ever match; leave one out",
			key);
	else
		policy_fail(reader, line,
			    "%s: stands in one block with = and with !=; an exception is a rule of "
			    "its own, above this one: mode = \"leave\"",
			    key);
}

/* Each selector once: two would both have to hold, where a list was meant. */
static bool is_repeated(struct policy_reader *reader, const struct policy_block *block,
			const struct policy_entry *entry)
{
	for (const struct policy_entry *e = block->entries; e < entry; e++)
		if (e->key.len == entry->key.len &&
		    memcmp(e->key.text, entry->key.text, e->key.len) == 0) {
			tell_repeated(reader, e, entry);
			return true;
		}
	return false;
}

static bool take_entry(struct policy_reader *reader, const struct policy_block *block,
		       const struct policy_entry *entry, struct policy_draft *draft)
{
	const struct policy_key *key = policy_find_key(reader, &entry->key, false);

	if (!key)
		return false;
	switch (key->kind) {
	case POLICY_KEY_SELECTOR:
		return !is_repeated(reader, block, entry) &&
		       policy_take_selector(reader, entry, &draft->rule.selector);
	case POLICY_KEY_SETTING:
		if (!draft->has_settings)
			draft->settings_line = entry->key.line;
		draft->has_settings = true;
		return policy_take_setting(reader, entry, &draft->own);
	case POLICY_KEY_MODE:
		return take_mode(reader, entry, draft);
	case POLICY_KEY_PROFILE:
		draft->has_settings = true;
		return take_profile_name(reader, entry, draft);
	case POLICY_KEY_REFUSED:
		break;
	}
	return false;
}

/* What a whole rule must have. */
static bool is_sound(struct policy_reader *reader, const struct policy_draft *draft)
{
	const struct policy_rule *rule = &draft->rule;

	if (rule->mode == POLICY_LEAVE && draft->has_settings) {
		policy_fail(
			reader, rule->line,
			"rule \"%s\": mode leave sets nothing; take its settings out, or use mode "
			"default",
			rule->name);
		return false;
	}
	if (rule->mode != POLICY_LEAVE && !draft->has_settings) {
		policy_fail(reader, rule->line,
			    "rule \"%s\": sets nothing; write for example time = 60 intvl = 10 "
			    "probes = 6, or mode = \"leave\"",
			    rule->name);
		return false;
	}
	return true;
}

static bool is_unique(struct policy_reader *reader, const struct policy_draft *draft)
{
	for (size_t i = 0; i < reader->n_drafts; i++) {
		const struct policy_rule *other = &reader->drafts[i]->rule;

		if (strcmp(other->name, draft->rule.name) != 0)
			continue;
		policy_fail(
			reader, draft->rule.line,
			"rule \"%s\": there is one of this name in %s:%u; each rule needs its own",
			other->name, other->path, other->line);
		return false;
	}
	return true;
}

static void keep(struct policy_reader *reader, struct policy_draft *draft)
{
	struct policy_draft **grown =
		array_grow(reader->drafts, reader->n_drafts, &reader->drafts_room, sizeof(*grown));

	if (!grown) {
		free(draft);
		reader->no_memory = true;
		return;
	}
	reader->drafts = grown;
	reader->drafts[reader->n_drafts++] = draft;
}

void policy_take_rule(struct policy_reader *reader, const struct policy_block *block)
{
	struct policy_draft *draft;
	bool good = true;

	if (reader->n_drafts == POLICY_RULES_MAX) {
		if (!reader->too_many)
			policy_fail(
				reader, block->kind.line,
				"there are more than %d rules; several programs, users and addresses fit in one",
				POLICY_RULES_MAX);
		reader->too_many = true;
		return;
	}
	draft = calloc(1, sizeof(*draft));
	if (!draft) {
		reader->no_memory = true;
		return;
	}
	draft->rule.path = reader->sources[reader->file].path;
	draft->rule.line = block->kind.line;
	good &= policy_take_title(reader, block, draft->rule.name);
	if (good)
		good &= is_unique(reader, draft);
	for (size_t i = 0; i < block->n_entries && !policy_is_enough(reader); i++)
		good &= take_entry(reader, block, &block->entries[i], draft);
	/* What it lacks may be what could not be read. */
	draft->broken = !good || block->broken || !is_sound(reader, draft);
	keep(reader, draft);
}
