/* SPDX-License-Identifier: MIT */
#include "policy-parser.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/macro.h"
#include "base/nearest.h"
#include "policy-lexer.h"

#define SHOWN_MAX 48

struct parser {
	const char *text;
	const struct token *token; /* the next one; the last is a TOKEN_END */
	const struct policy_events *events;
	unsigned line;     /* of the token before */
	unsigned n_errors; /* told */
	bool lost;         /* settings stand outside of all rules, which was told */
	bool separated;    /* in this block something separates, which was told */
	bool no_memory;
};

bool policy_word_is(const struct policy_word *word, const char *text)
{
	return strlen(text) == word->len && memcmp(word->text, text, word->len) == 0;
}

PRINTF_LIKE(3, 4)
static void fail(struct parser *p, unsigned line, const char *format, ...)
{
	char message[256];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	p->n_errors++;
	p->events->error(line, message, p->events->userdata);
}

static struct policy_word word_of(const struct parser *p, const struct token *token)
{
	return (struct policy_word){p->text + token->at, token->len, token->line};
}

static const char *show(const struct parser *p, const struct token *token, char buf[SHOWN_MAX])
{
	return escape_text(p->text + token->at, token->len, buf, SHOWN_MAX);
}

static const char *show_word(const struct policy_word *word, char buf[SHOWN_MAX])
{
	return escape_text(word->text, word->len, buf, SHOWN_MAX);
}

/* The next token is taken, but the end stays. */
static void skip(struct parser *p)
{
	p->line = p->token->line;
	p->token += p->token->kind != TOKEN_END;
}

static bool next_is(const struct parser *p, enum token_kind kind)
{
	return p->token->kind == (uint32_t)kind;
}

/* Broken ones as well: what is wrong with them was told. */
static bool is_value(const struct token *token)
{
	return token->kind == TOKEN_WORD || token->kind == TOKEN_STRING ||
	       token->kind == TOKEN_NO_QUOTE || token->kind == TOKEN_NO_ESCAPE ||
	       token->kind == TOKEN_CURLED;
}

static bool is_op(const struct token *token)
{
	return token->kind == TOKEN_EQUAL || token->kind == TOKEN_NOT_EQUAL;
}

/* "time =": the beginning of the next entry, not a value. */
static bool is_key(const struct token *token)
{
	return token->kind == TOKEN_WORD && is_op(token + 1);
}

static bool token_is(const struct parser *p, const struct token *token, const char *text)
{
	struct policy_word word = word_of(p, token);

	return token->kind == TOKEN_WORD && policy_word_is(&word, text);
}

/* The key in `time`, `time = 60`, and `time: 60`, which other languages write; NULL: it is none of
 * ours. */
static const char *known_key(const struct parser *p, const struct token *token,
			     struct policy_word *ret)
{
	if (token->kind != TOKEN_WORD)
		return NULL;
	*ret = word_of(p, token);
	if (ret->len > 1 && ret->text[ret->len - 1] == ':')
		ret->len--;
	return p->events->knows(ret) ? ret->text : NULL;
}

static bool is_known_key(const struct parser *p, const struct token *token)
{
	struct policy_word word;

	return known_key(p, token, &word) != NULL;
}

/* `rule "name"`, `include "..."`: what stands outside of blocks alone; also misspelt, `rlue "name"
 * {`. */
static bool is_statement(const struct parser *p, const struct token *token)
{
	if (token->kind != TOKEN_WORD || is_op(token + 1))
		return false;
	/* `profile wan` in a rule lacks its '='. */
	if (token_is(p, token, POLICY_PROFILE))
		return token[1].kind == TOKEN_OPEN ||
		       (is_value(token + 1) && token[2].kind == TOKEN_OPEN);
	return token_is(p, token, POLICY_RULE) || token_is(p, token, "include") ||
	       ((token[1].kind == TOKEN_STRING || token[1].kind == TOKEN_CURLED) &&
		token[2].kind == TOKEN_OPEN);
}

/* Over a block of which nothing is known: to behind its '}', or to what can only begin another. */
static void skip_braces(struct parser *p)
{
	unsigned depth = 0;

	do {
		depth += next_is(p, TOKEN_OPEN);
		depth -= next_is(p, TOKEN_CLOSE);
		skip(p);
	} while (depth > 0 && !next_is(p, TOKEN_END) && !is_statement(p, p->token));
}

