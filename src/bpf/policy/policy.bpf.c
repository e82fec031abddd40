// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Settings for new connections, by rules. An outgoing connection is decided in connect(), where the
 * program that makes it is known; an accepted one when it is established. Both only once, in the
 * kernel, with the socket locked; nothing is called for a packet.
 */
#include "bpf/policy/policy.h"
#include "bpf/policy/give.bpf.h"

/* The cgroup that the walk over open listeners keeps to. */
const volatile __u64 tcpkeep_cgroup = 0;

struct policy_inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct policy_set);
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
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct policy_program_key);
	__type(value, struct policy_bits);
} tcpkeep_programs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct policy_cgroup_key);
	__type(value, struct policy_bits);
} tcpkeep_cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct policy_tag);
} tcpkeep_tags SEC(".maps");

/* Where names are worked out: no room for it on the stack. */
struct scratch {
	__u64 busy;
	struct policy_slots holds[POLICY_NAMES];
	__u64 node[POLICY_DEPTH]; /* struct kernfs_node *, from the cgroup upwards */
	__u64 hash;               /* of the path down to here */
	__u64 unit;               /* the innermost unit so far; 0: none */
	__u32 depth, padding;
	struct policy_text text;
};

/* More than one for each processor: a packet may interrupt connect(), or a process another. */
#define SCRATCHES 4

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCHES);
	__type(key, __u32);
	__type(value, struct scratch);
} tcpkeep_scratch SEC(".maps");

static __always_inline struct scratch *take_scratch(void)
{
	for (__u32 i = 0; i < SCRATCHES; i++) {
		__u32 at = i;
		struct scratch *scratch = bpf_map_lookup_elem(&tcpkeep_scratch, &at);

		if (scratch && __sync_val_compare_and_swap(&scratch->busy, 0, 1) == 0) {
			__builtin_memset(scratch->holds, 0, sizeof(scratch->holds));
			return scratch;
		}
	}
	return NULL;
}

static __always_inline void give_back(struct scratch *scratch)
{
	__sync_val_compare_and_swap(&scratch->busy, 1, 0);
}

static __always_inline struct policy_set *current_set(void)
{
	__u32 zero = 0;
	void *inner = bpf_map_lookup_elem(&tcpkeep_sets, &zero);

	return inner ? bpf_map_lookup_elem(inner, &zero) : NULL;
}

/* Functions of their own, each verified once. */

__noinline int tcpkeep_glob(const struct policy_glob *glob, const struct policy_text *text)
{
	__u64 at;

	if (!glob || !text)
		return 0;
	at = policy_glob_start(glob);
	for (__u32 i = 0; i < POLICY_NAME_SIZE && text->byte[i] && at; i++)
		at = policy_glob_step(glob, at, text->byte[i]);
	return !!(at & glob->end);
}

/* Apart, so that the loops over hundreds of names are short for the verifier. */
__noinline int tcpkeep_join(struct policy_slots *to, const struct policy_slots *from)
{
	if (to && from)
		policy_slots_or(to, from);
	return 0;
}

__noinline int tcpkeep_program_globs(const struct policy_set *set, struct policy_slots *holds,
				     const struct policy_text *text)
{
	if (!set || !holds || !text)
		return 0;
	for (__u32 i = 0; i < POLICY_GLOBS && i < set->n_programs; i++)
		if (tcpkeep_glob(&set->glob[i], text))
			tcpkeep_join(holds, &set->glob_rules[i]);
	return 0;
}

__noinline int tcpkeep_unit_globs(const struct policy_set *set, struct policy_slots *holds,
				  const struct policy_text *text)
{
	if (!set || !holds || !text)
		return 0;
	for (__u32 i = 0; i < POLICY_GLOBS && i < set->n_globs; i++)
		if (i >= set->n_programs && tcpkeep_glob(&set->glob[i], text))
			tcpkeep_join(holds, &set->glob_rules[i]);
	return 0;
}

