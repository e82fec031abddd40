// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * One rule for every connection of a cgroup, as `tcpkeep run` has it: nothing to look up, and
 * little to load.
 */
#include "bpf/policy/give.bpf.h"

const volatile struct policy_action tcpkeep_action = {};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct policy_single_count);
} tcpkeep_counts SEC(".maps");

static __always_inline struct policy_single_count *counts(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&tcpkeep_counts, &zero);
}

/* Of this processor, but a packet may come between: an instruction each. */
static __always_inline void count(__u32 what, bool accepted)
{
	struct policy_single_count *all = counts();

	if (!all)
		return;
	__sync_fetch_and_add(&all->of.matched, 1);
	if (what == OUTCOME_SET)
		__sync_fetch_and_add(&all->of.set, 1);
	if (what == OUTCOME_SET && accepted)
		__sync_fetch_and_add(&all->accepted, 1);
	if (what == OUTCOME_OWN)
		__sync_fetch_and_add(&all->of.own, 1);
	if (what == OUTCOME_FAILED)
		__sync_fetch_and_add(&all->of.failed, 1);
}

/* Did the program turn it off? A socket that it never touched looks the same. */
static __always_inline bool wants_off(struct bpf_sock *sk)
{
	struct policy_mark *mark = bpf_sk_storage_get(&tcpkeep_marks, sk, NULL, 0);

	return mark && mark->turned_off;
}

static __always_inline void on_connection(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
					  bool connecting)
{
	struct policy_action action = tcpkeep_action; /* as it was loaded, not as it is compiled */
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u32 outcome;
	bool off;

	if (!tp || is_ours_twice(tp, connecting))
		return;
	off = action.mode != POLICY_ACTION_ENFORCE && wants_off(sk);
	if (off)
		/* The values are there when it turns it on. */
		action.fields &= ~(POLICY_FIELD_ON | POLICY_FIELD_USER_TIMEOUT);
	outcome = give(ctx, sk, tp, &action, connecting, true);
	count(off ? OUTCOME_OWN : outcome, !connecting);
}

SEC("sockops")
int tcpkeep_sock_ops(struct bpf_sock_ops *ctx)
{
	bool connecting = ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB;
	struct bpf_sock *sk;

	if (!connecting && ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB &&
	    ctx->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	if (!connecting && tcpkeep_any_due)
		on_established(ctx, sk);
	if (ctx->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		on_connection(ctx, sk, connecting);
	return 1;
}

/* Remembers whether the program turned keepalive off. */
static __always_inline void note_choice(struct bpf_sockopt *ctx)
{
	int *value = ctx->optval;
	struct bpf_sock *sk = ctx->sk;
	struct policy_mark *mark;

	if (ctx->level != SOL_SOCKET || ctx->optname != SO_KEEPALIVE || !sk ||
	    (void *)(value + 1) > ctx->optval_end)
		return;
	mark = bpf_sk_storage_get(&tcpkeep_marks, sk, NULL,
				  *value ? 0 : BPF_SK_STORAGE_GET_F_CREATE);
	if (mark)
		mark->turned_off = !*value;
}

SEC("cgroup/setsockopt")
int tcpkeep_setsockopt(struct bpf_sockopt *ctx)
{
	struct policy_single_count *all;

	if (tcpkeep_action.mode != POLICY_ACTION_ENFORCE)
		note_choice(ctx);
	all = on_setsockopt(ctx) ? counts() : NULL;
	if (all)
		__sync_fetch_and_add(&all->withheld, 1);
	return 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
