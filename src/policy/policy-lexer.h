/* SPDX-License-Identifier: MIT */
/*
 * The words of a policy file. The whole text is cut up at once, so that the parser may look ahead
 * as far as it needs to say what was meant.
 *
 * Blanks and newlines separate; # and // begin a comment to the end of the line, a slash and a star
 * one to the star and slash, where a word could begin: 10.0.0.0/8 and /system.slice are words.
 * "..." ends on its line and knows \" and \\; in '...' nothing is special.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum token_kind {
	TOKEN_END = 0,
	TOKEN_WORD,
	TOKEN_STRING,
	TOKEN_EQUAL,
	TOKEN_NOT_EQUAL,
	TOKEN_OPEN,      /* { */
	TOKEN_CLOSE,     /* } */
	TOKEN_COMMA,     /* , */
	TOKEN_SEMICOLON, /* ; which means nothing here */
	TOKEN_NO_QUOTE,  /* a string that does not end on its line */
	TOKEN_NO_ESCAPE, /* a string with a backslash before something else than \ and " */
	TOKEN_CURLED,    /* a string in the quotes that word processors and web pages make of " */
	TOKEN_NO_COMMENT_END,
};

struct token {
	uint32_t at, len; /* in the text; a string's is what stands between the quotes */
	uint32_t line;    /* 1.. */
	uint32_t kind;    /* enum token_kind */
};

/* Cuts text up; escapes are undone in place. *ret ends in a TOKEN_END and is the caller's to free.
 * len is below 4 GB. -ENOMEM. */
int policy_lex(char *text, size_t len, struct token **ret);