__noinline int tcpkeep_paths(const struct policy_set *set, struct policy_slots *holds, __u64 hash)
{
	if (!set || !holds)
		return 0;
	for (__u32 i = 0; i < POLICY_PATHS && i < set->n_paths; i++)
		if (set->path[i].hash == hash)
			tcpkeep_join(holds, &set->path[i].rules);
	return 0;
}

/* The name's part of a path's hash: policy_path_step() for "/" and each byte. */
__noinline __u64 tcpkeep_path_hash(const struct policy_text *text, __u64 hash)
{
	if (!text)
		return hash;
	hash = policy_path_step(hash, '/');
	for (__u32 i = 0; i < POLICY_NAME_SIZE && text->byte[i]; i++)
		hash = policy_path_step(hash, text->byte[i]);
	return hash;
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

/* The tail of a unit's name, its last eight bytes; shorter names have anything before them. */
static __always_inline __u64 tail_of(const struct policy_text *text, __u32 len)
{
	__u64 tail = 0;

	for (__u32 i = 0; i < 8; i++)
		tail |= (__u64)text->byte[(len - 8 + i) & (POLICY_NAME_SIZE - 1)] << 8 * i;
	return tail;
}

#define ENDS_IN(tail, len, text)                                                                   \
	((len) > sizeof(text) - 1 && (tail) >> 8 * (9 - sizeof(text)) == suffix(text, sizeof(text)))

static __always_inline __u64 suffix(const char *text, __u32 size)
{
	__u64 value = 0;

	for (__u32 i = 0; i < 8 && i < size - 1; i++)
		value |= (__u64)(__u8)text[i] << 8 * i;
	return value;
}

/* What cgroup_unit() of src/sockets calls a unit, and a slice. */
static __always_inline bool is_slice(const struct policy_text *text, __u32 len)
{
	return ENDS_IN(tail_of(text, len), len, ".slice");
}

static __always_inline bool is_unit(const struct policy_text *text, __u32 len)
{
	__u64 tail = tail_of(text, len);

	return ENDS_IN(tail, len, ".service") || ENDS_IN(tail, len, ".scope") ||
	       ENDS_IN(tail, len, ".socket") || ENDS_IN(tail, len, ".mount") ||
	       ENDS_IN(tail, len, ".swap");
}

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *node)
{
	struct kernfs_node___rcu *newer = (void *)node;

	if (bpf_core_field_exists(newer->__parent))
		return BPF_CORE_READ(newer, __parent);
	return BPF_CORE_READ(node, parent);
}

/* The name as systemd means it: cg_escape() puts a '_' before what the kernel could take for its
 * own. */
static __always_inline long read_unit_name(struct policy_text *text, struct kernfs_node *node)
{
	const char *name = BPF_CORE_READ(node, name);
	long size = bpf_probe_read_kernel_str(text->byte, sizeof(text->byte), name);

	if (size > 2 && text->byte[0] == '_')
		size = bpf_probe_read_kernel_str(text->byte, sizeof(text->byte), name + 1);
	return size;
}

static __always_inline void read_name(struct policy_text *text, struct kernfs_node *node)
{
	bpf_probe_read_kernel_str(text->byte, sizeof(text->byte), BPF_CORE_READ(node, name));
}

/* Finds the nodes between the cgroup and the root, both included; depth 0: too many. */
__noinline int tcpkeep_climb(const struct policy_set *set, struct scratch *scratch)
{
	struct kernfs_node *node;

	if (!set || !scratch)
		return 0;
	node = (void *)scratch->node[0];
	scratch->depth = 0;
	for (__u32 i = 0; i < POLICY_DEPTH; i++) {
		struct kernfs_node *parent = parent_of(node);

		scratch->node[i] = (__u64)node;
		if (!parent || BPF_CORE_READ(node, id) == set->cgroup_root) {
			scratch->depth = i + 1;
			break;
		}
		node = parent;
	}
	return 0;
}

