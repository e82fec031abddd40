/* SPDX-License-Identifier: MIT */
#include "bpf-denied.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

static bool may_load(enum bpf_prog_type type)
{
	static const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {0};
	_cleanup_close_ int fd = -1;

	attr.prog_type = type;
	attr.insns = (uintptr_t)nothing;
	attr.insn_cnt = ARRAY_SIZE(nothing);
	attr.license = (uintptr_t) "GPL";
	fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	return fd >= 0;
}

int bpf_denied(int r, bool cgroup)
{
	if (r != -EPERM && r != -EACCES)
		return r;
	if (!may_load(BPF_PROG_TYPE_TRACEPOINT))
		return -EPERM;
	if (cgroup && !may_load(BPF_PROG_TYPE_SOCK_OPS))
		return -EPERM;
	return -EACCES;
}
