/* SPDX-License-Identifier: MIT */
/* Built instead of change-bpf.c where libbpf, clang or bpftool is missing. */
#include <errno.h>

#include "change-bpf.h"
#include "keepalive/error.h"

int change_bpf_open(const struct change_set *set, const struct change_options *options,
		    struct change_bpf **ret, struct tcpkeep_error *ret_error)
{
	(void)set;
	(void)options;
	(void)ret;
	return error_set(ret_error, -EOPNOTSUPP, "this tcpkeep is built without BPF");
}

void change_bpf_close(struct change_bpf **bpf)
{
	(void)bpf;
}

int change_bpf_walk(struct change_bpf *bpf, int netns, struct pace *pace,
		    int (*done)(const struct change_outcome *outcome, void *userdata),
		    void *userdata, struct tcpkeep_error *ret_error)
{
	(void)bpf;
	(void)netns;
	(void)pace;
	(void)done;
	(void)userdata;
	return error_set(ret_error, -EOPNOTSUPP, "this tcpkeep is built without BPF");
}
