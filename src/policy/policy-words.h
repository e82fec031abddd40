/* SPDX-License-Identifier: MIT */
/* What the kernel side's files share in telling: errors in words, a rule as it is shown. */
#pragma once

#include <stdint.h>
#include <tcpkeep.h>

#include "bpf/policy/policy.h"
#include "policy-kernel.h"

/* Words for what bpf(2) and the file systems say, and one error for what they say differently. */
int policy_words(int r, struct tcpkeep_error *ret_error);

/* The same of a load that failed: the verifier, too, says "permission denied". */
int policy_load_words(int r, struct tcpkeep_error *ret_error);

/* Valid as long as the set. */
void policy_rule_view(const struct policy_set *set, size_t rule, const struct policy_count *count,
		      struct policy_kernel_rule *ret);

/* The id of the directory that paths of cgroups begin at; 0: unknown. */
uint64_t policy_cgroup_root(void);
