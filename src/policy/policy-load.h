/* SPDX-License-Identifier: MIT */
/*
 * Bringing the programs of bpf/policy into the kernel, by the light skeleton or by libbpf (see
 * sockets/bpf-load.h). They do nothing yet: no policy is in them, and they are attached nowhere.
 */
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "bpf/policy/policy.h"

/* Descriptors of a policy in the kernel, close-on-exec; -1: not there. */
struct policy_fds {
	int sets, counts, control;               /* maps */
	int sock_ops, setsockopt, tag_listeners; /* programs */
	int sock_ops_link, setsockopt_link;      /* what attaches them */
};

#define POLICY_FDS_NONE                                                                            \
	{                                                                                          \
		-1, -1, -1, -1, -1, -1, -1, -1                                                     \
	}

void policy_fds_close(struct policy_fds *fds);

/* A copy of a skeleton's, which goes with it, above the standard ones; -1: there is no room. */
static inline int policy_fd_keep(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

/*
 * cgroup: the id of the one that the walk over open listeners keeps to. 0 or -errno as bpf(2) says
 * it.
 */
int policy_load_light(uint32_t hz, uint64_t cgroup, struct policy_fds *ret);
int policy_load_full(uint32_t hz, uint64_t cgroup, struct policy_fds *ret);

/* The one, and where the kernel is too old for it the other. */
int policy_load(uint64_t cgroup, struct policy_fds *ret);

/* The same for bpf/single: every connection gets this. counts has one element; sets, control and
 * tag_listeners are not there. */
int policy_load_single_light(uint32_t hz, const struct policy_action *action,
			     struct policy_fds *ret);
int policy_load_single_full(uint32_t hz, const struct policy_action *action,
			    struct policy_fds *ret);
int policy_load_single(const struct policy_action *action, struct policy_fds *ret);

/* Tells two builds of the programs apart. */
uint64_t policy_build_id(void);
