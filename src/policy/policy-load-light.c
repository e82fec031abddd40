/* SPDX-License-Identifier: MIT */
/* bpftool's light skeleton: a program that loads the programs, run by the kernel. No libbpf. */
#include <errno.h>
#include <string.h>

#include "bpf/policy/policy.h"
#include "policy-load.h"
#include "policy.lskel.h"

int policy_load_light(uint32_t hz, uint64_t cgroup, struct policy_fds *ret)
{
	struct policy_light *skeleton = policy_light__open();
	struct policy_fds fds = POLICY_FDS_NONE;
	int r;

	if (!skeleton)
		return -ENOMEM;
	skeleton->rodata->tcpkeep_hz = hz;
	skeleton->rodata->tcpkeep_cgroup = cgroup;
	r = policy_light__load(skeleton);
	if (r == 0) {
		fds.sets = policy_fd_keep(skeleton->maps.tcpkeep_sets.map_fd);
		fds.counts = policy_fd_keep(skeleton->maps.tcpkeep_counts.map_fd);
		fds.control = policy_fd_keep(skeleton->maps.tcpkeep_control.map_fd);
		fds.sock_ops = policy_fd_keep(skeleton->progs.tcpkeep_sock_ops.prog_fd);
		fds.setsockopt = policy_fd_keep(skeleton->progs.tcpkeep_setsockopt.prog_fd);
		fds.tag_listeners = policy_fd_keep(skeleton->progs.tcpkeep_tag_listeners.prog_fd);
		*ret = fds;
	}
	policy_light__destroy(skeleton);
	return r;
}
