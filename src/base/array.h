/* SPDX-License-Identifier: MIT */
/* Arrays that grow. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

/*
 * Room for one more behind used elements: returns the array, moved if need be, with *room set; NULL
 * when memory is short, and then the old one still stands.
 */
static inline void *array_grow(void *array, size_t used, size_t *room, size_t size)
{
	size_t wanted = *room ? *room * 2 : 16;
	void *grown;

	if (used < *room)
		return array;
	grown = reallocarray(array, wanted, size);
	if (grown)
		*room = wanted;
	return grown;
}
