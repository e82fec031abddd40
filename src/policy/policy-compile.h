/* SPDX-License-Identifier: MIT */
/*
 * From rules to what the kernel looks up (bpf/policy/policy.h). Pure, but for the names of network
 * namespaces, which the caller hands in.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bpf/policy/policy.h"
#include "policy.h"

/* A network namespace that has a name. */
struct policy_netns {
	uint64_t inode;
	const char *name;
};

struct policy_names {
	const struct policy_netns *netns;
	size_t n_netns;
};

/*
 * Fills a set in, which the caller has zeroed: everything but generation, cgroup_root, applied_at,
 * half, blob_len and version. names: NULL, or what netns= is compared with.
 *
 * -EINVAL: a selector that no new connection can answer; -E2BIG: more names, users or namespaces
 * than there is room for, or more than two selectors of one kind that must all hold. With the
 * rule's name in the words.
 */
int policy_compile(const struct policy *policy, const struct policy_names *names,
		   struct policy_set *set, struct tcpkeep_error *ret_error);

/* One text of fnmatch(3) with FNM_NOESCAPE, byte by byte. -E2BIG: more than 63 signs. */
int policy_glob_compile(const char *pattern, struct policy_glob *ret);

/* The hash of a path such as "/system.slice/nginx.service"; "" is the root. */
uint64_t policy_path_hash(const char *path);

/* The steps of a compile, a file each. */
struct policy_compiler {
	const struct policy *policy;
	const struct policy_names *names;
	struct policy_set *set;
	struct tcpkeep_error *error;
};

int policy_compile_tables(struct policy_compiler *compiler);  /* addresses, ports, direction */
int policy_compile_classes(struct policy_compiler *compiler); /* users, namespaces */
int policy_compile_names(struct policy_compiler *compiler);   /* program, unit, cgroup */

/* The bytes of a program's name, up to the first star, as one clause of a rule has them. */
int policy_allow_program(struct policy_compiler *compiler, size_t rule,
			 const struct match_clause *clause);

/* Those that write into the tables use this: the bytes that a rule allows at one position of the
 * key. */
void policy_allow(struct policy_compiler *compiler, unsigned position, size_t rule,
		  const bool may[256]);

static inline void policy_bit_set(struct policy_bits *bits, size_t rule)
{
	bits->word[rule / 64] |= 1ULL << rule % 64;
}

static inline void policy_bit_clear(struct policy_bits *bits, size_t rule)
{
	bits->word[rule / 64] &= ~(1ULL << rule % 64);
}

static inline bool policy_bit(const struct policy_bits *bits, size_t rule)
{
	return bits->word[rule / 64] >> rule % 64 & 1;
}
