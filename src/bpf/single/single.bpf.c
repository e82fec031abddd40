// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * One rule for every connection of a cgroup, as `tcpkeep run` has it: nothing to look up, and
 * little to load.
 */
/* That the program turned it off on a listener holds for what it accepts. */
#define POLICY_MARKS_FLAGS BPF_F_CLONE
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
static __always_inline struct policy_mark *find_off(struct bpf_sock *sk)
{
	struct policy_mark *mark = bpf_sk_storage_get(&tcpkeep_marks, sk, NULL, 0);

	return mark && mark->turned_off ? mark : NULL;
}

/* The same, of the socket that the program holds, where this one is a part of it. */
static __always_inline bool is_off_mptcp(struct bpf_sock *sk, struct tcp_sock *tp)
{
	struct mptcp_sock *msk = tp->is_mptcp ? mptcp_of(sk) : NULL;
	struct policy_mark *mark;

	if (!msk)
		return false;
	mark = bpf_sk_storage_get(&tcpkeep_marks, msk, NULL, 0);
	return mark && mark->turned_off;
}

/* What a connection has from a listener that was set. */
static __always_inline bool holds(struct tcp_sock *tp)
{
	struct policy_action action = tcpkeep_action;

	if (action.fields & POLICY_FIELD_TIME && tp->keepalive_time != action.time_s * tcpkeep_hz)
		return false;
	if (action.fields & POLICY_FIELD_INTVL &&
	    tp->keepalive_intvl != action.intvl_s * tcpkeep_hz)
		return false;
	if (action.fields & POLICY_FIELD_PROBES && tp->keepalive_probes != action.probes)
		return false;
	return !(action.fields & POLICY_FIELD_ON) || is_on(tp) == !!action.on;
}

/* Of one that was set: has the program chosen other values? */
static __always_inline void count_in_part(struct tcp_sock *tp)
{
	struct policy_action action = tcpkeep_action;
	struct policy_single_count *all;
	__u32 timeout = tp->inet_conn.icsk_user_timeout;

	if (action.mode == POLICY_ACTION_ENFORCE ||
	    (holds(tp) && (!(action.fields & POLICY_FIELD_USER_TIMEOUT) || timeout == 0 ||
			   timeout == action.user_timeout_ms)))
		return;
	all = counts();
	if (all)
		__sync_fetch_and_add(&all->in_part, 1);
}

/*
 * A connection that was set is told by a flag that the kernel keeps for us with each socket: a
 * retransmission by its timer then calls us as well, for nothing. It is never taken back: somebody
 * else's program may have asked for these calls, too.
 */
#define WAS_SET BPF_SOCK_OPS_RTO_CB_FLAG

static __always_inline void begin(struct bpf_sock_ops *ctx)
{
	bpf_sock_ops_cb_flags_set(ctx, (int)ctx->bpf_sock_ops_cb_flags | WAS_SET);
}

static __always_inline void arrive(struct bpf_sock_ops *ctx)
{
	struct policy_single_count *all;

	all = ctx->bpf_sock_ops_cb_flags & WAS_SET ? counts() : NULL;
	if (all)
		__sync_fetch_and_add(&all->connected, 1);
}

static __always_inline void on_connection(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
					  bool connecting)
{
	struct policy_action action = tcpkeep_action; /* as it was loaded, not as it is compiled */
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct policy_mark *off = NULL;
	bool inherits, again;
	__u32 outcome;

	if (!tp || is_ours_twice(tp, connecting))
		return;
	if (action.mode != POLICY_ACTION_ENFORCE)
		off = find_off(sk);
	if (off)
		off->owed = fields_to_write(&action, tp) & ~POLICY_FIELD_ON;
	if (off || (action.mode != POLICY_ACTION_ENFORCE && is_off_mptcp(sk, tp))) {
		count(OUTCOME_OWN, !connecting);
		return;
	}
	inherits = !connecting && holds(tp);
	again = connecting && ctx->bpf_sock_ops_cb_flags & WAS_SET;
	outcome = give(ctx, sk, tp, &action, connecting, true);
	/* After a connection that did not come about: one socket, which is counted. */
	if (again)
		return;
	if (connecting && outcome == OUTCOME_SET)
		begin(ctx);
	if (outcome == OUTCOME_SET)
		count_in_part(tp);
	count(inherits && outcome == OUTCOME_OWN ? OUTCOME_SET : outcome, !connecting);
}

/* Did the program turn it off on the listener? The mark of an MPTCP socket goes to the part of it
 * from which what is accepted has its own. */
