/* SPDX-License-Identifier: MIT */
/* What the parts of a receiver share: one of the supervisor's threads that answer calls. */
#pragma once

#include <linux/seccomp.h>
#include <stdbool.h>

#include "give.h"
#include "seccomp-serve.h"
#include "seccomp-turns.h"
#include "target.h"

struct receiver {
	struct seccomp seccomp;
	struct targets targets;
	struct give_memory memory;
	struct turn turn;
	union seccomp_slot *slot;
};

#define receiver_count(receiver, counter)                                                          \
	do {                                                                                       \
		if ((receiver)->seccomp.report)                                                    \
			__atomic_fetch_add(&(receiver)->seccomp.report->counter, 1,                \
					   __ATOMIC_RELAXED);                                      \
	} while (0)

/* What becomes of a call: it is carried out, or not, and is told what this is. */
#define GOES_ON  (-1)
#define WITHHELD 0

/* Gives this socket what the plan says; counts what the kernel refuses. quickly: most likely it is
 * fresh. */
enum give_outcome receiver_give(struct receiver *receiver, int fd, bool quickly);

/* Is the call still waiting? Only then the number of the thread was its own all the time. */
bool receiver_is_valid(const struct receiver *receiver, const struct seccomp_notif *notif);

/* For the report: a call that could not be looked at, and the -errno for which. */
void receiver_miss(struct receiver *receiver, int r);
