/* SPDX-License-Identifier: MIT */
/* FNV-1a, 64 bits: against accidents, not against intent. Journals and records hold it, so it stays
 * what it is. */
#pragma once

#include <stddef.h>
#include <stdint.h>

static inline uint64_t hash_bytes(const void *data, size_t len)
{
	const unsigned char *bytes = data;
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	return hash;
}

/* The place in a table, whose number is taken from the low bits. */
static inline uint64_t hash_place(const void *data, size_t len)
{
	uint64_t hash = hash_bytes(data, len);

	return hash ^ hash >> 32;
}
