/* SPDX-License-Identifier: MIT */
/* libbpf's skeleton, for kernels before 5.17. */
#include <bpf/libbpf.h>
#include <errno.h>

#include "base/hash.h"
#include "bpf/policy/policy.h"
#include "policy-load.h"
#include "policy.skel.h"
#include "sockets/bpf-silent.h"

int policy_load_full(uint32_t hz, uint64_t cgroup, struct policy_fds *ret)
{
	struct policy_fds fds = POLICY_FDS_NONE;
	struct policy_full *skeleton;
	int r;

	bpf_be_silent();
	skeleton = policy_full__open();
	if (!skeleton)
		return -errno;
	skeleton->rodata->tcpkeep_hz = hz;
	skeleton->rodata->tcpkeep_cgroup = cgroup;
	r = policy_full__load(skeleton);
	if (r == 0) {
		fds.sets = policy_fd_keep(bpf_map__fd(skeleton->maps.tcpkeep_sets));
		fds.counts = policy_fd_keep(bpf_map__fd(skeleton->maps.tcpkeep_counts));
		fds.control = policy_fd_keep(bpf_map__fd(skeleton->maps.tcpkeep_control));
		fds.sock_ops = policy_fd_keep(bpf_program__fd(skeleton->progs.tcpkeep_sock_ops));
		fds.setsockopt =
			policy_fd_keep(bpf_program__fd(skeleton->progs.tcpkeep_setsockopt));
		fds.tag_listeners =
			policy_fd_keep(bpf_program__fd(skeleton->progs.tcpkeep_tag_listeners));
		*ret = fds;
	}
	policy_full__destroy(skeleton);
	return r;
}

uint64_t policy_build_id(void)
{
	size_t size;
	const void *object = policy_full__elf_bytes(&size);

	return hash_bytes(object, size);
}
