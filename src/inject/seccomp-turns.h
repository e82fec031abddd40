/* SPDX-License-Identifier: MIT */
/*
 * Which of the supervisor's receivers waits for the next call, on which processor it runs, and
 * whether it sleeps until the call comes.
 *
 * One waits at a time, and leads: the kernel wakes all who wait for each call. As long as calls
 * come one by one, the same one leads on, and a call costs two switches of one processor: the
 * kernel lets the caller and its receiver run where the other just ran (6.6).
 *
 * Several callers at a time would all be drawn to that one's processor. Then receivers take a
 * processor each, the next one leads while a call is looked at, and as long as calls come close
 * behind each other nobody sleeps for them: to wake another processor takes longer than a call. Who
 * looks for a call lets the callers on its processor run in between (sched_yield()).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* One for each receiver, zeroed but for its place. */
struct turn {
	unsigned place; /* among the receivers */
	bool leads;
	bool pinned; /* to its processor */
};

/* Before there are receivers. Returns how many processors there are for them. */
unsigned turns_init(int listener);

/* Until this one leads. Then it is to take the next call. */
void turn_wait(struct turn *turn);

/* It has taken a call of this thread. */
void turn_taken(struct turn *turn, uint32_t tid);

/* What it has taken may last: another one leads. */
void turn_pass(struct turn *turn);
