/* SPDX-License-Identifier: MIT */
/*
 * A policy in the kernel. Applied, it is pinned in bpffs and holds without tcpkeep: through exit,
 * crash and kill -9, until policy_kernel_remove() or reboot. There may be one for the root of
 * cgroup2 and one for each cgroup beneath. Where several cover a connection, the innermost of which
 * a rule matches decides.
 *
 * Atomic: a process that is killed anywhere in apply or remove leaves the old policy or the new one
 * in force, never a part. What else it leaves behind decides nothing; the next apply, status or
 * remove clears it away. Two tcpkeeps at once wait for each other.
 *
 * What a program is: the one that called connect() or listen(), by the name of its process (comm).
 * Listeners that were there before are found at apply, by who holds them. The user and the cgroup
 * are those of the socket, which are fixed at socket(). A namespace's name is looked up at apply.
 *
 * -EPERM: the privilege (root's; or CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN and
 * CAP_DAC_OVERRIDE); -EOPNOTSUPP: this kernel or this build of tcpkeep lacks what it takes;
 * -ENOENT: no such cgroup; -EBUSY: a program of somebody else wants the cgroup for itself; -EEXIST:
 * a newer tcpkeep's policy is there; -EINVAL, -E2BIG: the policy is one that the kernel side cannot
 * express, with the rule's name. Always with words (ret_error may be NULL).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "policy.h"

/* What the caller may keep beside the rules, for status: the files, their digests. */
#define POLICY_BLOB_MAX (1024 * 1024)

enum policy_hook {
	POLICY_HOOK_SOCK_OPS = 1 << 0,   /* always: connect(), listen(), accepted connections */
	POLICY_HOOK_SETSOCKOPT = 1 << 1, /* since a policy with an enforcing rule was applied */
};

struct policy_apply_options {
	const char *cgroup; /* a path below the mount of cgroup2, or with it; NULL: the root */
	const void *blob;   /* kept with the rules and swapped with them; may be NULL */
	size_t blob_len;
};

struct policy_apply_report {
	char cgroup[4096]; /* below the mount, "/" for the root */
	unsigned hooks;    /* enum policy_hook: what is attached now */
	bool replaced;     /* a policy was in force here before */
	bool unchanged;    /* ... the very same, with the same blob: it goes on, with its counts */
	bool upgraded;     /* ... of an older tcpkeep */
	bool damaged;      /* ... of which somebody had taken pins away, or put others there */
	bool mounted;      /* bpffs was not mounted, and is now, at /sys/fs/bpf */
	size_t leftovers;  /* of tcpkeeps that were killed; cleared */
	size_t listeners; /* open ones that now have their program's name; only when a rule asks for
			     it */
	size_t netns_unknown; /* netns= values that no namespace has now */
	char netns_first[64]; /* one of them */
};

/* Compiles, attaches, pins and swaps. What is in force already, the same in every rule and in the
 * blob, is not swapped: its counts and the time that it was applied at stay. Otherwise every count
 * begins at 0. *ret_report may be NULL. */
int policy_kernel_apply(const struct policy *policy, const struct policy_apply_options *options,
			struct policy_apply_report *ret_report, struct tcpkeep_error *ret_error);

/* One rule as it is in force. matched = set + own + failed; those of POLICY_LEAVE are only matched.
 */
struct policy_kernel_rule {
	const char *name;
	struct tcpkeep_settings settings;
	enum policy_mode mode;
	uint64_t matched; /* connections since it was applied; outgoing ones from their connect() */
	uint64_t set;     /* given the settings */
	uint64_t own; /* mode default: the program had keepalive on already, and was left alone */
	uint64_t failed; /* the kernel refused; the socket is as it was */
	/* Of a single rule without selectors alone (policy_kernel_attach()): */
	uint64_t accepted;  /* of those set */
	uint64_t connected; /* of those set, outgoing ones that came about */
	uint64_t listening; /* listeners set, which are not among them */
	uint64_t in_part;   /* of both, those that kept values of the program's own */
	uint64_t changed;   /* of both, those to which the program gave values of its own later */
	uint64_t withheld;  /* calls of programs that would undo what is enforced */
};