/* What no string may be. */
static void check_token(struct parser *p, const struct token *token)
{
	char shown[SHOWN_MAX];

	if (token->kind == TOKEN_NO_QUOTE)
		fail(p, token->line, "'%s' lacks its closing quote; a string ends on its line",
		     show(p, token, shown));
	else if (token->kind == TOKEN_NO_ESCAPE)
		fail(p, token->line,
		     "'%s' has a backslash that escapes nothing; write \\\\ for a backslash, or use single quotes",
		     show(p, token, shown));
	else if (token->kind == TOKEN_CURLED)
		fail(p, token->line,
		     "the quotes at '%s' are typographic ones; write straight ones: \"%s\"",
		     show(p, token, shown), shown);
}

/* ------------------------------------------------------------------------------------ values */

static void add_value(struct parser *p, struct policy_entry *entry)
{
	struct policy_word *grown =
		array_grow(entry->values, entry->n_values, &entry->room, sizeof(*grown));

	check_token(p, p->token);
	if (grown) {
		entry->values = grown;
		entry->values[entry->n_values++] = word_of(p, p->token);
	} else {
		p->no_memory = true;
	}
	skip(p);
}

/* From behind the '{' to behind the '}'. */
static void take_list(struct parser *p, struct policy_entry *entry)
{
	char key[SHOWN_MAX], shown[SHOWN_MAX];
	bool comma = true; /* a value may follow */

	show_word(&entry->key, key);
	entry->list = true;
	for (;;) {
		if (next_is(p, TOKEN_CLOSE)) {
			skip(p);
			return;
		}
		if (next_is(p, TOKEN_END) || is_key(p->token) || is_statement(p, p->token)) {
			fail(p, entry->key.line, "%s: the list lacks its '}'", key);
			return;
		}
		if (is_value(p->token)) {
			if (!comma)
				fail(p, p->token->line, "%s: a comma is missing before '%s'", key,
				     show(p, p->token, shown));
			add_value(p, entry);
			comma = false;
			continue;
		}
		if (!next_is(p, TOKEN_COMMA) || comma)
			fail(p, p->token->line,
			     "%s: '%s' in a list; write %s = { \"VALUE\", \"VALUE\" }", key,
			     show(p, p->token, shown), key);
		comma = true;
		skip(p);
	}
}

/* `peer = "a", "b"`: said once, and read as it was meant. */
static void take_bare_list(struct parser *p, struct policy_entry *entry)
{
	char key[SHOWN_MAX];

	if (!next_is(p, TOKEN_COMMA) || !is_value(p->token + 1) || is_key(p->token + 1))
		return;
	fail(p, p->token->line,
	     "%s: several values stand in braces; write %s = { \"...\", \"...\" }",
	     show_word(&entry->key, key), key);
	entry->list = true;
	while (next_is(p, TOKEN_COMMA) && is_value(p->token + 1) && !is_key(p->token + 1)) {
		skip(p);
		add_value(p, entry);
	}
}

/* `["a", "b"]`, and not `[::1]:80`. */
static bool is_bracket(const struct parser *p, const struct token *token)
{
	struct policy_word word = word_of(p, token);

	return token->kind == TOKEN_WORD && word.len > 0 && word.text[0] == '[' &&
	       !memchr(word.text, ']', word.len);
}

/* The list that other languages write: said once, and passed over. */
static void refuse_brackets(struct parser *p, const char *key)
{
	unsigned line = p->token->line;
	struct policy_word word;

	fail(p, line, "%s: several values stand in braces; write %s = { \"...\", \"...\" }", key,
	     key);
	do {
		word = word_of(p, p->token);
		skip(p);
	} while (!(word.len > 0 && word.text[word.len - 1] == ']') &&
		 (is_value(p->token) || next_is(p, TOKEN_COMMA)) && !is_key(p->token) &&
		 !is_statement(p, p->token));
}

/* `==`, `=>`: said once. */
static void refuse_operators(struct parser *p, const char *key)
{
	if (!is_op(p->token) && !token_is(p, p->token, ">"))
		return;
	fail(p, p->token->line, "%s: takes = or !=; write %s = VALUE", key, key);
	while (is_op(p->token) || token_is(p, p->token, ">"))
		skip(p);
}

/* What follows the operator. Whether there is something. */
static bool take_values(struct parser *p, struct policy_entry *entry)
{
	char key[SHOWN_MAX];

	show_word(&entry->key, key);
	refuse_operators(p, key);
	if (is_bracket(p, p->token)) {
		refuse_brackets(p, key);
		return false;
	}
	if (next_is(p, TOKEN_OPEN)) {
		skip(p);
		take_list(p, entry);
	} else if (is_value(p->token) && !(is_key(p->token) && p->token->line > entry->key.line) &&
		   !is_statement(p, p->token)) {
		add_value(p, entry);
		take_bare_list(p, entry);
	} else {
		fail(p, entry->key.line, "%s: lacks its value; write %s = VALUE", key, key);
		return false;
	}
	return true;
}

/* ------------------------------------------------------------------------------------ blocks */

