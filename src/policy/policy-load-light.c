/* SPDX-License-Identifier: MIT */
/* bpftool's light skeleton: a program that loads the programs, run by the kernel. No libbpf. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "bpf/policy/policy.h"
#include "policy-load.h"
#include "policy.lskel.h"

static int keep(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

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
		fds.sets = keep(skeleton->maps.tcpkeep_sets.map_fd);
		fds.counts = keep(skeleton->maps.tcpkeep_counts.map_fd);
		fds.control = keep(skeleton->maps.tcpkeep_control.map_fd);
		fds.sock_ops = keep(skeleton->progs.tcpkeep_sock_ops.prog_fd);
		fds.setsockopt = keep(skeleton->progs.tcpkeep_setsockopt.prog_fd);
		fds.tag_listeners = keep(skeleton->progs.tcpkeep_tag_listeners.prog_fd);
		*ret = fds;
	}
	policy_light__destroy(skeleton);
	return r;
}