/* Another program on the same cgroup, on a hook that is ours as well. */
struct policy_kernel_other {
	const char *policy; /* it is the policy of this cgroup (below the mount); NULL: of none that
			       is pinned here */
	const char *name;   /* as bpftool shows it; escape before printing */
	uint32_t id;
	unsigned hook;  /* one of enum policy_hook */
	bool inherited; /* attached to a cgroup above */
};

/* All pointers live until the callback returns. */
struct policy_kernel_status {
	const char *cgroup; /* below the mount; NULL: it was removed, and its policy goes with the
			       last of its sockets */
	uint64_t cgroup_id;
	unsigned layout; /* of the pins */
	bool newer;      /* a layout that this tcpkeep does not know yet */
	bool damaged;    /* pins of it are missing, or are not ours: apply makes it anew */
	bool readable;   /* false: damaged, or of another layout; only the members above are set */
	const char *version; /* of the tcpkeep that applied it */
	time_t applied_at;
	unsigned hooks; /* enum policy_hook */
	bool detached;  /* somebody has taken a hook away that it needs: apply again */
	const struct policy_kernel_rule *rules;
	size_t n_rules;
	const struct policy_kernel_other *others;
	size_t n_others;
	const void *blob;
	size_t blob_len;
};

typedef int (*policy_kernel_status_fn)(const struct policy_kernel_status *status, void *userdata);

/*
 * Calls fn for each policy in force: of that cgroup, or all when it is NULL. Returns how many, or
 * fn's first result that is not 0, or -errno. None in force is 0 and not an error; a cgroup that
 * does not exist is.
 */
int policy_kernel_status(const char *cgroup, policy_kernel_status_fn fn, void *userdata,
			 struct tcpkeep_error *ret_error);

/* One that was taken away. */
struct policy_removed {
	const char *cgroup; /* below the mount; NULL: it was removed before */
	int n_rules;        /* -1: damaged, or of another layout */
};

typedef void (*policy_removed_fn)(const struct policy_removed *removed, void *userdata);

/*
 * Takes the policy of a cgroup away; all of them when all is true (cgroup is not looked at then).
 * Connections keep what they have; programs get back their say over what was enforced. Of any
 * layout. fn (may be NULL) is told of each that was in force and is not any more, also when a later
 * one fails. Returns how many these are; 0: there was none.
 */
int policy_kernel_remove(const char *cgroup, bool all, policy_removed_fn fn, void *userdata,
			 struct tcpkeep_error *ret_error);

/* Does this build have the kernel side at all? 0 or -EOPNOTSUPP with words. */
int policy_kernel_built(struct tcpkeep_error *ret_error);

/*
 * A policy that nothing is pinned of, and that no descriptor has to hold: it is there for the
 * sockets of one cgroup until policy_kernel_detach(), or until the cgroup is removed and the last
 * of its sockets is closed. For `run`.
 *
 * A single rule without selectors costs less than a policy, to load and for each connection, and in
 * mode default a program that had keepalive on already is given the values that it left off.
 */
struct policy_kernel;
int policy_kernel_attach(const struct policy *policy, int cgroup_fd, struct policy_kernel **ret,
			 struct tcpkeep_error *ret_error);

/* The counters of one rule: rule->name is the policy's own. */
int policy_kernel_count(const struct policy_kernel *kernel, size_t rule,
			struct policy_kernel_rule *ret);

/* Takes it away from the cgroup. NULL: nothing. */
void policy_kernel_detach(struct policy_kernel **kernel);

/* Leaves it there. NULL: nothing. */
void policy_kernel_close(struct policy_kernel **kernel);
