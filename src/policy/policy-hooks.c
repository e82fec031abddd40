/* SPDX-License-Identifier: MIT */
#include "policy-hooks.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/macro.h"
#include "keepalive/error.h"

/* Programs that one query tells; BPF_CGROUP_MAX_PROGS of the kernel. */
#define PROGRAMS_MAX 64

static const struct {
	unsigned hook;
	enum bpf_attach_type type;
	const char *name;
} hooks[] = {
	{POLICY_HOOK_SOCK_OPS, BPF_CGROUP_SOCK_OPS, "sock_ops"},
	{POLICY_HOOK_SETSOCKOPT, BPF_CGROUP_SETSOCKOPT, "setsockopt"},
};

/* "#17 (name)" of the one that is in the way. */
static void name_program(int cgroup_fd, enum bpf_attach_type type, char *buf, size_t size)
{
	__u32 ids[PROGRAMS_MAX], n = PROGRAMS_MAX, info_len;
	struct bpf_prog_info info = {0};
	_cleanup_close_ int fd = -1;
	char shown[64];

	snprintf(buf, size, "(attached above or below)");
	if (bpf_prog_query(cgroup_fd, type, BPF_F_QUERY_EFFECTIVE, NULL, ids, &n) < 0 || n == 0)
		return;
	snprintf(buf, size, "#%u", ids[0]);
	fd = bpf_prog_get_fd_by_id(ids[0]);
	info_len = sizeof(info);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &info_len) < 0)
		return;
	snprintf(buf, size, "#%u (%s)", ids[0],
		 escape_text(info.name, strnlen(info.name, sizeof(info.name)), shown,
			     sizeof(shown)));
}

static size_t place_of(unsigned hook)
{
	return hook == POLICY_HOOK_SOCK_OPS ? 0 : 1;
}

static int program_of(const struct policy_fds *fds, unsigned hook)
{
	return hook == POLICY_HOOK_SOCK_OPS ? fds->sock_ops : fds->setsockopt;
}

static int refused(size_t at, int cgroup_fd, int r, struct tcpkeep_error *ret_error)
{
	char name[96];
	/* hierarchy_allows_attach(): the privilege was there, or nothing were loaded. */
	if (r != -EPERM)
		return error_set(ret_error, r, "cannot attach to the cgroup's %s hook: %s",
				 hooks[at].name, strerror(-r));
	name_program(cgroup_fd, hooks[at].type, name, sizeof(name));
	return error_set(ret_error, -EBUSY,
			 "another program holds the cgroup's %s hook for itself: BPF program %s; "
			 "its owner must attach it with BPF_F_ALLOW_MULTI, or 'bpftool cgroup "
			 "detach' takes it off",
			 hooks[at].name, name);
}

int policy_hook_attach(struct policy_fds *fds, unsigned hook, int cgroup_fd,
		       struct tcpkeep_error *ret_error)
{
	size_t at = place_of(hook);
	int link;

	link = bpf_link_create(program_of(fds, hook), cgroup_fd, hooks[at].type, NULL);
	if (link < 0)
		return refused(at, cgroup_fd, -errno, ret_error);
	*(at == 0 ? &fds->sock_ops_link : &fds->setsockopt_link) = link;
	return 0;
}

int policy_hook_leave(const struct policy_fds *fds, unsigned hook, int cgroup_fd,
		      struct tcpkeep_error *ret_error)
{
	size_t at = place_of(hook);

	if (bpf_prog_attach(program_of(fds, hook), cgroup_fd, hooks[at].type, BPF_F_ALLOW_MULTI) <
	    0)
		return refused(at, cgroup_fd, -errno, ret_error);
	return 0;
}

void policy_hook_detach(const struct policy_fds *fds, unsigned hook, int cgroup_fd)
{
	bpf_prog_detach2(program_of(fds, hook), cgroup_fd, hooks[place_of(hook)].type);
}

int policy_link_holds(int link_fd)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(link_fd, &info, &len) < 0)
		return -errno;
	return info.type == BPF_LINK_TYPE_CGROUP && info.cgroup.cgroup_id != 0;
}

uint32_t policy_link_program(int link_fd)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(link_fd, &info, &len) == 0 ? info.prog_id : 0;
}

int policy_hook_take_over(struct policy_fds *fds, int link_fd)
{
	return bpf_link_update(link_fd, fds->sock_ops, NULL) < 0 ? -errno : 0;
}

uint32_t policy_program_id(int fd)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 ? info.id : 0;
}

static bool is_in(const __u32 *ids, __u32 n, __u32 id)
{
	for (__u32 i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static int add_other(struct policy_kernel_other *others, size_t *n, __u32 id, unsigned hook,
		     bool inherited)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
	char *name;

	/* Gone meanwhile. */
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return 0;
	name = strndup(info.name, sizeof(info.name));
	if (!name)
		return -ENOMEM;
	others[(*n)++] = (struct policy_kernel_other){NULL, name, id, hook, inherited};
	return 0;
}

static int add_hook(int cgroup_fd, size_t at, __u32 own, struct policy_kernel_other *others,
		    size_t *n)
{
	__u32 all[PROGRAMS_MAX], direct[PROGRAMS_MAX], n_all = PROGRAMS_MAX,
						       n_direct = PROGRAMS_MAX;

	if (bpf_prog_query(cgroup_fd, hooks[at].type, BPF_F_QUERY_EFFECTIVE, NULL, all, &n_all) < 0)
		return -errno;
	if (bpf_prog_query(cgroup_fd, hooks[at].type, 0, NULL, direct, &n_direct) < 0)
		return -errno;
	for (__u32 i = 0; i < n_all; i++) {
		int r;

		if (all[i] == own)
			continue;
		r = add_other(others, n, all[i], hooks[at].hook, !is_in(direct, n_direct, all[i]));
		if (r < 0)
			return r;
	}
	return 0;
}

int policy_others(int cgroup_fd, unsigned wanted, const struct policy_fds *ours,
		  struct policy_kernel_other **ret, size_t *ret_n)
{
	const __u32 own[] = {policy_program_id(ours->sock_ops),
			     policy_program_id(ours->setsockopt)};
	struct policy_kernel_other *others;
	size_t n = 0;
	int r = 0;

	others = calloc(PROGRAMS_MAX * ARRAY_SIZE(hooks), sizeof(*others));
	if (!others)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(hooks) && r == 0; i++)
		if (wanted & hooks[i].hook)
			r = add_hook(cgroup_fd, i, own[i], others, &n);
	if (r < 0) {
		policy_others_free(others, n);
		return r;
	}
	*ret = others;
	*ret_n = n;
	return 0;
}

void policy_others_free(struct policy_kernel_other *others, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)others[i].name);
	free(others);
}
