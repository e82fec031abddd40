/* SPDX-License-Identifier: MIT */
/*
 * Rules for new connections: which sockets (selectors) get which settings, and whether the program
 * may undo it. Read from a file (policy-file.c), compiled into what the kernel side looks up
 * (policy-compile.c, bpf/policy/policy.h), attached and pinned (policy-kernel.c).
 *
 * The language is in man/tcpkeep-policy.conf.5.scd.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tcpkeep.h>

#include "sockets/selector.h"

#define POLICY_FILE      "/etc/tcpkeep/policy.conf"
#define POLICY_STDIN     "-" /* as a path: standard input, whose includes are beside the caller */
#define POLICY_RULES_MAX 256
#define POLICY_NAME_MAX  64 /* bytes of a rule's name, the NUL included */

enum policy_mode {
	POLICY_DEFAULT = 0, /* fill in what the program left off; its own setsockopt() wins */
	POLICY_ENFORCE,     /* the program cannot undo it */
	POLICY_LEAVE,       /* nothing is set, and the rules below are not asked */
};

/* In a selector: a user that this machine does not know. (uid_t)-1 is nobody's. */
#define POLICY_UID_UNKNOWN UINT32_MAX

/* One rule. The first rule of the file that matches a connection decides; others are not asked. */
struct policy_rule {
	char name[POLICY_NAME_MAX]; /* unique in the policy; UTF-8 without controls */
	struct selector selector; /* of the kinds that a new socket can answer: program, user, unit,
				   * cgroup, local, peer, direction, netns */
	/*
	 * Validated; the profile's under the rule's own. At least one field, none with
	 * POLICY_LEAVE. TCPKEEP_ON is among them whenever one of TCPKEEP_THREE is: time=60 alone
	 * means on.
	 */
	struct tcpkeep_settings settings;
	enum policy_mode mode;
	const char *path; /* where it stands: owned by the policy */
	unsigned line;
};

struct policy {
	struct policy_rule *rules;
	size_t n_rules;
	char **paths; /* the files read, in order; owned. That of a text: its name */
	size_t n_paths;
};

/* What is wrong, or dangerous, in a file: one call for each, in the order of the lines. */
struct policy_remark {
	const char *path;
	unsigned line;       /* 1..; 0: the file as a whole */
	bool is_error;       /* otherwise a warning */
	const char *message; /* "key: what; accepted; nearest" without path and line */
};

typedef void (*policy_remark_fn)(const struct policy_remark *remark, void *userdata);

/*
 * Reads the file (or POLICY_STDIN) with its includes (relative to the file) and tells
 * every error that it can find, not the first alone, and what is legal and surely not meant: rules
 * that never match, dangerous values. 0; -EINVAL: at least one error was told; -ENOENT, -EACCES ...
 * of the file itself, with words. *ret is the caller's to free with policy_free(); of what failed
 * it has the paths of the files that were read, and no rule.
 */
int policy_read(const char *path, policy_remark_fn remark, void *userdata, struct policy *ret,
		struct tcpkeep_error *ret_error);

/* As it is named in remarks. Static, or path. */
const char *policy_file_name(const char *path);

/* The same of a text that has no file: name stands for the path in the remarks, and an include is
 * an error. Any bytes may come. 0, -EINVAL, -ENOMEM. */
int policy_read_text(const char *name, const char *text, size_t len, policy_remark_fn remark,
		     void *userdata, struct policy *ret);

void policy_free(struct policy *policy);

/*
 * The policy in one normal form: without comments, includes and profiles, users as numbers. Two
 * policies that do the same in the same way have the same text, and policy_read_text() makes the
 * same rules of it. What was applied is kept as this. *ret is NUL-terminated, the caller's to free;
 * -ENOMEM.
 */
int policy_format(const struct policy *policy, char **ret);

/* The same for one rule: "rule \"name\" {\n\t...\n}\n". */
int policy_rule_format(const struct policy_rule *rule, char **ret);

/* What a rule matches on one line, as on the command line: "peer=:5432,:5433 user!=root"; "" when
 * it is every connection. Not escaped. *ret is the caller's to free; -ENOMEM. */
int policy_selectors_format(const struct policy_rule *rule, char **ret);

/* "default", "enforce", "leave". Static. */
const char *policy_mode_name(enum policy_mode mode);
