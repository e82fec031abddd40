/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What all programs read of the kernel's sockets; what one alone reads stands with it. Structs
 * carry only the members that are read; CO-RE finds them in the running kernel (5.15 and later).
 *
 * Members are reached from as few structs as can be, (struct tcp_sock *)sk for one: for each struct
 * from which a relocation starts, the kernel looks through its 100,000 types, and it remembers what
 * it found in 31 places by a hash of the name (kernel/bpf/btf.c, VMLINUX_CAND_CACHE_SIZE). Names
 * that share a place are looked for again at each use: that was a third of the start of `list`.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define CORE __attribute__((preserve_access_index))

/* include/net/tcp_states.h */
#define TCP_SYN_SENT     2
#define TCP_SYN_RECV     3
#define TCP_TIME_WAIT    6
#define TCP_CLOSE        7
#define TCP_LISTEN       10
#define TCP_NEW_SYN_RECV 12

/* include/net/sock.h: enum sock_flags */
#define SOCK_DEAD     0
#define SOCK_KEEPOPEN 3

/* kernel/time/timer.c: the number of a timer's bucket in its flags, 64 of them a level. */
#define TIMER_ARRAYSHIFT 22
#define LVL_SIZE         64

/* include/net/inet_connection_sock.h */
#define ICSK_TIME_RETRANS    1
#define ICSK_TIME_PROBE0     3
#define ICSK_TIME_LOSS_PROBE 5
#define ICSK_TIME_REO        6

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
} CORE;

typedef struct {
	__s64 counter;
} CORE atomic64_t;

typedef struct {
	unsigned int val;
} kuid_t;

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
	unsigned char skc_ipv6only : 1;
	unsigned long skc_flags;
	possible_net_t skc_net;
	atomic64_t skc_cookie;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
} CORE;

struct hlist_node {
	struct hlist_node **pprev;
} CORE;

struct timer_list {
	struct hlist_node entry;
	unsigned long expires;
	__u32 flags;
} CORE;

struct kernfs_node {
	const char *name;
	__u64 id;
	struct kernfs_node *parent; /* until 6.14 */
} CORE;

struct cgroup {
	struct kernfs_node *kn;
} CORE;

struct sock_cgroup_data {
	struct cgroup *cgroup; /* 5.15 */
} CORE;

struct socket;

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	struct timer_list sk_timer;
	struct sock_cgroup_data sk_cgrp_data;
	kuid_t sk_uid;
	__u32 sk_ack_backlog;
	__u16 sk_protocol;
} CORE;

struct inet_sock {
	struct sock sk;
} CORE;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct timer_list icsk_retransmit_timer;
	__u8 icsk_pending;
	__u8 icsk_retransmits;
	__u8 icsk_probes_out;
	struct {
		__u32 lrcvtime;
	} icsk_ack;
	__u32 icsk_probes_tstamp; /* 5.11 */
	__u32 icsk_user_timeout;
	void *icsk_ulp_data;
} CORE;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 write_seq, snd_nxt, snd_una, packets_out, rcv_tstamp, retrans_stamp;
	unsigned int keepalive_time, keepalive_intvl;
	__u8 keepalive_probes;
	bool is_mptcp;
} CORE;

/* The keepalive timer where it is not sock.sk_timer. */
struct inet_connection_sock___keepalive {
	struct timer_list icsk_keepalive_timer;
} CORE;

struct tcp_sock___keepalive {
	struct inet_connection_sock___keepalive inet_conn;
} CORE;

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} CORE;

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
	unsigned int uid;
} CORE;

static __always_inline __u32 now_ticks(void)
{
	return (__u32)bpf_jiffies64();
}

/* The longest there is for what does not fit: 2^32 ticks of 4 ms are 198 days. */
static __always_inline __u32 ticks_to_ms(__u32 ticks, __u32 hz, __u32 longest)
{
	__u64 ms = (__u64)ticks * 1000 / hz;

	return ms < longest ? (__u32)ms : longest;
}

/* Until a timer is due; 0 when it is late, as sock_diag tells it. */
static __always_inline __u32 ticks_until(unsigned long expires)
{
	__s32 ticks = (__s32)((__u32)expires - now_ticks());

	return ticks > 0 ? (__u32)ticks : 0;
}

/* keepalive_time_elapsed() */
static __always_inline __u32 silence_ticks(struct tcp_sock *tp)
{
	__u32 data = now_ticks() - tp->inet_conn.icsk_ack.lrcvtime;
	__u32 ack = now_ticks() - tp->rcv_tstamp;

	return data < ack ? data : ack;
}

/* Is keepalive's timer armed, when is it due, and how coarse is its place on the wheel? */
static __always_inline bool keepalive_timer(struct tcp_sock *tp, unsigned long *expires,
					    __u8 *level)
{
	struct tcp_sock___keepalive *newer = (void *)tp;

	/* Moved from struct sock in newer kernels. */
	if (bpf_core_field_exists(newer->inet_conn.icsk_keepalive_timer)) {
		*expires = newer->inet_conn.icsk_keepalive_timer.expires;
		*level = (newer->inet_conn.icsk_keepalive_timer.flags >> TIMER_ARRAYSHIFT) /
			 LVL_SIZE;
		return newer->inet_conn.icsk_keepalive_timer.entry.pprev;
	}
	*expires = tp->inet_conn.icsk_inet.sk.sk_timer.expires;
	*level = (tp->inet_conn.icsk_inet.sk.sk_timer.flags >> TIMER_ARRAYSHIFT) / LVL_SIZE;
	return tp->inet_conn.icsk_inet.sk.sk_timer.entry.pprev;
}

static __always_inline bool has_flag(struct tcp_sock *tp, unsigned flag)
{
	return tp->inet_conn.icsk_inet.sk.__sk_common.skc_flags & (1UL << flag);
}
