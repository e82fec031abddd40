/* SPDX-License-Identifier: MIT */
/* Profiles: settings with a name, and the rules that take theirs from them. */
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/nearest.h"
#include "policy-reader.h"

static struct policy_profile *find(const struct policy_reader *reader, const char *name)
{
	for (size_t i = 0; i < reader->n_profiles; i++)
		if (strcmp(reader->profiles[i].name, name) == 0)
			return &reader->profiles[i];
	return NULL;
}

void policy_take_profile(struct policy_reader *reader, const struct policy_block *block)
{
	struct policy_profile profile = {.path = reader->sources[reader->file].path,
					 .line = block->kind.line};
	struct policy_profile *grown;
	const struct policy_profile *other;
	size_t n = 0;

	if (!policy_take_title(reader, block, profile.name))
		profile.name[0] = '\0';
	if (reader->n_profiles == POLICY_PROFILES_MAX) {
		policy_fail(reader, profile.line,
			    "there are more than %d profiles; write the settings into the rules",
			    POLICY_PROFILES_MAX);
		return;
	}
	for (size_t i = 0; i < block->n_entries && !policy_is_enough(reader); i++)
		if (policy_find_key(reader, &block->entries[i].key, true)) {
			policy_take_setting(reader, &block->entries[i], &profile.settings);
			n++;
		}
	if (n == 0 && !block->broken)
		policy_fail(reader, profile.line,
			    "profile \"%s\": sets nothing; write for example time = 60 intvl = 10 "
			    "probes = 6",
			    profile.name);
	if (!profile.name[0])
		return;
	other = find(reader, profile.name);
	if (other) {
		policy_fail(
			reader, profile.line,
			"profile \"%s\": there is one of this name in %s:%u; each needs its own",
			profile.name, other->path, other->line);
		return;
	}
	grown = array_grow(reader->profiles, reader->n_profiles, &reader->profiles_room,
			   sizeof(*grown));
	if (!grown) {
		reader->no_memory = true;
		return;
	}
	reader->profiles = grown;
	reader->profiles[reader->n_profiles++] = profile;
}

static void refuse_name(struct policy_reader *reader, size_t file, const struct policy_draft *draft)
{
	_cleanup_free_ const char **names = calloc(reader->n_profiles + 1, sizeof(*names));
	char shown[POLICY_SHOWN_MAX];
	const char *hint = NULL;

	for (size_t i = 0; names && i < reader->n_profiles; i++)
		names[i] = reader->profiles[i].name;
	if (names)
		hint = nearest(draft->profile, strlen(draft->profile), names, reader->n_profiles);
	escape_text(draft->profile, strlen(draft->profile), shown, sizeof(shown));
	if (hint)
		policy_note(reader, file, draft->profile_line, true,
			    "profile: there is none named '%s'; did you mean '%s'?", shown, hint);
	else
		policy_note(
			reader, file, draft->profile_line, true,
			"profile: there is none named '%s'; write profile \"%s\" { time = ... }",
			shown, shown);
}

void policy_resolve_profiles(struct policy_reader *reader)
{
	for (size_t i = 0; i < reader->n_drafts; i++) {
		struct policy_draft *draft = reader->drafts[i];
		struct tcpkeep_settings *settings = &draft->rule.settings;
		struct policy_profile *profile = find(reader, draft->profile);

		if (draft->profile[0] && !profile) {
			refuse_name(reader, policy_file_of(reader, draft->rule.path), draft);
			draft->broken = true;
		}
		if (profile) {
			*settings = profile->settings;
			profile->used = true;
		}
		tcpkeep_settings_merge(settings, &draft->own);
		/* Who gives a time wants keepalive. */
		if (settings->fields & TCPKEEP_THREE && !(settings->fields & TCPKEEP_ON)) {
			settings->fields |= TCPKEEP_ON;
			settings->on = true;
		}
	}
}
