/* SPDX-License-Identifier: MIT */
/* Parsing selectors: KEY OPERATOR VALUE[,VALUE...]. */
#include "selector.h"

#include <errno.h>
#include <string.h>

#include "base/escape.h"
#include "base/macro.h"
#include "base/nearest.h"
#include "base/number.h"
#include "endpoint.h"
#include "keepalive/error.h"
#include "selector-values.h"

/* The longer first: ">" starts ">=" as well. */
static const struct {
	const char *text;
	enum selector_op op;
} ops[] = {
	{"!=", OP_NOT_EQUAL}, {">=", OP_GREATER_EQUAL}, {"<=", OP_LESS_EQUAL},
	{"=", OP_EQUAL},      {">", OP_GREATER},        {"<", OP_LESS},
};

static bool is(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(text, word, len) == 0;
}

/* Words of other tools, for the hint. */
static const struct {
	const char *word, *key;
} others[] = {
	{"src", "local"},       {"dst", "peer"},     {"source", "local"},   {"destination", "peer"},
	{"remote", "peer"},     {"uid", "user"},     {"comm", "program"},   {"command", "program"},
	{"process", "program"}, {"service", "unit"}, {"sport", "local"},    {"dport", "peer"},
	{"namespace", "netns"}, {"idle", "silent"},  {"silence", "silent"}, {"cmd", "program"},
	{"proc", "program"},    {"name", "program"}, {"ns", "netns"},       {"addr", "peer"},
};

/* "prog" is no slip of the fingers, and yet there is no doubt. */
static const char *begins_key(const char *name, size_t len)
{
	const char *found = NULL;

	for (size_t i = 0; len >= 3 && i < ARRAY_SIZE(selector_keys); i++)
		if (strncmp(selector_keys[i].name, name, len) == 0)
			found = found ? NULL : selector_keys[i].name;
	return found;
}

static const char *nearest_key(const char *name, size_t len)
{
	const char *candidates[ARRAY_SIZE(selector_keys)];

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (is(name, len, others[i].word))
			return others[i].key;
	if (begins_key(name, len))
		return begins_key(name, len);
	for (size_t i = 0; i < ARRAY_SIZE(selector_keys); i++)
		candidates[i] = selector_keys[i].name;
	return nearest(name, len, candidates, ARRAY_SIZE(candidates));
}

/* A word without an operator, which looks like a value. */
static int refuse_bare(const char *word, size_t len, struct tcpkeep_error *ret_error)
{
	struct match_endpoint endpoint;
	char shown[SELECTOR_SHOWN_MAX];
	int64_t port;

	escape_text(word, len, shown, sizeof(shown));
	if (endpoint_parse("", word, len, &endpoint, NULL) == 0)
		return error_set_at(ret_error, -ENOKEY, 0, len,
				    "'%s' lacks its side; write peer=%s or local=%s", shown, shown,
				    shown);
	if (number_parse(word, len, 1, UINT16_MAX, &port) == 0)
		return error_set_at(
			ret_error, -ENOKEY, 0, len,
			"'%s' lacks its key; write peer=:%s or local=:%s for a port, pid=%s for "
			"a process",
			shown, shown, shown, shown);
	return error_set_at(ret_error, -ENOKEY, 0, len,
			    "'%s' lacks its key; write program=%s for a program, or one of pid, "
			    "user, unit, cgroup, local, peer, state, netns, keepalive, silent and "
			    "direction",
			    shown, shown);
}

static int refuse_key(const char *word, size_t word_len, size_t len,
		      struct tcpkeep_error *ret_error)
{
	const char *hint = nearest_key(word, len);
	char shown[SELECTOR_SHOWN_MAX];

	escape_text(word, len, shown, sizeof(shown));
	if (is(word, len, "port"))
		return error_set_at(ret_error, -ENOKEY, 0, len,
				    "'port' is not a selector; write peer=:PORT or local=:PORT");
	if (hint)
		return error_set_at(ret_error, -ENOKEY, 0, len,
				    "'%s' is not a selector; did you mean '%s'?", shown, hint);
	if (word_len == len && len > 0)
		return refuse_bare(word, len, ret_error);
	return error_set_at(
		ret_error, -ENOKEY, 0, len,
		"'%s' is not a selector; the selectors are pid, program, user, unit, cgroup, "
		"local, peer, state, netns, keepalive, silent and direction",
		shown);
}

static const struct selector_key *find_key(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(selector_keys); i++)
		if (is(name, len, selector_keys[i].name))
			return &selector_keys[i];
	return NULL;
}

