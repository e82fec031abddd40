/* SPDX-License-Identifier: MIT */
/* A build without clang, bpftool or libbpf. */
#include <errno.h>

#include "keepalive/error.h"
#include "policy-kernel.h"

static int not_built(struct tcpkeep_error *ret_error)
{
	return error_set(ret_error, -EOPNOTSUPP,
			 "this tcpkeep was built without BPF (clang, bpftool, libbpf); 'tcpkeep "
			 "run' and 'tcpkeep sysctl' work without");
}

int policy_kernel_apply(const struct policy *policy, const struct policy_apply_options *options,
			struct policy_apply_report *ret_report, struct tcpkeep_error *ret_error)
{
	(void)policy;
	(void)options;
	(void)ret_report;
	return not_built(ret_error);
}

int policy_kernel_status(const char *cgroup, policy_kernel_status_fn fn, void *userdata,
			 struct tcpkeep_error *ret_error)
{
	(void)cgroup;
	(void)fn;
	(void)userdata;
	return not_built(ret_error);
}

int policy_kernel_remove(const char *cgroup, bool all, policy_removed_fn fn, void *userdata,
			 struct tcpkeep_error *ret_error)
{
	(void)cgroup;
	(void)all;
	(void)fn;
	(void)userdata;
	return not_built(ret_error);
}

int policy_kernel_built(struct tcpkeep_error *ret_error)
{
	return not_built(ret_error);
}

int policy_kernel_attach(const struct policy *policy, int cgroup_fd, struct policy_kernel **ret,
			 struct tcpkeep_error *ret_error)
{
	(void)policy;
	(void)cgroup_fd;
	(void)ret;
	return not_built(ret_error);
}

int policy_kernel_count(const struct policy_kernel *kernel, size_t rule,
			struct policy_kernel_rule *ret)
{
	(void)kernel;
	(void)rule;
	(void)ret;
	return -EOPNOTSUPP;
}

void policy_kernel_detach(struct policy_kernel **kernel)
{
	*kernel = NULL;
}

void policy_kernel_close(struct policy_kernel **kernel)
{
	*kernel = NULL;
}
