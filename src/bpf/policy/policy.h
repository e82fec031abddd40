/* SPDX-License-Identifier: MIT */
/*
 * A policy as the kernel looks it up, and the look-up itself: the header that policy.bpf.c shares
 * with user space, which compiles it (src/policy/policy-compile.c) and holds it against
 * selector_matches().
 *
 * A connection is a key of bytes: addresses, ports, and small numbers that stand for users and
 * namespaces. For each byte of the key that some rule cares for there is a table that tells, for
 * each value of that byte, which rules may hold: one bit for each rule. What is left when all bytes
 * have been asked (most often nothing, after one or two) is held against the rules themselves, from
 * the first one on, with match_row(). Names (program, cgroup, unit) come as such bits, too; they
 * are worked out once for each name.
 */
#pragma once

#include "sockets/match.h"

#define POLICY_SET_RULES 256
#define POLICY_WORDS     (POLICY_SET_RULES / 64)

struct policy_bits {
	__u64 word[POLICY_WORDS];
};

/*
 * The bytes of a key, by their number in the tables; in the set they are offsets in struct
 * policy_key.
 */
#define POLICY_PEER_ADDRESS  0  /* 16: network order, IPv4 mapped */
#define POLICY_PEER_PORT     16 /* 2: the high one first */
#define POLICY_LOCAL_ADDRESS 18
#define POLICY_LOCAL_PORT    34
#define POLICY_DIRECTION     36 /* enum row_direction */
#define POLICY_USER          37 /* policy_class() of the uid: padding[0] */
#define POLICY_NETNS         38 /* policy_class() of the inode: padding[1] */
#define POLICY_PROGRAM_NAME  39 /* 16: the first 0: unknown */
#define POLICY_POSITIONS     55

#define POLICY_COMM 16

/* The row's padding has room for two classes. */
struct policy_key {
	struct socket_row row;
	char program[POLICY_COMM]; /* empty: not known */
};

/* A number that rules name, and the small number of it; class 0: the slot is empty. */
struct policy_class {
	__u32 number;
	__u32 class;
};

#define POLICY_CLASSES     255  /* of users, of namespaces; 0 is everybody else */
#define POLICY_CLASS_SLOTS 1024 /* open addressing */
#define POLICY_CLASS_PROBE 16   /* steps that suffice: the compiler sees to it */

/*
 * A pattern as a machine of at most 63 steps, one bit each: bit n is set when the first n of its
 * signs are used up. fnmatch() decides which bytes a sign takes.
 */
struct policy_glob {
	__u64 stars; /* bit n: sign n is '*' */
	__u64 end;   /* the bit that means yes */
	__u64 takes[256];
};

/*
 * A name's selectors: up to two that must hold and one, of all negated ones, that must not. For
 * each, which rules have this value in it.
 */
#define POLICY_SLOTS 3
#define POLICY_NOT   2 /* the negated one */

struct policy_slots {
	struct policy_bits slot[POLICY_SLOTS];
};

/* What a rule can ask by name. */
enum policy_name {
	POLICY_PROGRAM = 0,
	POLICY_UNIT,
	POLICY_CGROUP,
	POLICY_NAMES,
};

/* Patterns of programs, then of units. */
#define POLICY_GLOBS 512
/* Paths of cgroups. */
#define POLICY_PATHS 256
/* Directories deep that a cgroup is looked at; beyond, its names are not known. */
#define POLICY_DEPTH 32
/* NAME_MAX with the NUL. */
#define POLICY_NAME_SIZE 256

struct policy_text {
	__u8 byte[POLICY_NAME_SIZE]; /* NUL-terminated */
};

/* A path from the root of cgroup2: policy_path_hash() of each of its names in turn. */
struct policy_path {
	__u64 hash;
	struct policy_slots rules;
};

enum policy_action_mode {
	POLICY_ACTION_DEFAULT = 0,
	POLICY_ACTION_ENFORCE,
	POLICY_ACTION_LEAVE,
};

/* enum tcpkeep_field, which BPF has no header for. */
#define POLICY_FIELD_ON           (1 << 0)
#define POLICY_FIELD_TIME         (1 << 1)
#define POLICY_FIELD_INTVL        (1 << 2)
#define POLICY_FIELD_PROBES       (1 << 3)
#define POLICY_FIELD_USER_TIMEOUT (1 << 4)

struct policy_action {
	__u32 user_timeout_ms;
	__u16 time_s, intvl_s;
	__u8 probes;
	__u8 on;
	__u8 fields;
	__u8 mode; /* enum policy_action_mode */
};

enum policy_need {
	POLICY_NEEDS_PROGRAM = 1 << 0,
	POLICY_NEEDS_CGROUP = 1 << 1, /* cgroup= or unit= */
	POLICY_NEEDS_USER = 1 << 2,
	POLICY_NEEDS_NETNS = 1 << 3,
	POLICY_ENFORCES = 1 << 4,
};

