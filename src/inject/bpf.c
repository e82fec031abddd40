/* SPDX-License-Identifier: MIT */
#include "bpf.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cgroup-left.h"
#include "keepalive/error.h"
#include "keepalive/visit.h"
#include "policy/policy-kernel.h"
#include "transient-cgroup.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

struct bpf_run {
	struct transient_cgroup cgroup;
	struct policy_kernel *policy;
};

/* What loading and attaching take: CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON. */
static bool is_privileged(void)
{
	return visit_has_capability(CAP_NET_ADMIN) &&
	       (visit_has_capability(CAP_SYS_ADMIN) ||
		(visit_has_capability(CAP_BPF) && visit_has_capability(CAP_PERFMON)));
}

int bpf_probe(struct tcpkeep_error *error)
{
	int r;

	r = policy_kernel_built(NULL);
	if (r < 0)
		return error_set(error, r,
				 "this tcpkeep was built without BPF (clang, bpftool, libbpf)");
	if (!is_privileged())
		return error_set(error, -EPERM,
				 "it takes root (CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN)");
	return transient_cgroup_probe(error);
}

static int attach(struct bpf_run *run, const struct policy *policy, struct tcpkeep_error *error)
{
	int r = policy_kernel_attach(policy, run->cgroup.fd, &run->policy, error);

	/* The policy's own words send to `tcpkeep run`. */
	if (r == -EPERM)
		return error_set(error, r,
				 "the kernel does not let this caller load BPF programs (a user "
				 "namespace, a sandbox)");
	if (r == -EOPNOTSUPP)
		return error_set(error, r,
				 "this kernel lacks what it takes (Linux 5.15, CONFIG_CGROUP_BPF, "
				 "CONFIG_DEBUG_INFO_BTF)");
	if (r == -ENOMEM)
		return error_set(error, r, "no memory: %s; raise the limit (ulimit -v, memory.max)",
				 strerror(-r));
	return r;
}

int bpf_prepare(const struct plan *plan, struct bpf_run **ret, struct tcpkeep_error *error)
{
	struct policy_rule rule = {
		.name = "run",
		.settings = plan->settings,
		.mode = plan->enforce ? POLICY_ENFORCE : POLICY_DEFAULT,
	};
	const struct policy policy = {.rules = &rule, .n_rules = 1};
	_cleanup_(bpf_free) struct bpf_run *run = calloc(1, sizeof(*run));
	int r;

	if (!run)
		return error_set(error, -ENOMEM, "no memory");
	run->cgroup = (struct transient_cgroup)TRANSIENT_CGROUP_NONE;
	r = transient_cgroup_create(&run->cgroup, error);
	if (r < 0)
		return r;
	r = attach(run, &policy, error);
	if (r < 0)
		return r;
	*ret = steal_pointer(&run);
	return 0;
}

int bpf_cgroup(const struct bpf_run *run)
{
	return run->cgroup.fd;
}

int bpf_move(const struct bpf_run *run, struct tcpkeep_error *error)
{
	return transient_cgroup_enter(&run->cgroup, error);
}

int bpf_count(const struct bpf_run *run, struct report *report)
{
	struct policy_kernel_rule counted;
	int r;

	report->left = cgroup_left(run->cgroup.fd, REPORT_GRACE_MS);
	r = policy_kernel_count(run->policy, 0, &counted);
	if (r < 0)
		return r;
	report->seen += counted.matched;
	report->tried += counted.set - counted.accepted;
	report->connected += counted.connected;
	report->accepted += counted.accepted;
	report->listening += counted.listening;
	report->in_part += counted.in_part;
	report->changed += counted.changed;
	report->withheld += counted.withheld;
	report->left_alone += counted.own;
	report->refused += counted.failed;
	return 0;
}

void bpf_free(struct bpf_run **run)
{
	if (!*run)
		return;
	policy_kernel_close(&(*run)->policy);
	transient_cgroup_free(&(*run)->cgroup);
	free(*run);
	*run = NULL;
}
