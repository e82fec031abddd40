/* SPDX-License-Identifier: MIT */
/* libbpf's skeleton, for kernels before 5.17. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>

#include "bpf/policy/policy.h"
#include "policy-load.h"
#include "single.skel.h"
#include "sockets/bpf-silent.h"

static int keep(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

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
		fds.counts = keep(bpf_map__fd(skeleton->maps.tcpkeep_counts));
		fds.sock_ops = keep(bpf_program__fd(skeleton->progs.tcpkeep_sock_ops));
		fds.setsockopt = keep(bpf_program__fd(skeleton->progs.tcpkeep_setsockopt));
		*ret = fds;
	}
	single_full__destroy(skeleton);
	return r;
}
