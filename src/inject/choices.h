/* SPDX-License-Identifier: MIT */
/*
 * Sockets on which a program turned keepalive off before it connected: the kernel shows these and
 * those that were never touched alike. In memory that the supervisor's processes share, so that it
 * outlives each of them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* When a neighbourhood is full, one of its choices is forgotten: that socket gets the settings. */
#define CHOICES_SIZE 16384 /* a power of two */

/* Zeroed: empty. */
struct choices {
	uint32_t used; /* ever; 0: nobody needs to look */
	uint64_t cookies[CHOICES_SIZE];
};

/* Cookies are those of SO_COOKIE, never 0. Lock-free; any thread of any of the processes. */
void choices_add(struct choices *choices, uint64_t cookie);
bool choices_has(const struct choices *choices, uint64_t cookie);
/* Was it there? */
bool choices_remove(struct choices *choices, uint64_t cookie);
