/* SPDX-License-Identifier: MIT */
#include "nearest.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "macro.h"

#define WORD_MAX 32

/* LIST means list: what is compared here are keys and commands, in ASCII. */
static bool is_same(char a, char b)
{
	unsigned char folded = (unsigned char)(a | 0x20);

	return a == b || (folded >= 'a' && folded <= 'z' && folded == (unsigned char)(b | 0x20));
}

unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *above = rows[1], *row = rows[2];

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return UINT_MAX;
	for (size_t j = 0; j <= b_len; j++)
		above[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *spare = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned best = above[j - 1] + !is_same(a[i - 1], b[j - 1]);

			best = MIN(best, above[j] + 1);
			best = MIN(best, row[j - 1] + 1);
			if (i > 1 && j > 1 && is_same(a[i - 1], b[j - 2]) &&
			    is_same(a[i - 2], b[j - 1]))
				best = MIN(best, before[j - 2] + 1);
			row[j] = best;
		}
		before = above;
		above = row;
		row = spare;
	}
	return above[b_len];
}

const char *nearest(const char *word, size_t len, const char *const *candidates, size_t n)
{
	const char *best = NULL;
	unsigned best_distance = UINT_MAX;

	for (size_t i = 0; i < n; i++) {
		size_t candidate_len = strlen(candidates[i]);
		size_t longer = MAX(len, candidate_len);
		unsigned distance = edit_distance(word, len, candidates[i], candidate_len);

		if (distance > MAX(longer / 3, (size_t)1) || distance >= longer)
			continue;
		if (distance < best_distance) {
			best = candidates[i];
			best_distance = distance;
		}
	}
	return best;
}