/* One name of the path. */
__noinline int tcpkeep_ask_name(const struct policy_set *set, struct scratch *scratch, __u32 at)
{
	struct kernfs_node *node;
	long size;

	if (!set || !scratch)
		return 0;
	node = (void *)scratch->node[at & (POLICY_DEPTH - 1)];
	read_name(&scratch->text, node);
	scratch->hash = tcpkeep_path_hash(&scratch->text, scratch->hash);
	tcpkeep_paths(set, &scratch->holds[POLICY_CGROUP], scratch->hash);
	size = read_unit_name(&scratch->text, node);
	if (size <= 1)
		return 0;
	if (is_unit(&scratch->text, (__u32)size - 1))
		scratch->unit = (__u64)node;
	else if (is_slice(&scratch->text, (__u32)size - 1))
		tcpkeep_unit_globs(set, &scratch->holds[POLICY_UNIT], &scratch->text);
	return 0;
}

/* From the root down, as a path is read. */
__noinline int tcpkeep_ask_names(const struct policy_set *set, struct scratch *scratch)
{
	if (!set || !scratch)
		return 0;
	scratch->unit = 0;
	scratch->hash = POLICY_PATH_START;
	tcpkeep_paths(set, &scratch->holds[POLICY_CGROUP], scratch->hash);
	for (__u32 i = 2; i < POLICY_DEPTH + 1 && i <= scratch->depth; i++)
		tcpkeep_ask_name(set, scratch, scratch->depth - i);
	if (scratch->unit && read_unit_name(&scratch->text, (void *)scratch->unit) > 1)
		tcpkeep_unit_globs(set, &scratch->holds[POLICY_UNIT], &scratch->text);
	return 0;
}

/* Which rules have nothing against this cgroup: the first connection of each works it out. */
static __always_inline void ask_cgroup(const struct policy_set *set, struct cgroup *cgroup,
				       struct policy_bits *bits)
{
	struct policy_cgroup_key key = {.generation = set->generation};
	struct policy_bits *known, found = set->present;
	struct kernfs_node *node = cgroup ? cgroup->kn : NULL;
	struct scratch *scratch;

	key.id = node ? node->id : 0;
	known = bpf_map_lookup_elem(&tcpkeep_cgroups, &key);
	if (known) {
		policy_bits_and(bits, known);
		return;
	}
	scratch = node ? take_scratch() : NULL;
	if (scratch) {
		scratch->node[0] = (__u64)node;
		tcpkeep_climb(set, scratch);
	}
	if (scratch && scratch->depth) {
		tcpkeep_ask_names(set, scratch);
		policy_slots_and(&found, &scratch->holds[POLICY_UNIT], &set->empty[POLICY_UNIT]);
		policy_slots_and(&found, &scratch->holds[POLICY_CGROUP],
				 &set->empty[POLICY_CGROUP]);
	} else {
		policy_bits_and(&found, &set->cgroup_unknown);
	}
	if (scratch) {
		give_back(scratch);
		bpf_map_update_elem(&tcpkeep_cgroups, &key, &found, BPF_ANY);
	}
	policy_bits_and(bits, &found);
}

/* The same for a program's name; an empty one is unknown. */
static __always_inline void ask_program(const struct policy_set *set, const char *comm,
					struct policy_bits *bits)
{
	struct policy_program_key key = {.generation = set->generation};
	struct policy_bits *known, found = set->present;
	struct scratch *scratch;

	if (!comm[0]) {
		policy_bits_and(bits, &set->program_unknown);
		return;
	}
	__builtin_memcpy(key.comm, comm, sizeof(key.comm));
	known = bpf_map_lookup_elem(&tcpkeep_programs, &key);
	if (known) {
		policy_bits_and(bits, known);
		return;
	}
	scratch = take_scratch();
	if (!scratch) {
		policy_bits_and(bits, &set->program_unknown);
		return;
	}
	__builtin_memcpy(scratch->text.byte, key.comm, sizeof(key.comm));
	scratch->text.byte[POLICY_COMM - 1] = 0;
	tcpkeep_program_globs(set, &scratch->holds[POLICY_PROGRAM], &scratch->text);
	policy_slots_and(&found, &scratch->holds[POLICY_PROGRAM], &set->empty[POLICY_PROGRAM]);
	give_back(scratch);
	bpf_map_update_elem(&tcpkeep_programs, &key, &found, BPF_ANY);
	policy_bits_and(bits, &found);
}

