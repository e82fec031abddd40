/* SPDX-License-Identifier: MIT */
/* "did you mean": the nearest of some known words. Allocation-free. */
#pragma once

#include <stddef.h>

/*
 * The candidate nearest to word, or NULL when none is near enough to be meant: more than a third of
 * the longer word's letters, at least one, may differ.
 */
const char *nearest(const char *word, size_t len, const char *const *candidates, size_t n);
