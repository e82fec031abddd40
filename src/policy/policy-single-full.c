/* SPDX-License-Identifier: MIT */
/* libbpf's skeleton, for kernels before 5.17. */
#include <bpf/libbpf.h>
#include <errno.h>

#include "bpf/policy/policy.h"
#include "policy-load.h"
#include "single.skel.h"
#include "sockets/bpf-silent.h"

int policy_load_single_full(uint32_t hz, const struct policy_action *action, struct policy_fds *ret)
{
	struct policy_fds fds = POLICY_FDS_NONE;
	struct single_full *skeleton;
	int r;

	bpf_be_silent();
	skeleton = single_full__open();
	if (!skeleton)
		return -errno;
	skeleton->rodata->tcpkeep_hz = hz;
	skeleton->rodata->tcpkeep_action = *action;
	r = single_full__load(skeleton);
	if (r == 0) {
		fds.counts = policy_fd_keep(bpf_map__fd(skeleton->maps.tcpkeep_counts));
		fds.sock_ops = policy_fd_keep(bpf_program__fd(skeleton->progs.tcpkeep_sock_ops));
		fds.setsockopt =
			policy_fd_keep(bpf_program__fd(skeleton->progs.tcpkeep_setsockopt));
		*ret = fds;
	}
	single_full__destroy(skeleton);
	return r;
}
