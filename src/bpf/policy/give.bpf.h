/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Giving one connection what it is to have, and keeping it there: for each program that decides. */
#pragma once

#include "bpf/policy/kernel.bpf.h"
#include "bpf/policy/policy.h"

const volatile __u32 tcpkeep_hz = 250;

/* Something waits, or has waited, for a connection to stand. */
__u32 tcpkeep_any_due = 0;

/* BPF_F_CLONE: what a listener is marked with holds for what it accepts. */
#ifndef POLICY_MARKS_FLAGS
#define POLICY_MARKS_FLAGS 0
#endif

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | POLICY_MARKS_FLAGS);
	__type(key, int);
	__type(value, struct policy_mark);
} tcpkeep_marks SEC(".maps");

enum outcome {
	OUTCOME_SET,
	OUTCOME_OWN,
	OUTCOME_FAILED,
	OUTCOME_LEFT,
};

static __always_inline long write_option(struct bpf_sock_ops *ctx, int level, int option, int value)
{
	return bpf_setsockopt(ctx, level, option, &value, sizeof(value));
}

static __always_inline bool is_on(struct tcp_sock *tp)
{
	return ((struct sock *)tp)->__sk_common.skc_flags & (1UL << SOCK_KEEPOPEN);
}

/* What to write: all with enforce, otherwise what the program left off. */
static __always_inline __u8 fields_to_write(const struct policy_action *action, struct tcp_sock *tp)
{
	__u8 fields = action->fields;

	if (action->mode == POLICY_ACTION_ENFORCE)
		return fields;
	if (tp->keepalive_time)
		fields &= ~POLICY_FIELD_TIME;
	if (tp->keepalive_intvl)
		fields &= ~POLICY_FIELD_INTVL;
	if (tp->keepalive_probes)
		fields &= ~POLICY_FIELD_PROBES;
	if (tp->inet_conn.icsk_user_timeout)
		fields &= ~POLICY_FIELD_USER_TIMEOUT;
	return fields;
}

/* What was there before: a socket is given all of it or nothing. */
struct before {
	__u32 time, intvl; /* ticks; 0: the sysctl's */
	__u32 user_timeout_ms;
	__u8 probes;
};

/* A value that was the sysctl's cannot be given back (0 is refused); keepalive is off with it. */
static __always_inline void put_back(struct bpf_sock_ops *ctx, const struct before *before,
				     __u8 fields)
{
	if (fields & POLICY_FIELD_TIME && before->time)
		write_option(ctx, SOL_TCP, TCP_KEEPIDLE, before->time / tcpkeep_hz);
	if (fields & POLICY_FIELD_INTVL && before->intvl)
		write_option(ctx, SOL_TCP, TCP_KEEPINTVL, before->intvl / tcpkeep_hz);
	if (fields & POLICY_FIELD_PROBES && before->probes)
		write_option(ctx, SOL_TCP, TCP_KEEPCNT, before->probes);
	if (fields & POLICY_FIELD_USER_TIMEOUT)
		write_option(ctx, SOL_TCP, TCP_USER_TIMEOUT, (int)before->user_timeout_ms);
}

/* The values before SO_KEEPALIVE: it arms the timer, once, with what holds by then. */
static __always_inline long write_fields(struct bpf_sock_ops *ctx,
					 const struct policy_action *action, __u8 fields)
{
	long r = 0;

	if (fields & POLICY_FIELD_TIME)
		r = write_option(ctx, SOL_TCP, TCP_KEEPIDLE, action->time_s);
	if (r == 0 && fields & POLICY_FIELD_INTVL)
		r = write_option(ctx, SOL_TCP, TCP_KEEPINTVL, action->intvl_s);
	if (r == 0 && fields & POLICY_FIELD_PROBES)
		r = write_option(ctx, SOL_TCP, TCP_KEEPCNT, action->probes);
	if (r == 0 && fields & POLICY_FIELD_USER_TIMEOUT)
		r = write_option(ctx, SOL_TCP, TCP_USER_TIMEOUT, (int)action->user_timeout_ms);
	if (r == 0 && fields & POLICY_FIELD_ON)
		r = write_option(ctx, SOL_SOCKET, SO_KEEPALIVE, action->on);
	return r;
}

/* The socket that the program holds: its setsockopt() comes with that one. */
static __always_inline struct mptcp_sock *mptcp_of(struct bpf_sock *sk)
{
	/* 5.19: 3bc253c2e652 */
	if (!bpf_core_enum_value_exists(enum bpf_func_id___running,
					BPF_FUNC_skc_to_mptcp_sock___running))
		return NULL;
	return bpf_skc_to_mptcp_sock(sk);
}

static __always_inline void mark_mptcp(struct bpf_sock *sk, struct policy_mark *mark)
{
	struct mptcp_sock *msk = mptcp_of(sk);

	if (msk)
		bpf_sk_storage_get(&tcpkeep_marks, msk, mark, BPF_SK_STORAGE_GET_F_CREATE);
}

/*
 * A user timeout in force while connecting would cut the handshake short, too: it waits until the
 * connection stands. by_value: a program that had keepalive on is given the values that it left
 * off.
 */
