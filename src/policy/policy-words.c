/* SPDX-License-Identifier: MIT */
#include "policy-words.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "keepalive/error.h"
#include "sockets/bpf-denied.h"
#include "sockets/cgroups.h"

/* include/linux/errno.h: the kernel's own, that reaches programs by mistake. */
#define KERNEL_ENOTSUPP 524

int policy_words(int r, struct tcpkeep_error *ret_error)
{
	switch (r) {
	case -EPERM:
	case -EACCES:
		return error_set(
			ret_error, -EPERM,
			"not permitted; run it as root (sudo), or with CAP_BPF, CAP_PERFMON, "
			"CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_DAC_OVERRIDE; without them 'tcpkeep "
			"run' gives keepalive to programs that you start, 'tcpkeep sysctl' its values "
			"to others");
	case -EMFILE:
	case -ENFILE:
		return error_set(ret_error, r, "no descriptors: %s; raise the limit (ulimit -n)",
				 strerror(-r));
	case -EINVAL:
	case -ENOSYS:
	case -EOPNOTSUPP:
	case -KERNEL_ENOTSUPP:
	case -ESRCH:
		return error_set(
			ret_error, -EOPNOTSUPP,
			"this kernel lacks what it takes (Linux 5.15 with cgroup2, "
			"CONFIG_CGROUP_BPF and CONFIG_DEBUG_INFO_BTF): %s; 'tcpkeep run' and "
			"'tcpkeep sysctl' work without",
			strerror(-r));
	}
	return error_set(ret_error, r, "%s", strerror(-r));
}

int policy_load_words(int r, struct tcpkeep_error *ret_error)
{
	r = bpf_denied(r, true);
	/* bpf(2) with more attributes than an older kernel knows, or a program too long for it. */
	if (r == -E2BIG)
		r = -EOPNOTSUPP;
	if (r != -EACCES)
		return policy_words(r, ret_error);
	return error_set(ret_error, -EOPNOTSUPP,
			 "this kernel refuses the BPF programs of policies, and not for lack of a "
			 "capability: %s; 'tcpkeep run' and 'tcpkeep sysctl' work without",
			 strerror(-r));
}

void policy_rule_view(const struct policy_set *set, size_t rule, const struct policy_count *count,
		      struct policy_kernel_rule *ret)
{
	const struct policy_action *action = &set->action[rule];

	*ret = (struct policy_kernel_rule){
		.name = set->name[rule],
		.settings =
			{
				.fields = action->fields,
				.on = action->on,
				.time_s = action->time_s,
				.intvl_s = action->intvl_s,
				.probes = action->probes,
				.user_timeout_ms = (int)action->user_timeout_ms,
			},
		.mode = (enum policy_mode)action->mode,
		.matched = count->set + count->own + count->failed + count->left,
		.set = count->set,
		.own = count->own,
		.failed = count->failed,
	};
}

uint64_t policy_cgroup_root(void)
{
	_cleanup_(cgroups_free) struct cgroups *cgroups = NULL;
	_cleanup_close_ int fd = -1;
	uint64_t id = 0;

	if (cgroups_new(&cgroups) < 0)
		return 0;
	fd = cgroups_open(cgroups, "/", &id);
	return fd < 0 ? 0 : id;
}
