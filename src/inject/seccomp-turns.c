/* SPDX-License-Identifier: MIT */
#include "seccomp-turns.h"

#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/macro.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* linux/seccomp.h, 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

/* So many calls without a sign of a crowd are calm. */
#define CALM 256

/* Calls that are closer than this are waited for awake, for as long at most. */
#define CLOSE_NS 100000

/* Threads that called lately. */
#define CALLERS 8

static pthread_mutex_t lead;

static struct {
	int listener;
	cpu_set_t processors;
	bool may_pin; /* there are no more than a cpu_set_t holds */

	/* Written by the one who leads, read by all. */
	bool crowded;
	bool close; /* and calls come close behind each other */

	/* Of the one who leads alone. */
	uint32_t tids[CALLERS];
	unsigned last;
	unsigned calm; /* calls since the last sign of a crowd */
	uint64_t last_ns;
} turns;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

unsigned turns_init(int listener)
{
	/* The caller sleeps at once: who answers may run where it ran. Older kernels refuse. */
	uint64_t flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;

	memset(&turns, 0, sizeof(turns));
	turns.listener = listener;
	turns.may_pin = sched_getaffinity(0, sizeof(turns.processors), &turns.processors) == 0;
	/* A supervisor that a guardian starts which a supervisor started: its memory is a copy of
	 * one in which somebody leads. */
	pthread_mutex_init(&lead, NULL);
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
	return (unsigned)CPU_COUNT(&turns.processors);
}

static void pin(struct turn *turn, bool pinned)
{
	cpu_set_t one;
	unsigned skip;
	int cpu = 0;

	if (!turns.may_pin || turn->pinned == pinned)
		return;
	CPU_ZERO(&one);
	skip = turn->place % (unsigned)CPU_COUNT(&turns.processors);
	while (!CPU_ISSET(cpu, &turns.processors) || skip--)
		cpu++;
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), pinned ? &one : &turns.processors);
	turn->pinned = pinned;
}

/* -------------------------------------------------------------------------------- the waiting */

static bool is_another_waiting(void)
{
	struct pollfd fd = {.fd = turns.listener, .events = POLLIN};

	return poll(&fd, 1, 0) == 1 && fd.revents & POLLIN;
}

static bool is_lead_free(void)
{
	return pthread_mutex_trylock(&lead) == 0;
}

/* Awake, but for those who have something to do on this processor. */
static bool await(bool (*is_there)(void))
{
	uint64_t end_ns;

	if (!__atomic_load_n(&turns.close, __ATOMIC_RELAXED))
		return false;
	end_ns = now_ns() + CLOSE_NS;
	while (!is_there()) {
		if (now_ns() >= end_ns)
			return false;
		sched_yield();
	}
	return true;
}

void turn_wait(struct turn *turn)
{
	pin(turn, __atomic_load_n(&turns.crowded, __ATOMIC_RELAXED));
	if (!turn->leads && !await(is_lead_free))
		pthread_mutex_lock(&lead);
	turn->leads = true;
	await(is_another_waiting);
}

void turn_pass(struct turn *turn)
{
	if (turn->leads)
		pthread_mutex_unlock(&lead);
	turn->leads = false;
}

/* ---------------------------------------------------------------------------------- the crowd */

/*
 * Do several threads call at a time? Calls that wait behind each other are a sign, but gathered on
 * one processor they do not. Nor do threads that call once each, one after the other, make a crowd;
 * one that called lately, and not just now, is the other sign.
 */
static bool is_sign(uint32_t tid)
{
	bool again = false;

	if (tid == turns.tids[turns.last])
		return false;
	for (size_t i = 0; i < CALLERS; i++)
		again |= turns.tids[i] == tid;
	turns.last = (turns.last + 1) % CALLERS;
	turns.tids[turns.last] = tid;
	return again || is_another_waiting();
}

static bool is_crowded(uint32_t tid)
{
	if (is_sign(tid)) {
		turns.calm = 0;
		return true;
	}
	return turns.crowded && ++turns.calm < CALM;
}

void turn_taken(struct turn *turn, uint32_t tid)
{
	uint64_t before_ns = turns.last_ns;
	bool crowded = is_crowded(tid);

	if (turns.crowded != crowded)
		__atomic_store_n(&turns.crowded, crowded, __ATOMIC_RELAXED);
	if (!crowded && !turns.close)
		return; /* and leads on */
	turns.last_ns = now_ns();
	__atomic_store_n(&turns.close, crowded && turns.last_ns - before_ns < CLOSE_NS,
			 __ATOMIC_RELAXED);
	if (crowded)
		turn_pass(turn);
}
