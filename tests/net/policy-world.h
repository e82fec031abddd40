/* SPDX-License-Identifier: MIT */
/*
 * A place of its own for a policy: network and mount namespace, bpffs, a cgroup. Policies go to
 * that cgroup alone; what is pinned ends with the mount namespace.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/policy-kernel.h"

#define WORLD_PORT 5432

struct world {
	char cgroup[128];    /* below the mount of cgroup2 */
	char directory[256]; /* the same with it */
};

extern struct world world;

/* False: this machine or this user cannot, and it was said as TAP. */
bool world_make(void);
void world_leave(void);

/* What holds on one end. */
struct world_end {
	int on, time_s, intvl_s, probes, user_timeout_ms;
};

/* The two ends of one connection; r: 0 or -errno. */
struct world_pair {
	struct world_end client, server;
	int r;
};

/* Who connects to whom; zeroed, it is an IPv4 connection of this user to itself. */
struct world_subject {
	const char *program; /* comm */
	uid_t uid;
	const char *below; /* a cgroup beneath the world's, made when it is not there */
	int netns;         /* a descriptor; 0: the world's */
	const char *address;
	uint16_t port;
	int protocol; /* IPPROTO_MPTCP */
	/* The program's own calls; may be NULL. */
	void (*before)(int client, int listener);
	void (*after)(int client, int accepted);
};

/* In a process of its own. */
struct world_pair world_connect(const struct world_subject *subject);

struct world_end world_read(int fd);

/* Reads and applies; fails the test on what is not 0 (words included). */
void world_apply(const char *rules);
int world_try_apply(const char *rules, struct policy_apply_report *ret_report,
		    struct tcpkeep_error *ret_error);
void world_remove(void);

/* The counters of a rule in force; fails when there is none. */
struct policy_kernel_rule world_count(const char *rule);

/* Changes what the pins of the one policy say of who made them. */
void world_pretend(uint32_t layout, uint64_t build);

/* How many entries bpffs has for tcpkeep: 0 when nothing is left. */
unsigned world_pins(void);

/* Is there what world_run_killed() takes: strace, and the program? */
bool world_can_kill(void);

/* tcpkeep policy VERB [FILE], killed on its way into the nth of this system call. True: it was;
 * false: it makes fewer, and ended well. */
bool world_run_killed(const char *verb, const char *file, const char *call, unsigned n);

/* Waits for a child; its wait status. */
int world_wait(pid_t pid);
