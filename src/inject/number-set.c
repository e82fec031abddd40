/* SPDX-License-Identifier: MIT */
#include "number-set.h"

#include <stddef.h>

/* Places next to each other in which a number may be. */
#define NEIGHBOURS 8

/* They count upwards: spread them (the multiplier is 2^64 by the golden ratio). */
static size_t home_of(uint64_t number)
{
	return (size_t)((number * 0x9e3779b97f4a7c15ULL) >> 32) % NUMBER_SET_SIZE &
	       ~(NEIGHBOURS - 1UL);
}

static uint64_t at(const struct number_set *set, size_t i)
{
	return __atomic_load_n(&set->numbers[i], __ATOMIC_RELAXED);
}

void number_set_add(struct number_set *set, uint64_t number)
{
	size_t home = home_of(number);
	uint32_t turn = __atomic_fetch_add(&set->used, 1, __ATOMIC_RELAXED);

	if (number_set_has(set, number))
		return;
	for (size_t i = home; i < home + NEIGHBOURS; i++) {
		uint64_t nobody = 0;

		if (__atomic_compare_exchange_n(&set->numbers[i], &nobody, number, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return;
	}
	__atomic_store_n(&set->numbers[home + turn % NEIGHBOURS], number, __ATOMIC_RELAXED);
}

static size_t find(const struct number_set *set, uint64_t number)
{
	size_t home = home_of(number);

	if (__atomic_load_n(&set->used, __ATOMIC_RELAXED) == 0)
		return NUMBER_SET_SIZE;
	for (size_t i = home; i < home + NEIGHBOURS; i++)
		if (at(set, i) == number)
			return i;
	return NUMBER_SET_SIZE;
}

bool number_set_has(const struct number_set *set, uint64_t number)
{
	return find(set, number) < NUMBER_SET_SIZE;
}

bool number_set_remove(struct number_set *set, uint64_t number)
{
	size_t i = find(set, number);

	return i < NUMBER_SET_SIZE &&
	       __atomic_compare_exchange_n(&set->numbers[i], &number, 0, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}
