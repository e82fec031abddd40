/* SPDX-License-Identifier: MIT */
#include "policy-lexer.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/array.h"

struct lexer {
	char *text;
	size_t at, len;
	uint32_t line;
	struct token *tokens;
	size_t n, room;
};

static char peek(const struct lexer *l, size_t ahead)
{
	return l->at + ahead < l->len ? l->text[l->at + ahead] : '\0';
}

/* One of the bytes that end a word. NUL is none of them: it stays in the word, which is refused. */
static bool is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c);
}

/* How many bytes a typographic quote takes; 0: there is none. All that is left and right of « and “
 * in Unicode, also those of one stroke. */
static size_t curled_at(const struct lexer *l, size_t at)
{
	const unsigned char *c = (const unsigned char *)l->text + at;
	size_t left = l->len - at;

	if (left >= 2 && c[0] == 0xc2 && (c[1] == 0xab || c[1] == 0xbb))
		return 2;
	if (left >= 3 && c[0] == 0xe2 && c[1] == 0x80 &&
	    ((c[2] >= 0x98 && c[2] <= 0x9f) || c[2] == 0xb9 || c[2] == 0xba))
		return 3;
	return 0;
}

static void skip_line(struct lexer *l)
{
	while (l->at < l->len && l->text[l->at] != '\n')
		l->at++;
}

/* Whether it ends. */
static bool skip_comment(struct lexer *l)
{
	for (l->at += 2; l->at < l->len; l->at++) {
		l->line += l->text[l->at] == '\n';
		if (l->text[l->at] == '*' && peek(l, 1) == '/') {
			l->at += 2;
			return true;
		}
	}
	return false;
}

/* Blanks and comments. Whether the last comment ends. */
static bool skip_blanks(struct lexer *l)
{
	while (l->at < l->len) {
		char c = l->text[l->at];

		if (is_one_of(c, " \t\r\n")) {
			l->line += c == '\n';
			l->at++;
		} else if (c == '#' || (c == '/' && peek(l, 1) == '/')) {
			skip_line(l);
		} else if (c == '/' && peek(l, 1) == '*') {
			if (!skip_comment(l))
				return false;
		} else {
			break;
		}
	}
	return true;
}

/* From behind the opening quote to behind the closing one. */
static void take_string(struct lexer *l, char quote, struct token *token)
{
	size_t out = l->at, curled = 0;

	token->kind = TOKEN_STRING;
	token->at = (uint32_t)l->at;
	while (l->at < l->len && l->text[l->at] != quote && l->text[l->at] != '\n') {
		/* Nothing has moved before it: it can be gone back to. */
		if (!curled && out == l->at && curled_at(l, l->at))
			curled = l->at;
		if (quote == '"' && l->text[l->at] == '\\') {
			if (peek(l, 1) == '"' || peek(l, 1) == '\\')
				l->at++;
			else
				token->kind = TOKEN_NO_ESCAPE;
		}
		l->text[out++] = l->text[l->at++];
	}
	token->len = (uint32_t)(out - token->at);
	if (l->at < l->len && l->text[l->at] == quote) {
		l->at++;
	} else if (curled) {
		token->kind = TOKEN_CURLED;
		token->len = (uint32_t)(curled - token->at);
		l->at = curled + curled_at(l, curled);
	} else {
		token->kind = TOKEN_NO_QUOTE;
	}
}

/* From the opening quote to behind the closing one, which may be a straight one. Whether there is
 * one on the line. */
static bool take_curled(struct lexer *l, struct token *token)
{
	size_t at = l->at + curled_at(l, l->at), end = at;

	while (end < l->len && l->text[end] != '\n' && l->text[end] != '"' && !curled_at(l, end))
		end++;
	if (end == l->len || l->text[end] == '\n')
		return false;
	token->kind = TOKEN_CURLED;
	token->at = (uint32_t)at;
	token->len = (uint32_t)(end - at);
	l->at = end + (l->text[end] == '"' ? 1 : curled_at(l, end));
	return true;
}

static void take_word(struct lexer *l, struct token *token)
{
	token->kind = TOKEN_WORD;
	while (l->at < l->len && !is_one_of(l->text[l->at], " \t\r\n\"'{}=,;#") &&
	       !(l->text[l->at] == '!' && peek(l, 1) == '='))
		l->at++;
	token->len = (uint32_t)l->at - token->at;
}

static void take(struct lexer *l, struct token *token)
{
	static const struct {
		char text[3];
		enum token_kind kind;
	} marks[] = {
		{"!=", TOKEN_NOT_EQUAL}, {"=", TOKEN_EQUAL}, {"{", TOKEN_OPEN},
		{"}", TOKEN_CLOSE},      {",", TOKEN_COMMA}, {";", TOKEN_SEMICOLON},
	};
	char c = peek(l, 0);

	if (c == '"' || c == '\'') {
		l->at++;
		take_string(l, c, token);
		return;
	}
	if (curled_at(l, l->at) && take_curled(l, token))
		return;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		size_t n = strlen(marks[i].text);

		if (l->len - l->at < n || memcmp(l->text + l->at, marks[i].text, n) != 0)
			continue;
		token->kind = marks[i].kind;
		token->len = (uint32_t)n;
		l->at += n;
		return;
	}
	take_word(l, token);
}

int policy_lex(char *text, size_t len, struct token **ret)
{
	struct lexer l = {.text = text, .len = len, .line = 1};
	struct token token;

	do {
		struct token *grown;
		uint32_t line = l.line;
		bool whole;

		whole = skip_blanks(&l);
		token = (struct token){(uint32_t)l.at, 0, whole ? l.line : line, TOKEN_END};
		if (!whole)
			token.kind = TOKEN_NO_COMMENT_END;
		else if (l.at < l.len)
			take(&l, &token);
		grown = array_grow(l.tokens, l.n, &l.room, sizeof(*grown));
		if (!grown) {
			free(l.tokens);
			return -ENOMEM;
		}
		l.tokens = grown;
		l.tokens[l.n++] = token;
	} while (token.kind != TOKEN_END);
	*ret = l.tokens;
	return 0;
}