#define POLICY_RULE_NAME    64
#define POLICY_VERSION_TEXT 32

/* What one apply brings, whole: the value of the one element of one map. */
struct policy_set {
	__u64 generation;  /* never used twice */
	__u64 cgroup_root; /* the id of the directory at which paths begin */
	__u64 applied_at;  /* seconds since 1970 */
	__u32 needs;       /* enum policy_need */
	__u32 n_rules;
	__u32 n_positions;
	/* Of these, at the front: */
	__u32 n_cheap;             /* ports and direction */
	__u32 n_program;           /* and the program's name */
	__u32 n_ipv4;              /* and all that IPv4 need be asked: not ::ffff */
	__u32 n_programs, n_globs; /* globs[0, n_programs), globs[n_programs, n_globs) are units */
	__u32 n_paths;
	__u32 half; /* of the counters, of the blobs: 0 or 1 */
	__u32 blob_len;
	__u32 padding;
	char version[POLICY_VERSION_TEXT];

	struct policy_bits present;   /* rules that can match at all */
	struct policy_bits exact;     /* those that the tables decide, nothing to hold against */
	struct policy_bits ipv4;      /* those that ::ffff may match */
	struct policy_bits accepting; /* those that an accepted connection may match */
	struct policy_bits program_exact;   /* as exact, for the program alone */
	struct policy_bits program_unknown; /* those that do not ask for the program */
	struct policy_bits cgroup_unknown;  /* those that ask neither for unit nor cgroup */
	struct policy_slots
		empty[POLICY_NAMES]; /* bits that are set where a slot holds for no value */

	/* The bytes to ask, the most telling first: offsets in a key. */
	__u8 position[POLICY_POSITIONS + 1];
	struct policy_bits table[POLICY_POSITIONS][256]; /* of position[i] */
	struct policy_class users[POLICY_CLASS_SLOTS];
	struct policy_class netns[POLICY_CLASS_SLOTS];

	struct match_program rule[POLICY_SET_RULES];
	struct policy_action action[POLICY_SET_RULES];
	char name[POLICY_SET_RULES][POLICY_RULE_NAME];

	struct policy_path path[POLICY_PATHS];
	struct policy_slots glob_rules[POLICY_GLOBS];
	struct policy_glob glob[POLICY_GLOBS];
};

/* Of one rule, on one processor. */
struct policy_count {
	__u64 set, own, failed, left;
};

/* The same where there is but one rule: bpf/single. */
struct policy_single_count {
	struct policy_count of;
	__u64 accepted;  /* of those set */
	__u64 connected; /* of those set, outgoing ones that came about */
	__u64 listening; /* listeners set, which are not among them */
	__u64 in_part;   /* of both, those that kept values of the program's own */
	__u64 changed;   /* of both, those to which the program gave values of its own afterwards */
	__u64 withheld;  /* calls of the program */
};

/* On a listener: who called listen(). Its connections inherit it. */
struct policy_tag {
	char comm[POLICY_COMM];
	__u32 by_init; /* found with process 1, which may hold it for another */
	__u32 padding;
};

/* On a connection: what is still to be done, and what its program may not undo. */
struct policy_mark {
	__u32 user_timeout_ms; /* due when it is established */
	__u8 due;
	__u8 enforced;   /* POLICY_FIELD_* */
	__u8 turned_off; /* by the program, and not on since */
	__u8 owed;       /* POLICY_FIELD_*, of a connection that is off: due when it turns it on */
};

struct policy_program_key {
	__u64 generation;
	char comm[POLICY_COMM];
};

struct policy_cgroup_key {
	__u64 generation;
	__u64 id;
};

/* Which listeners keep the name of their program: each connection that inherits it pays. */
enum policy_tagging {
	POLICY_TAG_NONE = 0,
	POLICY_TAG_ASKED, /* those whose program some rule in force asks for */
	POLICY_TAG_ALL,   /* while the next policy is not in force yet */
};

/* How user space and the programs talk beside the rules. */
struct policy_control {
	__u32 tagging; /* enum policy_tagging */
	__u32 padding;
};

MATCH_INLINE __u32 policy_class_slot(__u32 number)
{
	return (number * 0x9e3779b1U) >> 22; /* 10 bits: POLICY_CLASS_SLOTS */
}

MATCH_INLINE __u8 policy_class(const struct policy_class *slots, __u32 number)
{
	__u32 at = policy_class_slot(number);

	for (int i = 0; i < POLICY_CLASS_PROBE; i++) {
		const struct policy_class *slot = &slots[(at + i) & (POLICY_CLASS_SLOTS - 1)];

		if (slot->class == 0)
			return 0;
		if (slot->number == number)
			return (__u8)slot->class;
	}
	return 0;
}

