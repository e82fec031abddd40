/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What policies alone read of the kernel's own, beside bpf/kernel.h. */
#pragma once

#include "bpf/kernel.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#define AF_INET  2
#define AF_INET6 10

#define IPPROTO_TCP 6

/* include/uapi: sys/socket.h, netinet/tcp.h */
#define SOL_SOCKET       1
#define SOL_TCP          6
#define SO_KEEPALIVE     9
#define TCP_KEEPIDLE     4
#define TCP_KEEPINTVL    5
#define TCP_KEEPCNT      6
#define TCP_USER_TIMEOUT 18

/* include/net/tcp.h: of TCP_KEEPIDLE and TCP_KEEPINTVL; of TCP_KEEPCNT */
#define MAX_TCP_KEEPIDLE 32767
#define MAX_TCP_KEEPCNT  127

/* include/linux/sched.h */
#define PF_KTHREAD 0x00200000

/* 6.15: 633488947ef6 */
struct kernfs_node___rcu {
	struct kernfs_node *__parent;
} CORE;

struct socket {
	struct sock *sk;
} CORE;

struct mptcp_sock {
	struct sock *first;
} CORE;

struct task_struct {
	struct task_struct *group_leader;
	unsigned int flags;
	int tgid;
	char comm[16];
} CORE;

struct file;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct file *file;
} CORE;

/* The running kernel's, to ask whether it has a helper. */
enum bpf_func_id___running {
	BPF_FUNC_skc_to_mptcp_sock___running = 196,
};