/* Who calls, by the name of the process; a thread of the kernel's is nobody. */
static __always_inline void read_caller(char comm[POLICY_COMM])
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (task->flags & PF_KTHREAD)
		return;
	bpf_probe_read_kernel(comm, POLICY_COMM, task->group_leader->comm);
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
				      struct socket_row *row, struct policy_bits *bits)
{
	row->local_port = (__u16)ctx->local_port;
	row->peer_port = (__u16)bpf_ntohl(ctx->remote_port);
	return policy_narrow(set, row, 0, set->n_cheap, bits);
}

/* Of the rules in bits the one that holds; -1: none. comm: empty when it is not known. */
static __always_inline int decide(const struct policy_set *set, struct tcp_sock *tp,
				  struct socket_row *row, struct policy_bits *bits,
				  const char *comm)
{
	struct sock *sk = (struct sock *)tp;

	if (set->needs & POLICY_NEEDS_PROGRAM) {
		ask_program(set, comm, bits);
		if (policy_bits_empty(bits))
			return -1;
	}
	fill_row(row, &sk->__sk_common);
	row->uid = sk->sk_uid.val;
	if (set->needs & POLICY_NEEDS_USER)
		row->padding[0] = policy_class(set->users, row->uid);
	if (set->needs & POLICY_NEEDS_NETNS)
		row->padding[1] = policy_class(set->netns, sk->__sk_common.skc_net.net->ns.inum);
	if (!policy_narrow(set, row, set->n_cheap, set->n_positions, bits))
		return -1;
	if (set->needs & POLICY_NEEDS_CGROUP)
		ask_cgroup(set, sk->sk_cgrp_data.cgroup, bits);
	return tcpkeep_first(set, bits, row);
}

static __always_inline void count(__u32 at, __u32 what)
{
	struct policy_count *counts = bpf_map_lookup_elem(&tcpkeep_counts, &at);

	if (!counts)
		return;
	/* Of this processor, but a packet may come between: an instruction each. */
	__sync_fetch_and_add(&counts->matched, 1);
	if (what == OUTCOME_SET)
		__sync_fetch_and_add(&counts->set, 1);
	if (what == OUTCOME_OWN)
		__sync_fetch_and_add(&counts->own, 1);
	if (what == OUTCOME_FAILED)
		__sync_fetch_and_add(&counts->failed, 1);
}

static __always_inline void read_tag(struct bpf_sock *sk, char comm[POLICY_COMM])
{
	struct policy_tag *tag = bpf_sk_storage_get(&tcpkeep_tags, sk, NULL, 0);

	if (tag)
		__builtin_memcpy(comm, tag->comm, POLICY_COMM);
}

static __always_inline void on_connection(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
					  bool connecting)
{
	struct socket_row row = {.direction = connecting ? ROW_DIRECTION_OUT : ROW_DIRECTION_IN};
	struct policy_set *set = current_set();
	char comm[POLICY_COMM] = {};
	struct policy_bits bits;
	struct tcp_sock *tp;
	int rule;

	if (!set)
		return;
	bits = set->present;
	if (!may_match(set, ctx, &row, &bits))
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp || is_ours_twice(tp, connecting))
		return;
	if (set->needs & POLICY_NEEDS_PROGRAM && connecting)
		read_caller(comm);
	else if (set->needs & POLICY_NEEDS_PROGRAM)
		read_tag(sk, comm);
	rule = decide(set, tp, &row, &bits, comm);
	if (rule < 0)
		return;
	rule &= POLICY_SET_RULES - 1;
	count((set->half & 1) * POLICY_SET_RULES + (__u32)rule,
	      give(ctx, sk, tp, &set->action[rule], connecting, false));
}

/* Does any rule in force care for this program? Without one, it may as well be unknown. */
static __always_inline bool is_asked_for(const char *comm)
{
	const struct policy_set *set = current_set();
	struct policy_bits bits;

	if (!set)
		return false;
	bits = set->present;
	ask_program(set, comm, &bits);
	return !policy_bits_equal(&bits, &set->program_unknown);
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
