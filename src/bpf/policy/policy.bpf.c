// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Settings for new connections, by rules. An outgoing connection is decided in connect(), where the
 * program that makes it is known; an accepted one when it is established. Both only once, in the
 * kernel, with the socket locked; nothing is called for a packet.
 */
#include "bpf/policy/policy.h"
#include "bpf/policy/give.bpf.h"
#include "bpf/policy/names.bpf.h"

/* The cgroup that the walk over open listeners keeps to. */
const volatile __u64 tcpkeep_cgroup = 0;

/*
 * Sizes and no types: a map of maps takes in only what is like this one, and Linux 6.1 holds a map
 * that came with types for another than one without, as the policies are made.
 */
struct policy_inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct policy_set));
};

/* The one pointer: what it points to is a whole policy. Empty: none is in force. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct policy_inner);
} tcpkeep_sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * POLICY_SET_RULES);
	__type(key, __u32);
	__type(value, struct policy_count);
} tcpkeep_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct policy_control);
} tcpkeep_control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct policy_tag);
} tcpkeep_tags SEC(".maps");

static __always_inline struct policy_set *current_set(void)
{
	__u32 zero = 0;
	void *inner = bpf_map_lookup_elem(&tcpkeep_sets, &zero);

	return inner ? bpf_map_lookup_elem(inner, &zero) : NULL;
}

/* match_row() over a rule in a map. */
__noinline int tcpkeep_holds(const struct match_program *rule, const struct socket_row *row)
{
	return rule && row ? match_row(rule, row) : 0;
}

/* The first of these rules that holds; -1: none. */
__noinline int tcpkeep_first(const struct policy_set *set, const struct policy_bits *bits,
			     const struct socket_row *row)
{
	if (!set || !bits || !row)
		return -1;
	for (__u32 w = 0; w < POLICY_WORDS; w++) {
		__u64 left = bits->word[w];

		for (int n = 0; n < 64 && left; n++) {
			__u32 rule = w * 64 + policy_lowest(left);

			if (tcpkeep_holds(&set->rule[rule & (POLICY_SET_RULES - 1)], row))
				return (int)rule;
			left &= left - 1;
		}
	}
	return -1;
}

/*
 * Who calls, by the name of the process; a thread of the kernel's is nobody. Read as numbers: a
 * helper that copies takes longer than all the rest of a look-up.
 */
static __always_inline void read_caller(char comm[POLICY_COMM])
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 words[POLICY_COMM / sizeof(__u64)];
	struct task_struct *leader;

	if (task->flags & PF_KTHREAD)
		return;
	leader = task->group_leader;
	words[0] = *(__u64 *)&leader->comm[0];
	words[1] = *(__u64 *)&leader->comm[8];
	__builtin_memcpy(comm, words, sizeof(words));
}

/* A connection of IPv4 in an IPv6 socket: the mapped local address comes later than connect(). */
static __always_inline void fill_row(struct socket_row *row, struct sock_common *skc)
{
	for (int i = 0; i < 4; i++) {
		row->local[i] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
		row->peer[i] = skc->skc_v6_daddr.in6_u.u6_addr32[i];
	}
	if (skc->skc_family == AF_INET || match_is_ipv4(row->peer)) {
		row->local[0] = row->local[1] = row->peer[0] = row->peer[1] = 0;
		row->local[2] = row->peer[2] = MATCH_BE32(0xffffU);
		row->local[3] = skc->skc_rcv_saddr;
		row->peer[3] = skc->skc_daddr;
	}
}

/* Ports and direction, which most connections end with: they are at hand. */
static __always_inline bool may_match(const struct policy_set *set, struct bpf_sock_ops *ctx,
				      struct policy_key *key, struct policy_bits *bits)
{
	key->row.local_port = (__u16)ctx->local_port;
	key->row.peer_port = (__u16)bpf_ntohl(ctx->remote_port);
	return policy_narrow(set, key, 0, set->n_cheap, bits);
}

