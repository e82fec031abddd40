/* SPDX-License-Identifier: MIT */
/* Inside policy_read(): what is gathered over all files, before it is a policy. */
#pragma once

#include <sys/types.h>

#include "base/macro.h"
#include "policy-parser.h"
#include "policy.h"

/* A file that is longer is no policy of at most POLICY_RULES_MAX rules. */
#define POLICY_FILE_MAX  (1024 * 1024)
#define POLICY_FILES_MAX 256
#define POLICY_DEPTH_MAX 8 /* of includes in includes */

/* Beyond these nobody reads on, and neither do we. */
#define POLICY_REMARKS_MAX  500
#define POLICY_PROFILES_MAX 256

/* A rule before its profile is known: profiles may stand anywhere. */
struct policy_draft {
	struct policy_rule rule;
	struct tcpkeep_settings own;
	char profile[POLICY_NAME_MAX]; /* "": none */
	unsigned profile_line, settings_line;
	bool has_mode, has_settings; /* also of those that are wrong */
	bool broken;                 /* an error was told: it is not compared with others */
};

struct policy_profile {
	char name[POLICY_NAME_MAX];
	struct tcpkeep_settings settings;
	const char *path;
	unsigned line;
	bool used; /* a rule names it */
};

struct policy_note {
	size_t file; /* in paths */
	unsigned line;
	size_t number; /* in the order of being told */
	bool is_error;
	char *message;
};

/* A file that was read. */
struct policy_source {
	char *path;
	dev_t device;
	ino_t inode;
	size_t parent; /* the file that includes it, and where */
	unsigned line;
};

struct policy_reader {
	struct policy_source *sources;
	size_t n_sources, sources_room;
	size_t file; /* which of them is being read */
	unsigned depth;
	bool no_files; /* a text without a file: nothing is included */

	struct policy_draft **drafts;
	size_t n_drafts, drafts_room;
	bool too_many; /* rules, which was told */
	struct policy_profile *profiles;
	size_t n_profiles, profiles_room;

	struct policy_note *notes;
	size_t n_notes, notes_room;
	bool has_errors, no_memory;
};

/* Too many errors: what is left of the text is not looked at. */
static inline bool policy_is_enough(const struct policy_reader *reader)
{
	return reader->n_notes > POLICY_REMARKS_MAX;
}

/* Remarks on the file that is being read, or on the one at path. */
void policy_note(struct policy_reader *reader, size_t file, unsigned line, bool is_error,
		 const char *format, ...) PRINTF_LIKE(5, 6);
#define policy_fail(reader, line, ...) policy_note(reader, (reader)->file, line, true, __VA_ARGS__)
#define policy_warn(reader, line, ...) policy_note(reader, (reader)->file, line, false, __VA_ARGS__)

/* The number of the file that a rule's or profile's path, the very pointer, belongs to. */
size_t policy_file_of(const struct policy_reader *reader, const char *path);

/* Tells all of them. */
void policy_tell(struct policy_reader *reader, policy_remark_fn fn, void *userdata);

/* policy-rule.c: one rule; policy-profile.c: one profile, and the rules' from theirs. */
void policy_take_rule(struct policy_reader *reader, const struct policy_block *block);
void policy_take_profile(struct policy_reader *reader, const struct policy_block *block);
void policy_resolve_profiles(struct policy_reader *reader);

/* policy-keys.c: what may stand in a block. */
enum policy_key_kind {
	POLICY_KEY_SELECTOR,
	POLICY_KEY_SETTING,
	POLICY_KEY_MODE,
	POLICY_KEY_PROFILE,
	POLICY_KEY_REFUSED, /* why says why */
};

struct policy_key {
	const char *name;
	enum policy_key_kind kind;
	const char *why;
};

/* Is it the name of one, or of one that is refused with a reason? */
bool policy_knows_key(const struct policy_word *word);

/* NULL: there is none, and an error with the nearest was told. */
const struct policy_key *policy_find_key(struct policy_reader *reader,
					 const struct policy_word *key, bool in_profile);

/* The block's name, checked and free of its like among the n others that find() gives. Whether it
 * is good. */
bool policy_take_title(struct policy_reader *reader, const struct policy_block *block,
		       char ret[POLICY_NAME_MAX]);

/* One setting of a block into *settings. Whether it is good. */
bool policy_take_setting(struct policy_reader *reader, const struct policy_entry *entry,
			 struct tcpkeep_settings *settings);

/* The one value of an entry; NULL when it is not one, which was told. */
const struct policy_word *policy_single(struct policy_reader *reader,
					const struct policy_entry *entry);

/* policy-selector.c: one selector of a rule. Whether it is good. */
bool policy_take_selector(struct policy_reader *reader, const struct policy_entry *entry,
			  struct selector *selector);

/* policy-check.c: warnings of what is legal. */
void policy_check(struct policy_reader *reader);

#define POLICY_SHOWN_MAX 64
const char *policy_show(const struct policy_word *word, char buf[POLICY_SHOWN_MAX]);