static struct policy_entry *add_entry(struct parser *p, struct policy_block *block)
{
	struct policy_entry *grown =
		array_grow(block->entries, block->n_entries, &block->room, sizeof(*grown));

	if (!grown) {
		p->no_memory = true;
		return NULL;
	}
	block->entries = grown;
	grown += block->n_entries++;
	*grown = (struct policy_entry){.key = word_of(p, p->token)};
	known_key(p, p->token, &grown->key);
	return grown;
}

/* Behind a value on its line: what is no key does not belong there. Said once; told: it was. */
static void refuse_rest(struct parser *p, const char *key, bool told)
{
	char shown[SHOWN_MAX];

	while ((is_value(p->token) || (told && (next_is(p, TOKEN_OPEN) || is_op(p->token)))) &&
	       p->token->line == p->line && !is_key(p->token) && !is_known_key(p, p->token) &&
	       !is_statement(p, p->token)) {
		if (!told)
			fail(p, p->line,
			     "%s: '%s' stands behind its value; write the value without blanks, or in quotes",
			     key, show(p, p->token, shown));
		told = true;
		if (next_is(p, TOKEN_OPEN))
			skip_braces(p);
		else
			skip(p);
	}
}

/* `time 60`, `time: 60`, `time : 60`; `on` alone. */
static void take_without_operator(struct parser *p, struct policy_entry *entry, bool colon)
{
	char key[SHOWN_MAX], shown[SHOWN_MAX];

	show_word(&entry->key, key);
	if (!p->events->knows(&entry->key)) {
		/* Of a word that is no key that is said, and nothing of what follows it. */
		refuse_rest(p, key, true);
		return;
	}
	if (token_is(p, p->token, ":")) {
		colon = true;
		skip(p);
	}
	/* And not `on time = 60` */
	if (!colon && (policy_word_is(&entry->key, "on") || policy_word_is(&entry->key, "off") ||
		       !(is_value(p->token) || next_is(p, TOKEN_OPEN)) || is_key(p->token) ||
		       p->token->line != entry->key.line))
		return;
	fail(p, entry->key.line, "%s: %s; write %s = %s", key,
	     colon ? "takes '=', not ':'" : "lacks its '='", key,
	     next_is(p, TOKEN_OPEN) ? "{ ... }"
	     : is_value(p->token)   ? show(p, p->token, shown)
				    : "VALUE");
	entry->op = POLICY_IS;
	if (is_value(p->token) || next_is(p, TOKEN_OPEN)) {
		take_values(p, entry);
		refuse_rest(p, key, true);
	}
}

/* One key with its values. */
static void take_entry(struct parser *p, struct policy_block *block)
{
	struct policy_entry *entry = add_entry(p, block);
	unsigned errors = p->n_errors;
	char key[SHOWN_MAX];
	bool colon = entry && p->token->len > entry->key.len;

	skip(p);
	if (!entry)
		return;
	if (!is_op(p->token)) {
		take_without_operator(p, entry, colon);
	} else {
		entry->op = next_is(p, TOKEN_EQUAL) ? POLICY_IS : POLICY_IS_NOT;
		skip(p);
		if (take_values(p, entry))
			refuse_rest(p, show_word(&entry->key, key), p->n_errors > errors);
	}
	/* Told already: its values are not looked at once more. */
	if (entry->op != POLICY_ALONE && entry->n_values == 0 && !entry->list)
		block->n_entries--;
}

static void free_block(struct policy_block *block)
{
	for (size_t i = 0; i < block->n_entries; i++)
		free(block->entries[i].values);
	free(block->entries);
}

static void refuse_token(struct parser *p)
{
	char shown[SHOWN_MAX];

	switch (p->token->kind) {
	case TOKEN_COMMA:
	case TOKEN_SEMICOLON:
		if (!p->separated)
			fail(p, p->token->line, "'%s' separates nothing here; leave it out",
			     show(p, p->token, shown));
		p->separated = true;
		break;
	case TOKEN_NO_COMMENT_END:
		fail(p, p->token->line, "a comment lacks its end: */");
		break;
	case TOKEN_CLOSE:
		/* That of a rule without its head. */
		if (!p->lost)
			fail(p, p->token->line, "a '}' closes nothing");
		p->lost = false;
		break;
	default:
		fail(p, p->token->line,
		     "'%s' is not expected here; rules are written rule \"NAME\" { KEY = VALUE ... }",
		     show(p, p->token, shown));
	}
	if (next_is(p, TOKEN_OPEN))
		skip_braces(p);
	else
		skip(p);
}

