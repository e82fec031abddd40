/* SPDX-License-Identifier: MIT */
/*
 * The bpf method: the program runs in a cgroup of its own, and the kernel gives the connections of
 * that cgroup the settings, by a policy of one rule. Nothing is called in the program, nothing
 * stands between it and the kernel.
 *
 * The kernel holds the policy as long as the cgroup or a socket of it is there: no process of ours
 * is needed for it, whoever of them is killed.
 */
#pragma once

#include <tcpkeep.h>

#include "plan.h"
#include "report.h"

struct bpf_run;

/* Can it work here, for this caller? Changes nothing. 0 or -errno with words. */
int bpf_probe(struct tcpkeep_error *error);

/* Makes the cgroup and attaches the policy. 0 or -errno with words. */
int bpf_prepare(const struct plan *plan, struct bpf_run **ret, struct tcpkeep_error *error);

/* The cgroup's directory, into which a child may be started; valid until bpf_free(). */
int bpf_cgroup(const struct bpf_run *run);

/* Moves this process into the cgroup. 0 or -errno with words. */
int bpf_move(const struct bpf_run *run, struct tcpkeep_error *error);

/* Adds what the kernel has counted. 0 or -errno. */
int bpf_count(const struct bpf_run *run, struct report *report);

/* Lets go. What is in the cgroup keeps the settings, and so do its new connections. NULL: nothing.
 */
void bpf_free(struct bpf_run **run);
