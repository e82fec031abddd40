/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Of the kernel's own: the members that are read; CO-RE finds them in the running one. */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define CORE __attribute__((preserve_access_index))

#define AF_INET  2
#define AF_INET6 10

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

/* include/net/tcp_states.h, include/net/sock.h */
#define TCP_LISTEN    10
#define SOCK_KEEPOPEN 3

/* include/linux/sched.h */
#define PF_KTHREAD 0x00200000

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
} CORE;

struct ns_common {
	unsigned int inum;
} CORE;

struct net {
	struct ns_common ns;
} CORE;

typedef struct {
	struct net *net;
} CORE possible_net_t;

struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	unsigned long skc_flags;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
} CORE;

struct kernfs_node {
	const char *name;
	__u64 id;
	struct kernfs_node *parent;
} CORE;

/* 6.15: 633488947ef6 */
struct kernfs_node___rcu {
	struct kernfs_node *__parent;
} CORE;

struct cgroup {
	struct kernfs_node *kn;
} CORE;

struct sock_cgroup_data {
	struct cgroup *cgroup; /* 5.15 */
} CORE;

typedef struct {
	unsigned int val;
} kuid_t;

struct sock;

struct socket {
	struct sock *sk;
} CORE;

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	struct sock_cgroup_data sk_cgrp_data;
	kuid_t sk_uid;
} CORE;

struct inet_connection_sock {
	__u32 icsk_user_timeout;
} CORE;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	unsigned int keepalive_time, keepalive_intvl;
	__u8 keepalive_probes;
	bool is_mptcp;
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
struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} CORE;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct file *file;
} CORE;

/* The running kernel's, to ask whether it has a helper. */
enum bpf_func_id___running {
	BPF_FUNC_skc_to_mptcp_sock___running = 196,
};