/* From behind the '{' to behind the '}'. */
static void take_entries(struct parser *p, struct policy_block *block)
{
	char kind[SHOWN_MAX], title[SHOWN_MAX];

	for (;;) {
		if (next_is(p, TOKEN_CLOSE)) {
			skip(p);
			return;
		}
		if (next_is(p, TOKEN_END) || is_statement(p, p->token)) {
			fail(p, block->kind.line, "%s \"%s\": lacks its '}'",
			     show_word(&block->kind, kind), show_word(&block->title, title));
			return;
		}
		if (next_is(p, TOKEN_WORD))
			take_entry(p, block);
		else
			refuse_token(p);
	}
}

/* `rule "name" {`: to behind the '{'. Whether there is one. */
static bool take_head(struct parser *p, struct policy_block *block)
{
	char kind[SHOWN_MAX];

	show_word(&block->kind, kind);
	skip(p);
	if (is_value(p->token)) {
		check_token(p, p->token);
		block->title = word_of(p, p->token);
		skip(p);
	} else {
		fail(p, block->kind.line, "%s: lacks its name; write %s \"NAME\" { ... }", kind,
		     kind);
		block->title = (struct policy_word){NULL, 0, block->kind.line};
	}
	if (next_is(p, TOKEN_OPEN)) {
		skip(p);
		return true;
	}
	fail(p, block->kind.line, "%s: lacks its '{'; write %s \"NAME\" { ... }", kind, kind);
	return is_key(p->token); /* `rule "name" time = 60 }` */
}

/* meant: NULL, or the word that should stand there. */
static void take_block(struct parser *p, const char *meant)
{
	struct policy_block block = {.kind = word_of(p, p->token)};
	unsigned errors = p->n_errors;

	if (meant)
		block.kind = (struct policy_word){meant, strlen(meant), block.kind.line};
	p->lost = p->separated = false;
	if (take_head(p, &block)) {
		take_entries(p, &block);
		block.broken = p->n_errors > errors;
		p->events->block(&block, p->events->userdata);
	}
	free_block(&block);
}

/* --------------------------------------------------------------------------------- the file */

static void take_include(struct parser *p)
{
	struct policy_word pattern;
	unsigned line = p->token->line;

	skip(p);
	if (next_is(p, TOKEN_EQUAL))
		skip(p);
	if (!is_value(p->token) || p->token->line != line) {
		fail(p, line, "include: lacks its file; write include \"policy.d/*.conf\"");
		return;
	}
	check_token(p, p->token);
	pattern = word_of(p, p->token);
	skip(p);
	p->events->include(&pattern, p->events->userdata);
}

/* What may have been meant by a word outside of all blocks. */
static void refuse_statement(struct parser *p)
{
	static const char *const statements[] = {POLICY_RULE, POLICY_PROFILE, "include"};
	struct policy_word word = word_of(p, p->token);
	unsigned line = word.line;
	char shown[SHOWN_MAX];
	const char *hint;

	known_key(p, p->token, &word);
	show_word(&word, shown);
	hint = nearest(word.text, word.len, statements, ARRAY_SIZE(statements));
	if (is_key(p->token) || (p->events->knows(&word) && !hint)) {
		/* A rule without its head is one mistake, however many lines it has. */
		if (!p->lost)
			fail(p, line,
			     "%s: stands outside of a rule; write rule \"NAME\" { %s = ... }",
			     shown, shown);
		p->lost = true;
	} else if (hint)
		fail(p, line, "%s: is not known; did you mean '%s'?", shown, hint);
	else
		fail(p, line, "%s: is not known; accepted: rule, profile, include", shown);
	/* `rlue "name" {`: what is inside may have errors as well. */
	if (hint && is_value(p->token + 1) && p->token[2].kind == TOKEN_OPEN) {
		take_block(p, hint);
		return;
	}
	/* Its rest: `= VALUE`, or a name and a block. */
	skip(p);
	while (is_op(p->token) || (is_value(p->token) && p->token->line == line))
		skip(p);
	if (next_is(p, TOKEN_OPEN))
		skip_braces(p);
}

int policy_parse(char *text, size_t len, const struct policy_events *events)
{
	_cleanup_free_ struct token *tokens = NULL;
	struct parser p = {.text = text, .events = events};
	int r;

	r = policy_lex(text, len, &tokens);
	if (r < 0)
		return r;
	p.token = tokens;
	while (!next_is(&p, TOKEN_END) && !p.no_memory) {
		if (token_is(&p, p.token, POLICY_RULE) || token_is(&p, p.token, POLICY_PROFILE))
			take_block(&p, NULL);
		else if (token_is(&p, p.token, "include"))
			take_include(&p);
		else if (next_is(&p, TOKEN_WORD))
			refuse_statement(&p);
		else
			refuse_token(&p);
	}
	return p.no_memory ? -ENOMEM : 0;
}
