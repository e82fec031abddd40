/* SPDX-License-Identifier: MIT */
/* Attaching to a cgroup, beside whoever is attached there as well. */
#pragma once

#include <stddef.h>
#include <tcpkeep.h>

#include "policy-kernel.h"
#include "policy-load.h"

/*
 * Attaches one hook (enum policy_hook) and keeps the link in fds. -EBUSY: a program of somebody
 * else wants the cgroup for itself; its name is in the words.
 */
int policy_hook_attach(struct policy_fds *fds, unsigned hook, int cgroup_fd,
		       struct tcpkeep_error *ret_error);

/* Attaches it for as long as the cgroup is there, without a link. */
int policy_hook_leave(const struct policy_fds *fds, unsigned hook, int cgroup_fd,
		      struct tcpkeep_error *ret_error);
void policy_hook_detach(const struct policy_fds *fds, unsigned hook, int cgroup_fd);

/* 1: the link holds its program on its cgroup; 0: somebody took it away, or the cgroup is gone. */
int policy_link_holds(int link_fd);

/* Which program it holds; 0: it is none. */
uint32_t policy_link_program(int link_fd);

/* From here on the link holds our sock_ops program in the place of its own, in one step:
 * kernel/bpf/cgroup.c, cgroup_bpf_replace(), Linux 5.7. 0 or -errno. */
int policy_hook_take_over(struct policy_fds *fds, int link_fd);

/* 0: it is none. */
uint32_t policy_program_id(int fd);

/* Others' programs on our hooks; *ret with its names is the caller's, for policy_others_free(). */
int policy_others(int cgroup_fd, unsigned hooks, const struct policy_fds *ours,
		  struct policy_kernel_other **ret, size_t *ret_n);
void policy_others_free(struct policy_kernel_other *others, size_t n);
