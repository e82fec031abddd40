/* SPDX-License-Identifier: MIT */
/* Inside the parser of selectors: the keys, and how the values of each are read. */
#pragma once

#include "selector.h"

enum selector_op {
	OP_EQUAL = 1 << 0,
	OP_NOT_EQUAL = 1 << 1,
	OP_GREATER = 1 << 2,
	OP_GREATER_EQUAL = 1 << 3,
	OP_LESS = 1 << 4,
	OP_LESS_EQUAL = 1 << 5,
	OPS_EQUAL = OP_EQUAL | OP_NOT_EQUAL,
	OPS_ORDER = OP_GREATER | OP_GREATER_EQUAL | OP_LESS | OP_LESS_EQUAL,
};

/* One value of a word, and where it stands. */
struct selector_value {
	const struct selector_key *key;
	enum selector_op op;
	const char *text;
	size_t len;
	size_t offset; /* in the word */
	struct tcpkeep_error *error;
};

struct selector_key {
	const char *name;
	enum match_kind kind;
	unsigned ops; /* enum selector_op */
	/* Reads one value into *ret. On failure *selector may hold half of it. */
	int (*parse)(struct selector *selector, const struct selector_value *value,
		     union match_value *ret);
	const char *accepted;
};

#define SELECTOR_KEYS 12
extern const struct selector_key selector_keys[SELECTOR_KEYS];

/* Bytes of a text in a message. */
#define SELECTOR_SHOWN_MAX 40