static __always_inline bool is_listener_off(struct bpf_sock *sk, struct tcp_sock *tp)
{
	struct policy_mark *mark;

	if (find_off(sk))
		return true;
	if (!is_off_mptcp(sk, tp))
		return false;
	mark = bpf_sk_storage_get(&tcpkeep_marks, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (mark)
		mark->turned_off = true;
	return true;
}

/* What it accepts is given the user timeout; it limits handshakes, too. */
static __always_inline void on_listen(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct policy_action action = tcpkeep_action;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct policy_single_count *all;

	action.fields &= ~POLICY_FIELD_USER_TIMEOUT;
	if (!tp || (action.mode != POLICY_ACTION_ENFORCE && is_listener_off(sk, tp)) ||
	    give(ctx, sk, tp, &action, false, true) != OUTCOME_SET)
		return;
	all = counts();
	if (all)
		__sync_fetch_and_add(&all->listening, 1);
	count_in_part(tp);
}

SEC("sockops")
int tcpkeep_sock_ops(struct bpf_sock_ops *ctx)
{
	bool connecting = ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB;
	struct bpf_sock *sk;

	if (ctx->op == BPF_SOCK_OPS_TCP_LISTEN_CB) {
		sk = ctx->sk;
		if (sk)
			on_listen(ctx, sk);
		return 1;
	}
	if (!connecting && ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB &&
	    ctx->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		arrive(ctx);
	if (!connecting && tcpkeep_any_due)
		on_established(ctx, sk);
	if (ctx->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		on_connection(ctx, sk, connecting);
	return 1;
}

static __always_inline void pay(struct bpf_sock *sk, __u8 owed, int option, int value)
{
	if (owed)
		bpf_setsockopt(sk, SOL_TCP, option, &value, sizeof(value));
}

/* It turns on what it had turned off: with the values that it left off, as from the start. */
static __always_inline void pay_all(struct bpf_sock *sk, __u8 owed)
{
	struct policy_action action = tcpkeep_action;

	pay(sk, owed & POLICY_FIELD_TIME, TCP_KEEPIDLE, action.time_s);
	pay(sk, owed & POLICY_FIELD_INTVL, TCP_KEEPINTVL, action.intvl_s);
	pay(sk, owed & POLICY_FIELD_PROBES, TCP_KEEPCNT, action.probes);
	pay(sk, owed & POLICY_FIELD_USER_TIMEOUT, TCP_USER_TIMEOUT, (int)action.user_timeout_ms);
}

/* Remembers whether the program turned keepalive off, and what it has chosen since. */
static __always_inline void note_choice(struct bpf_sockopt *ctx)
{
	__u8 field = field_of(ctx->level, ctx->optname);
	struct bpf_sock *sk = ctx->sk;
	int *value = ctx->optval;
	struct policy_mark *mark;
	bool off;

	/* What the kernel refuses is no choice. */
	if (!field || !sk || !is_valid(ctx, field) || (void *)(value + 1) > ctx->optval_end)
		return;
	off = field == POLICY_FIELD_ON && !*value;
	mark = bpf_sk_storage_get(&tcpkeep_marks, sk, NULL, off ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!mark)
		return;
	mark->owed &= ~field;
	if (field != POLICY_FIELD_ON)
		return;
	mark->turned_off = off;
	if (off)
		return;
	pay_all(sk, mark->owed);
	mark->owed = 0;
}

/* The value that the rule has for a field; -1: none. */
static __always_inline int value_of(__u8 field)
{
	struct policy_action action = tcpkeep_action;

	switch (action.fields & field) {
	case POLICY_FIELD_ON:
		return action.on;
	case POLICY_FIELD_TIME:
		return action.time_s;
	case POLICY_FIELD_INTVL:
		return action.intvl_s;
	case POLICY_FIELD_PROBES:
		return action.probes;
	case POLICY_FIELD_USER_TIMEOUT:
		return (int)action.user_timeout_ms;
	}
	return -1;
}

static __always_inline bool has_ours(struct bpf_sock *sk, __u8 field, int level, int option)
{
	int ours = value_of(field), value;

	return ours < 0 ||
	       (bpf_getsockopt(sk, level, option, &value, sizeof(value)) == 0 && value == ours);
}

static __always_inline bool has_all_of_ours(struct bpf_sock *sk)
{
	return has_ours(sk, POLICY_FIELD_ON, SOL_SOCKET, SO_KEEPALIVE) &&
	       has_ours(sk, POLICY_FIELD_TIME, SOL_TCP, TCP_KEEPIDLE) &&
	       has_ours(sk, POLICY_FIELD_INTVL, SOL_TCP, TCP_KEEPINTVL) &&
	       has_ours(sk, POLICY_FIELD_PROBES, SOL_TCP, TCP_KEEPCNT) &&
	       /* A listener was not given this one: on_listen(). */
	       (sk->state == BPF_TCP_LISTEN ||
		has_ours(sk, POLICY_FIELD_USER_TIMEOUT, SOL_TCP, TCP_USER_TIMEOUT));
}

/*
 * Does a connection or a listener that has all of ours get a value of the program's own? Once for
 * each: from then on it has not. The kernel has yet to carry it out. Before Linux 6.1 the kernel
 * does not tell us these options, and nothing is counted.
 */
static __always_inline bool changes(struct bpf_sockopt *ctx)
{
	__u8 field = field_of(ctx->level, ctx->optname);
	int ours = value_of(field), *value = ctx->optval;
	struct bpf_sock *sk = ctx->sk;

	if (!field || ours < 0 || !sk || sk->protocol != IPPROTO_TCP || sk->state == TCP_CLOSE ||
	    !is_valid(ctx, field) || (void *)(value + 1) > ctx->optval_end)
		return false;
	return (field == POLICY_FIELD_ON ? !!*value : *value) != ours && has_all_of_ours(sk);
}

SEC("cgroup/setsockopt")
int tcpkeep_setsockopt(struct bpf_sockopt *ctx)
{
	bool enforce = tcpkeep_action.mode == POLICY_ACTION_ENFORCE;
	struct policy_single_count *all;

	all = !enforce && changes(ctx) ? counts() : NULL;
	if (all)
		__sync_fetch_and_add(&all->changed, 1);
	if (!enforce)
		note_choice(ctx);
	all = on_setsockopt(ctx) ? counts() : NULL;
	if (all)
		__sync_fetch_and_add(&all->withheld, 1);
	return 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