static __always_inline __u32 give(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
				  struct tcp_sock *tp, const struct policy_action *action,
				  bool connecting, bool by_value)
{
	bool enforce = action->mode == POLICY_ACTION_ENFORCE;
	struct policy_mark mark = {}, *marked = NULL;
	struct before before;
	__u8 fields, later = 0;

	if (action->mode == POLICY_ACTION_LEAVE)
		return OUTCOME_LEFT;
	if (!enforce && is_on(tp) && !by_value)
		return OUTCOME_OWN;
	before = (struct before){tp->keepalive_time, tp->keepalive_intvl,
				 tp->inet_conn.icsk_user_timeout, tp->keepalive_probes};
	fields = fields_to_write(action, tp);
	if (!enforce && is_on(tp))
		fields &= ~POLICY_FIELD_ON;
	if (!fields)
		return OUTCOME_OWN;
	if (connecting)
		later = fields & POLICY_FIELD_USER_TIMEOUT;
	/* Its place first: there may be no memory for it, and then nothing is written. */
	if (enforce || later) {
		marked = bpf_sk_storage_get(&tcpkeep_marks, sk, &mark, BPF_SK_STORAGE_GET_F_CREATE);
		if (!marked)
			return OUTCOME_FAILED;
	}
	if (write_fields(ctx, action, fields & ~later) != 0) {
		put_back(ctx, &before, fields & ~later);
		return OUTCOME_FAILED;
	}
	if (!marked)
		return OUTCOME_SET;
	if (later)
		tcpkeep_any_due = 1;
	mark.due = later;
	mark.user_timeout_ms = action->user_timeout_ms;
	mark.enforced = enforce ? action->fields : 0;
	*marked = mark;
	if (enforce && tp->is_mptcp)
		mark_mptcp(sk, &mark);
	return OUTCOME_SET;
}

/* Two that connect to each other at once, or one to itself: decided in connect() already. */
static __always_inline bool is_ours_twice(struct tcp_sock *tp, bool connecting)
{
	return !connecting && ((struct sock *)tp)->sk_socket;
}

/*
 * What had to wait for the connection to stand. Apart, for the stack: Linux 6.1 counts each frame
 * in steps of 32 bytes, and 512 for the whole chain of calls (tests/unit/bpf-stack-test.c).
 */
static __noinline void on_established(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct policy_mark *mark = bpf_sk_storage_get(&tcpkeep_marks, sk, NULL, 0);
	struct tcp_sock *tp;

	if (!mark || !mark->due)
		return;
	mark->due = 0;
	/* The program may have set its own while it connected. */
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp || (!mark->enforced && tp->inet_conn.icsk_user_timeout))
		return;
	write_option(ctx, SOL_TCP, TCP_USER_TIMEOUT, (int)mark->user_timeout_ms);
}

static __always_inline __u8 field_of(int level, int option)
{
	if (level == SOL_SOCKET)
		return option == SO_KEEPALIVE ? POLICY_FIELD_ON : 0;
	if (level != SOL_TCP)
		return 0;
	switch (option) {
	case TCP_KEEPIDLE:
		return POLICY_FIELD_TIME;
	case TCP_KEEPINTVL:
		return POLICY_FIELD_INTVL;
	case TCP_KEEPCNT:
		return POLICY_FIELD_PROBES;
	case TCP_USER_TIMEOUT:
		return POLICY_FIELD_USER_TIMEOUT;
	}
	return 0;
}

/* Larger ones than a page are the kernel's own again: Documentation/bpf/prog_cgroup_sockopt.rst */
#define OPTION_MAX 4096

/* Would the kernel take the value? What it refuses it is to refuse itself, with its own error. */
static __always_inline bool is_valid(struct bpf_sockopt *ctx, __u8 field)
{
	int *value = ctx->optval;

	if (ctx->optlen < (int)sizeof(*value) || (void *)(value + 1) > ctx->optval_end)
		return false;
	switch (field) {
	case POLICY_FIELD_TIME:
	case POLICY_FIELD_INTVL:
		return *value >= 1 && *value <= MAX_TCP_KEEPIDLE;
	case POLICY_FIELD_PROBES:
		return *value >= 1 && *value <= MAX_TCP_KEEPCNT;
	case POLICY_FIELD_USER_TIMEOUT:
		return *value >= 0;
	}
	return true;
}

/* What is enforced stays: the program is told success, and reads back what holds. True: withheld.
 */
static __always_inline bool on_setsockopt(struct bpf_sockopt *ctx)
{
	__u8 field = field_of(ctx->level, ctx->optname);
	struct bpf_sock *sk = ctx->sk;
	struct policy_mark *mark;

	mark = field && sk ? bpf_sk_storage_get(&tcpkeep_marks, sk, NULL, 0) : NULL;
	if (!mark || !(mark->enforced & field) || !is_valid(ctx, field)) {
		/* Only now: a value may be longer than it has to be. */
		if (ctx->optlen > OPTION_MAX)
			ctx->optlen = 0;
		return false;
	}
	ctx->optlen = -1; /* the kernel's own setsockopt() is passed over */
	return true;
}
