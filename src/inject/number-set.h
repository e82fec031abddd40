/* SPDX-License-Identifier: MIT */
/*
 * A set of numbers that forgets when it is full. In memory that the supervisor's processes share,
 * so that it outlives each of them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* When a neighbourhood is full, one of its numbers is forgotten. */
#define NUMBER_SET_SIZE 16384 /* a power of two */

/* Zeroed: empty. */
struct number_set {
	uint32_t used; /* ever; 0: nobody needs to look */
	uint64_t numbers[NUMBER_SET_SIZE];
};

/* Numbers are never 0. Lock-free; any thread of any of the processes. */
void number_set_add(struct number_set *set, uint64_t number);
bool number_set_has(const struct number_set *set, uint64_t number);
/* Was it there? */
bool number_set_remove(struct number_set *set, uint64_t number);
