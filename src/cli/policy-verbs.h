/* SPDX-License-Identifier: MIT */
/* What the verbs of `tcpkeep policy` share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <tcpkeep.h>

#include "cli.h"
#include "output/json.h"
#include "policy/policy-kernel.h"
#include "policy/policy.h"

struct policy_args {
	const char *cgroup;
	bool all;
	bool dry_run;
	bool existing;
	bool force;
};

/* The command line of one verb. */
struct policy_call {
	const char *verb; /* "check", ... */
	const struct policy_args *args;
	const char *file; /* NULL: none was given */
	bool json;
};

int policy_verb_check(const struct policy_call *call);
int policy_verb_apply(const struct policy_call *call);
int policy_verb_status(const struct policy_call *call);
int policy_verb_remove(const struct policy_call *call);

/* Says why the kernel side refused; the exit status. */
int policy_fail_kernel(const struct policy_call *call, int r, const struct tcpkeep_error *error);

/* "1 rule", "2 rules". buf. */
#define POLICY_COUNT_MAX 48
const char *policy_count(size_t n, const char *what, char buf[POLICY_COUNT_MAX]);

/* Tells each policy that there is, and the words to reach it: nothing was found where it was asked
 * for. */
void policy_list_others(const struct policy_call *call);

/* ------------------------------------------------------------- the sockets that are open */

struct set_job;

/*
 * `apply --existing`: gives the open connections of a cgroup (below the mount; NULL: the root) and
 * beneath what the policy says of them, as `tcpkeep set` would. *ret is policy_existing_free()'s;
 * NULL: not as far as that. An exit status; words are said, but for what came of it.
 */
int policy_existing_run(const struct policy_call *call, const struct policy *policy,
			const char *cgroup, struct set_job **ret);
void policy_existing_free(struct set_job **job);

/* ----------------------------------------------------------------------------- the file */

struct policy_told {
	char *path, *message;
	unsigned line;
	bool is_error;
};

/* A file with all that was said of it. */
struct policy_file {
	const char *path;
	int result;           /* policy_read()'s */
	struct policy policy; /* unless result is 0: the files that were read alone */
	struct tcpkeep_error error;
	struct policy_told *told;
	size_t n_told, room, errors, warnings;
};

/* Never fails: file->result says it. */
void policy_file_read(const char *path, struct policy_file *file);
void policy_file_free(struct policy_file *file);

/* "PATH:LINE: warning: ..." for each remark, into the stream; on a terminal broken between words.
 */
void policy_file_print(const struct policy_file *file, FILE *stream);

/* The members "file", "files", "errors", "warnings", "remarks". */
void policy_file_json(const struct policy_file *file, struct json *json);

/* The members "on" to "user_timeout_ms"; null: not set. */
void policy_settings_json(const struct tcpkeep_settings *settings, struct json *json);

/* -------------------------------------------------------------- what is kept in the kernel */

/* What `apply` leaves beside the rules, for `status`: where they came from, and their text. */
struct policy_record {
	char path[4096]; /* absolute; "": unknown */
	bool is_stdin;   /* it came from there: path is "" */
	char digest[24];
	const char *text; /* policy_format()'s; NULL: it was too long to be kept */
	size_t text_len;
};

/* Into blob, POLICY_BLOB_MAX bytes; *ret_len. 0 or -ENOMEM. */
int policy_record_make(const struct policy *policy, const char *path, char *blob, size_t *ret_len);

/* The absolute path that the record has: of a file that is a link the link's own name, so that
 * status sees where it leads by then. NULL: standard input, not there, or nothing that a line can
 * hold. The caller's to free. */
char *policy_record_path(const char *path);

/* False: it is not one of ours. ret->text points into the blob. */
bool policy_record_read(const void *blob, size_t len, struct policy_record *ret);

/* The digest of policy_format()'s text, as in the record. */
void policy_record_digest(const char *text, char ret[24]);

/* -------------------------------------------------------------------------------- in force */

/* A rule in force as it was written; NULL: written, what is known of that, does not have it. */
const struct policy_rule *policy_rule_written(const struct policy_kernel_status *status, size_t i,
					      const struct policy *written);

/* The table of the rules and their counts. */
void policy_rules_print(const struct policy_kernel_status *status, const struct policy *written);

/* ---------------------------------------------------------------------------- differences */

enum policy_part {
	POLICY_PART_MATCHES = 1 << 0,
	POLICY_PART_SETTINGS = 1 << 1,
	POLICY_PART_MODE = 1 << 2,
};

struct policy_change {
	char kind;        /* '+': only in after, '-': only in before, '~': differs, '=': the same */
	const char *name; /* in before or after */
	unsigned parts;   /* enum policy_part: of '~' */
};

struct policy_changes {
	struct policy_change *all; /* in the order of after, then what is only in before */
	size_t n;
	bool any, reordered;
};

/* Compares by name. Either may be NULL: there is none. 0 or -ENOMEM. */
int policy_changes_find(const struct policy *before, const struct policy *after,
			struct policy_changes *ret);
void policy_changes_free(struct policy_changes *changes);
/* A line for each that is not the same, up to some. */
void policy_changes_print(const struct policy_changes *changes);

/* The member "changes": {added, removed, changed, reordered}; NULL: null. */
void policy_changes_json(const struct policy_changes *changes, struct json *json);
