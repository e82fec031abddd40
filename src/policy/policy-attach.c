/* SPDX-License-Identifier: MIT */
/* A policy that its descriptors hold and nothing else. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "keepalive/error.h"
#include "policy-fill.h"
#include "policy-hooks.h"
#include "policy-kernel.h"
#include "policy-words.h"

struct policy_kernel {
	struct policy_fds fds;
	struct policy_set *set;
};

/* Its rules, in what was loaded for any. */
static int fill(struct policy_kernel *kernel)
{
	bool asks_program = kernel->set->needs & POLICY_NEEDS_PROGRAM;
	size_t listeners;
	int r;

	if (asks_program) {
		r = policy_tag(&kernel->fds, &listeners);
		if (r < 0)
			return r;
	}
	r = policy_swap(&kernel->fds, kernel->set, NULL, NULL);
	if (r == 0 && asks_program)
		r = policy_tag_asked(&kernel->fds);
	return r;
}

static int attach(struct policy_kernel *kernel, int cgroup_fd, struct tcpkeep_error *ret_error)
{
	int r;

	if (kernel->set->needs & POLICY_ENFORCES) {
		r = policy_hook_attach(&kernel->fds, POLICY_HOOK_SETSOCKOPT, cgroup_fd, ret_error);
		if (r < 0)
			return r;
	}
	return policy_hook_attach(&kernel->fds, POLICY_HOOK_SOCK_OPS, cgroup_fd, ret_error);
}

int policy_kernel_attach(const struct policy *policy, int cgroup_fd, struct policy_kernel **ret,
			 struct tcpkeep_error *ret_error)
{
	_cleanup_(policy_kernel_detach) struct policy_kernel *kernel = NULL;
	struct stat st;
	bool one_rule;
	int r;

	if (fstat(cgroup_fd, &st) < 0)
		return policy_words(-errno, ret_error);
	kernel = calloc(1, sizeof(*kernel));
	if (!kernel)
		return policy_words(-ENOMEM, ret_error);
	kernel->fds = (struct policy_fds)POLICY_FDS_NONE;
	r = policy_image(policy, policy_cgroup_root(), &kernel->set, NULL, ret_error);
	if (r < 0)
		return r;
	one_rule = policy->n_rules == 1 && policy->rules[0].selector.program.n_clauses == 0;
	r = policy_load(st.st_ino, one_rule ? &kernel->set->action[0] : NULL, &kernel->fds);
	if (r < 0)
		return policy_load_words(r, ret_error);
	if (!one_rule)
		r = fill(kernel);
	if (r < 0)
		return policy_words(r, ret_error);
	r = attach(kernel, cgroup_fd, ret_error);
	if (r < 0)
		return r;
	*ret = steal_pointer(&kernel);
	return 0;
}

int policy_kernel_count(const struct policy_kernel *kernel, size_t rule,
			struct policy_kernel_rule *ret)
{
	struct policy_count count;
	int r;

	if (rule >= kernel->set->n_rules)
		return -EINVAL;
	r = policy_count_read(&kernel->fds, kernel->set, rule, &count);
	if (r < 0)
		return r;
	policy_rule_view(kernel->set, rule, &count, ret);
	return 0;
}

void policy_kernel_detach(struct policy_kernel **kernel)
{
	if (!*kernel)
		return;
	policy_fds_close(&(*kernel)->fds);
	free((*kernel)->set);
	free(*kernel);
	*kernel = NULL;
}
