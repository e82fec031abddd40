/* SPDX-License-Identifier: MIT */
/* A policy that is attached to one cgroup and pinned nowhere. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "policy-fill.h"
#include "policy-hooks.h"
#include "policy-kernel.h"
#include "policy-words.h"

struct policy_kernel {
	struct policy_fds fds;
	struct policy_set *set;
	unsigned hooks; /* enum policy_hook: what is attached */
	int cgroup;
};

/* Nothing to choose from, nothing to ask. */
static bool is_single(const struct policy *policy)
{
	return policy->n_rules == 1 && policy->rules[0].selector.program.n_clauses == 0;
}

/* Puts the rules in force. */
static int fill(struct policy_kernel *kernel)
{
	size_t listeners;
	int r;

	if (kernel->set->needs & POLICY_NEEDS_PROGRAM) {
		r = policy_tag(&kernel->fds, &listeners);
		if (r < 0)
			return r;
	}
	r = policy_swap(&kernel->fds, kernel->set, NULL, NULL);
	if (r < 0)
		return r;
	if (kernel->set->needs & POLICY_NEEDS_PROGRAM)
		policy_tag_asked(&kernel->fds);
	return 0;
}

static int attach(struct policy_kernel *kernel, unsigned hook, struct tcpkeep_error *ret_error)
{
	int r;

	r = policy_hook_leave(&kernel->fds, hook, kernel->cgroup, ret_error);
	if (r == 0)
		kernel->hooks |= hook;
	return r;
}

static int attach_all(struct policy_kernel *kernel, struct tcpkeep_error *ret_error)
{
	int r = 0;

	/* A single rule also sees that the program turns keepalive off. */
	if (kernel->set->needs & POLICY_ENFORCES || kernel->fds.sets < 0)
		r = attach(kernel, POLICY_HOOK_SETSOCKOPT, ret_error);
	return r < 0 ? r : attach(kernel, POLICY_HOOK_SOCK_OPS, ret_error);
}

static int load(struct policy_kernel *kernel, const struct policy *policy,
		struct tcpkeep_error *ret_error)
{
	struct stat st;
	int r;

	if (fstat(kernel->cgroup, &st) < 0)
		return policy_words(-errno, ret_error);
	r = policy_image(policy, policy_cgroup_root(), &kernel->set, NULL, ret_error);
	if (r < 0)
		return r;
	if (is_single(policy))
		r = policy_load_single(kernel->set->action, &kernel->fds);
	else
		r = policy_load(st.st_ino, &kernel->fds);
	if (r < 0)
		return policy_load_words(r, ret_error);
	if (!is_single(policy))
		r = fill(kernel);
	return r < 0 ? policy_words(r, ret_error) : 0;
}

int policy_kernel_built(struct tcpkeep_error *ret_error)
{
	(void)ret_error;
	return 0;
}

int policy_kernel_attach(const struct policy *policy, int cgroup_fd, struct policy_kernel **ret,
			 struct tcpkeep_error *ret_error)
{
	_cleanup_(policy_kernel_detach) struct policy_kernel *kernel = NULL;
	int r;

	kernel = calloc(1, sizeof(*kernel));
	if (!kernel)
		return policy_words(-ENOMEM, ret_error);
	kernel->fds = (struct policy_fds)POLICY_FDS_NONE;
	kernel->cgroup = fcntl(cgroup_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (kernel->cgroup < 0)
		return policy_words(-errno, ret_error);
	r = load(kernel, policy, ret_error);
	if (r == 0)
		r = attach_all(kernel, ret_error);
	if (r < 0)
		return r;
	*ret = steal_pointer(&kernel);
	return 0;
}

int policy_kernel_count(const struct policy_kernel *kernel, size_t rule,
			struct policy_kernel_rule *ret)
{
	struct policy_single_count single = {0};
	int r;

	if (rule >= kernel->set->n_rules)
		return -EINVAL;
	if (kernel->fds.sets < 0)
		r = policy_count_single(&kernel->fds, &single);
	else
		r = policy_count_read(&kernel->fds, kernel->set, rule, &single.of);
	if (r < 0)
		return r;
	policy_rule_view(kernel->set, rule, &single.of, ret);
	ret->accepted = single.accepted;
	ret->connected = single.connected;
	ret->listening = single.listening;
	ret->in_part = single.in_part;
	ret->changed = single.changed;
	ret->withheld = single.withheld;
	return 0;
}

void policy_kernel_close(struct policy_kernel **kernel)
{
	if (!*kernel)
		return;
	policy_fds_close(&(*kernel)->fds);
	cleanup_close(&(*kernel)->cgroup);
	free((*kernel)->set);
	free(*kernel);
	*kernel = NULL;
}

void policy_kernel_detach(struct policy_kernel **kernel)
{
	static const unsigned hooks[] = {POLICY_HOOK_SOCK_OPS, POLICY_HOOK_SETSOCKOPT};

	if (!*kernel)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
		if ((*kernel)->hooks & hooks[i])
			policy_hook_detach(&(*kernel)->fds, hooks[i], (*kernel)->cgroup);
	policy_kernel_close(kernel);
}
