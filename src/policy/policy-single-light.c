/* SPDX-License-Identifier: MIT */
/* bpftool's light skeleton: a program that loads the programs, run by the kernel. No libbpf. */
#include <errno.h>
#include <string.h>

#include "bpf/policy/policy.h"
#include "policy-load.h"
#include "single.lskel.h"

int policy_load_single_light(uint32_t hz, const struct policy_action *action,
			     struct policy_fds *ret)
{
	struct single_light *skeleton = single_light__open();
	struct policy_fds fds = POLICY_FDS_NONE;
	int r;

	if (!skeleton)
		return -ENOMEM;
	skeleton->rodata->tcpkeep_hz = hz;
	skeleton->rodata->tcpkeep_action = *action;
	r = single_light__load(skeleton);
	if (r == 0) {
		fds.counts = policy_fd_keep(skeleton->maps.tcpkeep_counts.map_fd);
		fds.sock_ops = policy_fd_keep(skeleton->progs.tcpkeep_sock_ops.prog_fd);
		fds.setsockopt = policy_fd_keep(skeleton->progs.tcpkeep_setsockopt.prog_fd);
		*ret = fds;
	}
	single_light__destroy(skeleton);
	return r;
}
