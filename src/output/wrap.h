/* SPDX-License-Identifier: MIT */
/*
 * Sentences for people, broken at blanks where the terminal is narrower. What does not go to a
 * terminal is not broken: programs and diff read it by lines. A word that is wider than the
 * terminal stays whole, so that it can be copied.
 */
#pragma once

#include <stdio.h>

#include "base/macro.h"

/* printf() of one paragraph without its newline, which is added; the lines after the first are
 * indented. Colours (colour.h) take no room. Words that come from elsewhere are escaped already. */
void wrap_print(FILE *stream, unsigned indent, const char *format, ...) PRINTF_LIKE(3, 4);

/* A long list on lines of its own, broken behind commas as well; the first line is indented, too.
 */
void wrap_list(FILE *stream, unsigned indent, const char *text);