static __always_inline void read_tag(struct bpf_sock *sk, char comm[POLICY_COMM])
{
	struct policy_tag *tag = bpf_sk_storage_get(&tcpkeep_tags, sk, NULL, 0);

	if (tag)
		__builtin_memcpy(comm, tag->comm, POLICY_COMM);
}

/* Whose connection it is: most programs are none of those that the rules name. */
static __always_inline bool program_may_match(const struct policy_set *set, struct bpf_sock *sk,
					      bool connecting, struct policy_key *key,
					      struct policy_bits *bits)
{
	if (connecting)
		read_caller(key->program);
	else
		read_tag(sk, key->program);
	return policy_narrow(set, key, set->n_cheap, set->n_program, bits);
}

/* Of the rules in bits the one that holds; -1: none. */
static __always_inline int decide(const struct policy_set *set, struct tcp_sock *tp,
				  struct policy_key *key, struct policy_bits *bits)
{
	struct sock *sk = (struct sock *)tp;
	int rule;

	if (set->needs & POLICY_NEEDS_PROGRAM && !policy_bits_within(bits, &set->program_exact)) {
		ask_program(set, key->program, bits);
		if (policy_bits_empty(bits))
			return -1;
	}
	if (set->n_positions == set->n_program && !(set->needs & POLICY_NEEDS_CGROUP)) {
		rule = policy_first_exact(set, bits);
		if (rule >= 0)
			return rule;
	}
	fill_row(&key->row, &sk->__sk_common);
	key->row.uid = sk->sk_uid.val;
	if (set->needs & POLICY_NEEDS_USER)
		key->row.padding[0] = policy_class(set->users, key->row.uid);
	if (set->needs & POLICY_NEEDS_NETNS)
		key->row.padding[1] =
			policy_class(set->netns, sk->__sk_common.skc_net.net->ns.inum);
	if (!policy_narrow_rest(set, key, bits))
		return -1;
	if (set->needs & POLICY_NEEDS_CGROUP)
		ask_cgroup(set, sk->sk_cgrp_data.cgroup, bits);
	rule = policy_first_exact(set, bits);
	return rule >= 0 ? rule : tcpkeep_first(set, bits, &key->row);
}

static __always_inline void count(__u32 at, __u32 what)
{
	struct policy_count *counts = bpf_map_lookup_elem(&tcpkeep_counts, &at);

	if (!counts)
		return;
	/* Of this processor, but a packet may come between: an instruction each. */
	if (what == OUTCOME_SET)
		__sync_fetch_and_add(&counts->set, 1);
	if (what == OUTCOME_OWN)
		__sync_fetch_and_add(&counts->own, 1);
	if (what == OUTCOME_FAILED)
		__sync_fetch_and_add(&counts->failed, 1);
	if (what == OUTCOME_LEFT)
		__sync_fetch_and_add(&counts->left, 1);
}

/*
 * Policies of nested cgroups: the kernel calls that of the innermost first, and all of them with
 * one context, which is zeroed for each event. Nobody reads the reply of a connection's events: a
 * policy whose rule has matched leaves word there for those above. A program of somebody else in
 * between may write it, too; then both decide.
 */
#define DECIDED 0x7065656bU

static __always_inline void on_connection(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
					  bool connecting)
{
	struct policy_key key = {
		.row.direction = connecting ? ROW_DIRECTION_OUT : ROW_DIRECTION_IN,
	};
	struct policy_set *set = current_set();
	struct policy_bits bits;
	struct tcp_sock *tp;
	int rule;

	if (!set)
		return;
	bits = set->present;
	if (!may_match(set, ctx, &key, &bits))
		return;
	if (set->needs & POLICY_NEEDS_PROGRAM &&
	    !program_may_match(set, sk, connecting, &key, &bits))
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp || is_ours_twice(tp, connecting) || ctx->reply == DECIDED)
		return;
	rule = decide(set, tp, &key, &bits);
	if (rule < 0)
		return;
	rule &= POLICY_SET_RULES - 1;
	ctx->reply = DECIDED;
	count((set->half & 1) * POLICY_SET_RULES + (__u32)rule,
	      give(ctx, sk, tp, &set->action[rule], connecting, false));
}

