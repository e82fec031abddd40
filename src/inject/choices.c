/* SPDX-License-Identifier: MIT */
#include "choices.h"

#include <stddef.h>

/* Places next to each other in which a cookie may be. */
#define NEIGHBOURS 8

/* Cookies count upwards: spread them (the multiplier is 2^64 by the golden ratio). */
static size_t home_of(uint64_t cookie)
{
	return (size_t)((cookie * 0x9e3779b97f4a7c15ULL) >> 32) % CHOICES_SIZE &
	       ~(NEIGHBOURS - 1UL);
}

static uint64_t at(const struct choices *choices, size_t i)
{
	return __atomic_load_n(&choices->cookies[i], __ATOMIC_RELAXED);
}

void choices_add(struct choices *choices, uint64_t cookie)
{
	size_t home = home_of(cookie);
	uint32_t turn = __atomic_fetch_add(&choices->used, 1, __ATOMIC_RELAXED);

	if (choices_has(choices, cookie))
		return;
	for (size_t i = home; i < home + NEIGHBOURS; i++) {
		uint64_t nobody = 0;

		if (__atomic_compare_exchange_n(&choices->cookies[i], &nobody, cookie, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return;
	}
	__atomic_store_n(&choices->cookies[home + turn % NEIGHBOURS], cookie, __ATOMIC_RELAXED);
}

static size_t find(const struct choices *choices, uint64_t cookie)
{
	size_t home = home_of(cookie);

	if (__atomic_load_n(&choices->used, __ATOMIC_RELAXED) == 0)
		return CHOICES_SIZE;
	for (size_t i = home; i < home + NEIGHBOURS; i++)
		if (at(choices, i) == cookie)
			return i;
	return CHOICES_SIZE;
}

bool choices_has(const struct choices *choices, uint64_t cookie)
{
	return find(choices, cookie) < CHOICES_SIZE;
}

bool choices_remove(struct choices *choices, uint64_t cookie)
{
	size_t i = find(choices, cookie);

	return i < CHOICES_SIZE &&
	       __atomic_compare_exchange_n(&choices->cookies[i], &cookie, 0, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
