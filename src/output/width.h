/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/*
 * Columns that UTF-8 takes on a terminal: two for what is wide (CJK), none for what combines with
 * the character before it. Whatever the locale is: what is written is UTF-8. A byte that is none
 * counts as one.
 */
unsigned text_width(const char *text, size_t len);

/*
 * Cuts UTF-8, in place, to so many columns (4 and more): what is longer ends in "...". Returns its
 * new length.
 */
size_t text_cut(char *text, size_t len, unsigned width);
