/* SPDX-License-Identifier: MIT */
/*
 * Answering the system calls that the seccomp filter holds up: looks at the program's socket, gives
 * it the settings and lets the call go on in the program, unchanged. Nothing is emulated, and no
 * security decision is made, so that it does not matter what another thread of the program writes
 * into the call's memory meanwhile.
 *
 * Where Yama keeps programs from being looked into, their sockets are made here instead, if they
 * are the same as their own would be, and put into the program by ADDFD.
 */
#pragma once

#include <linux/seccomp.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "number-set.h"
#include "plan.h"
#include "report.h"

#define SECCOMP_RECEIVERS_MAX 8

/*
 * Where the kernel writes a notification: in memory that the guardian sees as well, so that what a
 * supervisor had taken when it died can be answered. id 0: nothing is taken.
 */
union seccomp_slot {
	struct seccomp_notif notif;
	char room[256]; /* newer kernels may have more to tell */
};

struct seccomp_shared {
	alignas(64) union seccomp_slot slots[SECCOMP_RECEIVERS_MAX];
	/* Cookies of sockets that were turned off before they connected, which the kernel does not
	 * tell from those that were never touched. One that is forgotten gets the settings. */
	struct number_set turned_off;
	/* Sockets that were put into programs which may not be looked into: twice the inode, and 1
	 * more once they count. One that is forgotten does not count. */
	struct number_set prepared;
};

/* What the supervisor and its guardian are given. */
struct seccomp {
	const struct plan *plan;
	struct report *report; /* NULL: nobody counts */
	struct seccomp_shared *shared;
	bool makes_sockets; /* for who may not be looked into: target_reach() */
	int listener;
	int control; /* of the first supervisor, who tells how the start went; -1 */
};

/* Do the kernel's structures fit? */
bool seccomp_sizes_fit(void);

/* Starts the threads that answer; 0 or -errno: not even one, or no descriptors. They never end. */
int seccomp_serve(const struct seccomp *seccomp);

/* Lets a call go on that nobody has looked at; one that is gone is no matter. */
void seccomp_pass(const struct seccomp *seccomp, uint64_t id);

/* Takes the next call and lets it go on. */
void seccomp_pass_next(const struct seccomp *seccomp, union seccomp_slot *slot);