/*
 * Does any rule in force care for this program where it accepts? Without one, it may as well be
 * unknown: what a listener keeps is made anew for each connection, and costs more than the rest.
 */
static __always_inline bool is_asked_for(const char *comm)
{
	const struct policy_set *set = current_set();
	struct policy_bits bits, unknown;

	if (!set)
		return false;
	bits = set->accepting;
	ask_program(set, comm, &bits);
	unknown = set->program_unknown;
	policy_bits_and(&unknown, &set->accepting);
	return !policy_bits_equal(&bits, &unknown);
}

static __always_inline __u32 tagging(void)
{
	__u32 zero = 0;
	struct policy_control *control = bpf_map_lookup_elem(&tcpkeep_control, &zero);

	return control ? control->tagging : POLICY_TAG_NONE;
}

/* Functions of their own: what is called for nothing most of the time should touch little. */
__noinline int tcpkeep_on_listen(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct policy_tag tag = {};
	__u32 which = tagging();

	if (!sk || which == POLICY_TAG_NONE)
		return 1;
	read_caller(tag.comm);
	if (which == POLICY_TAG_ALL || is_asked_for(tag.comm))
		bpf_sk_storage_get(&tcpkeep_tags, sk, &tag, BPF_SK_STORAGE_GET_F_CREATE);
	return 1;
}

__noinline int tcpkeep_on_connection(struct bpf_sock_ops *ctx)
{
	bool connecting = ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB;
	struct bpf_sock *sk = ctx->sk;

	if (!sk)
		return 1;
	if (!connecting && tcpkeep_any_due)
		on_established(ctx, sk);
	on_connection(ctx, sk, connecting);
	return 1;
}

/* Called for much more than this: timeouts, windows, congestion. Those return at once. */
SEC("sockops")
int tcpkeep_sock_ops(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk;

	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		return tcpkeep_on_connection(ctx);
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		sk = tcpkeep_any_due ? ctx->sk : NULL;
		if (sk)
			on_established(ctx, sk);
		return 1;
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		return tcpkeep_on_listen(ctx);
	}
	return 1;
}

SEC("cgroup/setsockopt")
int tcpkeep_setsockopt(struct bpf_sockopt *ctx)
{
	on_setsockopt(ctx);
	return 1;
}

/* Is the cgroup the one that the policy is for, or beneath it? */
static __always_inline bool is_beneath(struct cgroup *cgroup)
{
	struct kernfs_node *node = cgroup ? cgroup->kn : NULL;

	for (int i = 0; i < POLICY_DEPTH && node; i++) {
		if (BPF_CORE_READ(node, id) == tcpkeep_cgroup)
			return true;
		node = parent_of(node);
	}
	return false;
}

/*
 * The listeners that were there before: who holds one counts as who called listen(). Process 1 may
 * hold it for another, who then counts. Writes a byte for each.
 */
SEC("iter/task_file")
int tcpkeep_tag_listeners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct policy_tag *tag, fresh = {};
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;
	__u8 one = 1;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || sk->__sk_common.skc_state != TCP_LISTEN ||
	    (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6) ||
	    !is_beneath(sk->sk_cgrp_data.cgroup))
		return 0;
	BPF_CORE_READ_STR_INTO(&fresh.comm, task, group_leader, comm);
	fresh.by_init = task->tgid == 1;
	tag = bpf_sk_storage_get(&tcpkeep_tags, sk, NULL, 0);
	if (tagging() == POLICY_TAG_ASKED) {
		if (tag && !is_asked_for(tag->comm))
			bpf_sk_storage_delete(&tcpkeep_tags, sk);
		return 0;
	}
	if (tag && tag->by_init && !fresh.by_init) {
		*tag = fresh;
		return 0;
	}
	if (!tag && bpf_sk_storage_get(&tcpkeep_tags, sk, &fresh, BPF_SK_STORAGE_GET_F_CREATE))
		bpf_seq_write(ctx->meta->seq, &one, sizeof(one));
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
