/* SPDX-License-Identifier: MIT */
/*
 * The grammar of a policy file, without the meaning of its keys:
 *
 *	include "GLOB"
 *	KIND "title" { KEY  KEY = VALUE  KEY = { VALUE, VALUE }  KEY != VALUE ... }
 *
 * libconfuse's, with != and with keys that stand alone; docs/architecture.md says why it is not
 * libconfuse. After an error the parser goes on where a person would: with the next key, the next
 * rule.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A piece of the text; not NUL-terminated. Valid during the call only. */
struct policy_word {
	const char *text;
	size_t len;
	unsigned line;
};

enum policy_op {
	POLICY_ALONE = 0, /* on */
	POLICY_IS,        /* time = 60 */
	POLICY_IS_NOT,    /* user != root */
};

struct policy_entry {
	struct policy_word key;
	enum policy_op op;
	bool list; /* { } */
	struct policy_word *values;
	size_t n_values, room;
};

struct policy_block {
	struct policy_word kind, title; /* title.text is NULL: it has none, which was told */
	struct policy_entry *entries;
	size_t n_entries, room;
	bool broken; /* errors of its own were told: something may be missing in it */
};

/* What is found, in the order of the text. */
struct policy_events {
	/* Is it a key? What stands behind a value is one, or does not belong there. */
	bool (*knows)(const struct policy_word *word);
	void (*block)(const struct policy_block *block, void *userdata);
	void (*include)(const struct policy_word *pattern, void *userdata);
	void (*error)(unsigned line, const char *message, void *userdata);
	void *userdata;
};

/* Kinds of blocks. */
#define POLICY_RULE    "rule"
#define POLICY_PROFILE "profile"

bool policy_word_is(const struct policy_word *word, const char *text);

/* Parses len bytes, which are changed. 0, also with errors told; -ENOMEM. */
int policy_parse(char *text, size_t len, const struct policy_events *events);
