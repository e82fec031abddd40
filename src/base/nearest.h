/* SPDX-License-Identifier: MIT */
/* "did you mean": the nearest of some known words. Allocation-free. */
#pragma once

#include <stddef.h>

/* How many edits (insert, delete, replace, swap of neighbours) make a into b; words over 32 bytes:
 * far. */
unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len);

/*
 * The candidate nearest to word, or NULL when none is near enough to be meant: more than a third of
 * the longer word's letters, at least one, may differ.
 */
const char *nearest(const char *word, size_t len, const char *const *candidates, size_t n);