/* Reads the operator at the start of text. */
static int parse_op(const struct selector_key *key, const char *text, size_t len, size_t offset,
		    enum selector_op *ret, size_t *ret_len, struct tcpkeep_error *ret_error)
{
	bool order = key->ops & OPS_ORDER;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		size_t n = strlen(ops[i].text);

		if (len < n || memcmp(text, ops[i].text, n) != 0)
			continue;
		if (!(key->ops & ops[i].op) || (len > n && text[n] == '='))
			break;
		*ret = ops[i].op;
		*ret_len = n;
		return 0;
	}
	/* A shell without quotes has taken "> 10m" away, and made a file of it. */
	if (order && len == 0)
		return error_set_at(
			ret_error, -EINVAL, 0, offset,
			"%s lacks its duration; write it in quotes, '%s>10m': the shell takes a "
			"bare > or < for a file",
			key->name, key->name);
	if (order)
		return error_set_at(ret_error, -EINVAL, offset, len > 1 ? 2 : len,
				    "%s takes > >= < or <=, with one duration; write '%s>10m'",
				    key->name, key->name);
	if (len == 0)
		return error_set_at(ret_error, -EINVAL, 0, offset,
				    "%s lacks its value; write %s=VALUE (%s)", key->name, key->name,
				    key->accepted);
	return error_set_at(ret_error, -EINVAL, offset, len > 1 ? 2 : len,
			    "%s takes = or !=; write %s=VALUE or %s!=VALUE", key->name, key->name,
			    key->name);
}

/* Adds one value to the last clause. */
static int add_value(struct selector *selector, const struct selector_value *value)
{
	struct match_program *program = &selector->program;
	struct match_clause *clause = &program->clauses[program->n_clauses - 1];
	union match_value parsed = {0};
	int r;

	if (program->n_values == MATCH_VALUES_MAX)
		return error_set_at(
			value->error, -E2BIG, value->offset, value->len,
			"%s: more than %d values in all selectors together; use a range, a "
			"network or a glob (*)",
			value->key->name, MATCH_VALUES_MAX);
	r = value->key->parse(selector, value, &parsed);
	if (r < 0)
		return r;
	program->values[program->n_values] = parsed;
	program->clause_of[program->n_values++] = (__u8)(program->n_clauses - 1);
	clause->n++;
	return 0;
}

/* The values of a word, from offset on: several by comma. */
static int add_values(struct selector *selector, const struct selector_key *key,
		      enum selector_op op, const char *word, size_t len, size_t offset,
		      struct tcpkeep_error *ret_error)
{
	for (;;) {
		/* Two durations in one word are never meant: silent>1h,2h. */
		const char *comma =
			key->ops & OPS_ORDER ? NULL : memchr(word + offset, ',', len - offset);
		size_t end = comma ? (size_t)(comma - word) : len;
		struct selector_value value = {key,          op,     word + offset,
					       end - offset, offset, ret_error};
		int r;

		r = add_value(selector, &value);
		if (r < 0)
			return r;
		if (!comma)
			return 0;
		offset = end + 1;
	}
}

int selector_parse_word(struct selector *selector, const char *word, size_t len,
			struct tcpkeep_error *ret_error)
{
	struct selector next = *selector;
	struct match_program *program = &next.program;
	size_t name_len = 0, op_len = 0;
	const struct selector_key *key;
	enum selector_op op = OP_EQUAL;
	int r;

	while (name_len < len && !strchr("=!<>", word[name_len]))
		name_len++;
	key = find_key(word, name_len);
	if (!key)
		return refuse_key(word, len, name_len, ret_error);
	r = parse_op(key, word + name_len, len - name_len, name_len, &op, &op_len, ret_error);
	if (r < 0)
		return r;
	/* Names are compared as C strings. */
	if (memchr(word, '\0', len))
		return error_set_at(ret_error, -EINVAL, 0, len,
				    "%s: the value has a NUL byte in it", key->name);
	if (program->n_clauses == MATCH_CLAUSES_MAX)
		return error_set_at(
			ret_error, -E2BIG, 0, len,
			"more than %d selectors; several values of one key go by comma: pid=1,2",
			MATCH_CLAUSES_MAX);
	program->clauses[program->n_clauses++] = (struct match_clause){
		.kind = (__u8)key->kind,
		.negate = op == OP_NOT_EQUAL,
		.first = (__u16)program->n_values,
	};
	r = add_values(&next, key, op, word, len, name_len + op_len, ret_error);
	if (r < 0)
		return r;
	next.any = true;
	*selector = next;
	return 0;
}
