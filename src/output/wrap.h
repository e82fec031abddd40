/* SPDX-License-Identifier: MIT */
/*
 * Sentences for people, broken at blanks where the terminal is narrower. What does not go to a
 * terminal is not broken: programs and diff read it by lines. A word that is wider than the
 * terminal stays whole, so that it can be copied. Colours (colour.h) take no room.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "base/macro.h"

/* printf() of one paragraph without its newline, which is added; the lines after the first are
 * indented. Words that come from elsewhere are escaped already. */
void wrap_print(FILE *stream, unsigned indent, const char *format, ...) PRINTF_LIKE(3, 4);

/* A long list on lines of its own, broken behind commas as well; the first line is indented, too.
 */
void wrap_list(FILE *stream, unsigned indent, const char *text);

/* What wrap_text() makes of len bytes takes no more. */
#define WRAP_MAX(len, indent) ((len) * ((indent) + 2))

/*
 * The same without a stream and without memory of its own, for so many columns; 0: nothing is
 * broken. Returns how many bytes stand at out, which has WRAP_MAX(len, indent).
 */
size_t wrap_text(const char *text, size_t len, unsigned width, unsigned indent, char *out);
