/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Which rules have nothing against a program's name, or a cgroup's: worked out once for each name
 * and each policy, and kept.
 */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf/policy/kernel.bpf.h"
#include "bpf/policy/policy.h"

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

/* Where names are worked out: no room for it on the stack. */
struct scratch {
	__u64 busy;
	struct policy_slots holds[POLICY_NAMES];
	__u64 node[POLICY_DEPTH]; /* struct kernfs_node *, from the cgroup upwards */
	__u64 hash;               /* of the path down to here */
	__u64 unit;               /* the innermost unit so far; 0: none */
	__u32 depth, padding;
	struct policy_bits found;
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
	struct kernfs_node *node = cgroup ? cgroup->kn : NULL;
	struct policy_bits *known, *found;
	struct scratch *scratch;

	key.id = node ? node->id : 0;
	known = bpf_map_lookup_elem(&tcpkeep_cgroups, &key);
	if (known) {
		policy_bits_and(bits, known);
		return;
	}
	scratch = node ? take_scratch() : NULL;
	if (!scratch) {
		policy_bits_and(bits, &set->cgroup_unknown);
		return;
	}
	found = &scratch->found;
	*found = set->present;
	scratch->node[0] = (__u64)node;
	tcpkeep_climb(set, scratch);
	if (scratch->depth) {
		tcpkeep_ask_names(set, scratch);
		policy_slots_and(found, &scratch->holds[POLICY_UNIT], &set->empty[POLICY_UNIT]);
		policy_slots_and(found, &scratch->holds[POLICY_CGROUP], &set->empty[POLICY_CGROUP]);
	} else {
		policy_bits_and(found, &set->cgroup_unknown);
	}
	bpf_map_update_elem(&tcpkeep_cgroups, &key, found, BPF_ANY);
	policy_bits_and(bits, found);
	give_back(scratch);
}

/* The same for a program's name; an empty one is unknown. */
static __always_inline void ask_program(const struct policy_set *set, const char *comm,
					struct policy_bits *bits)
{
	struct policy_program_key key = {.generation = set->generation};
	struct policy_bits *known, *found;
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
	found = &scratch->found;
	*found = set->present;
	__builtin_memcpy(scratch->text.byte, key.comm, sizeof(key.comm));
	scratch->text.byte[POLICY_COMM - 1] = 0;
	tcpkeep_program_globs(set, &scratch->holds[POLICY_PROGRAM], &scratch->text);
	policy_slots_and(found, &scratch->holds[POLICY_PROGRAM], &set->empty[POLICY_PROGRAM]);
	bpf_map_update_elem(&tcpkeep_programs, &key, found, BPF_ANY);
	policy_bits_and(bits, found);
	give_back(scratch);
}