MATCH_INLINE void policy_bits_and(struct policy_bits *bits, const struct policy_bits *with)
{
	for (int w = 0; w < POLICY_WORDS; w++)
		bits->word[w] &= with->word[w];
}

/* Asks the bytes [first, end). 1: some rule may hold; *bits is then what is left of it. */
MATCH_INLINE int policy_narrow(const struct policy_set *set, const struct policy_key *key,
			       __u32 first, __u32 end, struct policy_bits *bits)
{
	__u64 a = bits->word[0], b = bits->word[1], c = bits->word[2], d = bits->word[3];

	for (__u32 i = first; i < POLICY_POSITIONS && i < end; i++) {
		__u32 at = set->position[i];
		const struct policy_bits *may;

		if (at >= sizeof(*key)) /* for the verifier */
			break;
		may = &set->table[i][((const __u8 *)key)[at]];
		a &= may->word[0];
		b &= may->word[1];
		c &= may->word[2];
		d &= may->word[3];
		if (!(a | b | c | d))
			return 0;
	}
	*bits = (struct policy_bits){{a, b, c, d}};
	return (a | b | c | d) != 0;
}

/* The rest, once ports, direction and program are asked and the whole key is known. */
MATCH_INLINE int policy_narrow_rest(const struct policy_set *set, const struct policy_key *key,
				    struct policy_bits *bits)
{
	__u32 end = set->n_positions;

	if (match_is_ipv4(key->row.peer)) {
		policy_bits_and(bits, &set->ipv4);
		end = set->n_ipv4;
	}
	return policy_narrow(set, key, set->n_program, end, bits);
}

MATCH_INLINE int policy_bits_empty(const struct policy_bits *bits)
{
	return !(bits->word[0] | bits->word[1] | bits->word[2] | bits->word[3]);
}

/* Is each of these among those? */
MATCH_INLINE int policy_bits_within(const struct policy_bits *bits, const struct policy_bits *of)
{
	__u64 beyond = 0;

	for (int w = 0; w < POLICY_WORDS; w++)
		beyond |= bits->word[w] & ~of->word[w];
	return !beyond;
}

MATCH_INLINE int policy_bits_equal(const struct policy_bits *a, const struct policy_bits *b)
{
	__u64 differs = 0;

	for (int w = 0; w < POLICY_WORDS; w++)
		differs |= a->word[w] ^ b->word[w];
	return !differs;
}

/* The number of the lowest bit that is set, not of 0: the ones below it, counted without a branch
 * (the verifier follows each). */
MATCH_INLINE __u32 policy_lowest(__u64 word)
{
	__u64 x = (word & -word) - 1;

	x -= (x >> 1) & 0x5555555555555555ULL;
	x = (x & 0x3333333333333333ULL) + ((x >> 2) & 0x3333333333333333ULL);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (__u32)((x * 0x0101010101010101ULL) >> 56);
}

MATCH_INLINE __u64 policy_glob_start(const struct policy_glob *glob)
{
	return 1 | (glob->stars & 1) << 1;
}

/* One byte of the text. A '*' is never followed by another. */
MATCH_INLINE __u64 policy_glob_step(const struct policy_glob *glob, __u64 at, __u8 byte)
{
	__u64 next = (at & glob->takes[byte]) << 1 | (at & glob->stars);

	return next | (next & glob->stars) << 1;
}

/* FNV-1a, 64 bits; a name at a time, so that a/b and ab are two. */
#define POLICY_PATH_START 0xcbf29ce484222325ULL

MATCH_INLINE __u64 policy_path_step(__u64 hash, __u8 byte)
{
	return (hash ^ byte) * 0x100000001b3ULL;
}

/* The first of the rules when the tables decide it; otherwise -1. */
MATCH_INLINE int policy_first_exact(const struct policy_set *set, const struct policy_bits *bits)
{
	for (__u32 w = 0; w < POLICY_WORDS; w++) {
		__u64 first = bits->word[w] & -bits->word[w];

		if (first)
			return set->exact.word[w] & first ? (int)(w * 64 + policy_lowest(first))
							  : -1;
	}
	return -1;
}

MATCH_INLINE void policy_slots_or(struct policy_slots *to, const struct policy_slots *from)
{
	for (int s = 0; s < POLICY_SLOTS; s++)
		for (int w = 0; w < POLICY_WORDS; w++)
			to->slot[s].word[w] |= from->slot[s].word[w];
}

/* bits: those of it whose selectors for one kind of name hold. */
MATCH_INLINE void policy_slots_and(struct policy_bits *bits, const struct policy_slots *holds,
				   const struct policy_slots *empty)
{
	for (int s = 0; s < POLICY_SLOTS; s++)
		for (int w = 0; w < POLICY_WORDS; w++)
			bits->word[w] &= holds->slot[s].word[w] ^ empty->slot[s].word[w];
}
