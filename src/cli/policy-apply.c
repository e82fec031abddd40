/* SPDX-License-Identifier: MIT */
/* tcpkeep policy apply: the file's rules in place of those in the kernel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "output/colour.h"
#include "output/wrap.h"
#include "policy-verbs.h"
#include "set-job.h"

/* What is in force before. */
struct before {
	bool found, readable;
	unsigned layout;
	bool newer;
	bool detached; /* somebody has taken away what it needs */
	bool known;    /* its rules are */
	struct policy policy;
};

static void free_before(struct before *before)
{
	if (before->known)
		policy_free(&before->policy);
}

static int take_before(const struct policy_kernel_status *status, void *userdata)
{
	struct before *before = userdata;
	struct policy_record record;

	before->found = true;
	before->readable = status->readable;
	before->layout = status->layout;
	before->newer = status->newer;
	before->detached = status->readable && status->detached;
	if (!before->known && status->readable &&
	    policy_record_read(status->blob, status->blob_len, &record) && record.text)
		before->known = policy_read_text("kernel", record.text, record.text_len, NULL, NULL,
						 &before->policy) == 0;
	return 0;
}

/* One use of the verb. */
struct apply {
	const struct policy_call *call;
	struct policy_file file;
	struct before before;
	struct policy_changes changes;
	bool has_changes;
	struct policy_apply_report report;
	struct set_job *existing; /* NULL: not asked for, or not so far */
	int existing_status;
};

static void free_apply(struct apply *apply)
{
	policy_existing_free(&apply->existing);
	policy_file_free(&apply->file);
	free_before(&apply->before);
	if (apply->has_changes)
		policy_changes_free(&apply->changes);
}

static int write_kernel(struct apply *apply, struct tcpkeep_error *ret_error)
{
	_cleanup_free_ char *blob = malloc(POLICY_BLOB_MAX);
	struct policy_apply_options options = {.cgroup = apply->call->args->cgroup, .blob = blob};
	int r;

	r = blob ? policy_record_make(&apply->file.policy, apply->file.path, blob,
				      &options.blob_len)
		 : -ENOMEM;
	if (r < 0) {
		snprintf(ret_error->message, sizeof(ret_error->message), "%s", strerror(-r));
		return r;
	}
	return policy_kernel_apply(&apply->file.policy, &options, &apply->report, ret_error);
}

/* ------------------------------------------------------------------------------------ words */

static const char *scope(const struct apply *apply)
{
	/* Without a report, in a dry run or refused: as it was named. */
	const char *cgroup =
		*apply->report.cgroup ? apply->report.cgroup : apply->call->args->cgroup;

	return cgroup && strcmp(cgroup, "/") != 0 ? cgroup : NULL;
}

/* Refused or failed as a whole: the words are said, and a count would be none. */
static bool has_counts(const struct apply *apply)
{
	return apply->existing &&
	       (apply->existing_status == EXIT_DONE || apply->existing->told > 0);
}

static void print_existing(const struct apply *apply)
{
	char counts[SET_COUNTS_MAX];
	size_t kept;

	if (!has_counts(apply)) {
		printf("Connections that are open already keep what they have.\n");
		return;
	}
	set_report_counts(apply->existing, counts);
	wrap_print(stdout, 4, "Open connections: %s", counts);
	kept = apply->existing->kept;
	if (kept > 0)
		wrap_print(stdout, 4,
			   "%zu keep%s values of %s own: mode \"default\" leaves those, mode "
			   "\"enforce\" changes them",
			   kept, kept == 1 ? "s" : "", kept == 1 ? "its" : "their");
}

/* How the rules stand to those before. */
static const char *how(const struct apply *apply)
{
	if (apply->report.unchanged && apply->before.detached)
		return " as before; what somebody had detached is attached again, and the counts go on";
	if (apply->report.unchanged)
		return " already; nothing was changed, and the counts go on";
	if (!apply->before.found)
		return "";
	if (!apply->has_changes || apply->changes.any)
		return ", in place of the policy before";
	return ", in place of the policy before, which says the same";
}

static void print_text(const struct apply *apply)
{
	const char *cgroup = scope(apply);
	bool dry_run = apply->call->args->dry_run;
	size_t n = apply->file.policy.n_rules;
	char shown[512], rules[POLICY_COUNT_MAX];

	if (cgroup)
		escape_text(cgroup, strlen(cgroup), shown, sizeof(shown));
	wrap_print(stdout, 4, "%s%s%s %s%s%s%s", colour(COLOUR_BOLD),
		   policy_count(n, "rule", rules), colour(COLOUR_NONE),
		   dry_run  ? "would be in force"
		   : n == 1 ? "is in force"
			    : "are in force",
		   cgroup ? " for new connections of cgroup " : " for every new connection",
		   cgroup ? shown : "", how(apply));
	if (apply->before.detached && !apply->report.unchanged)
		wrap_print(
			stdout, 4,
			"The policy before had been detached by somebody, and did not hold as it "
			"should; %s.",
			dry_run ? "applied, this one would" : "this one does");
	if (apply->has_changes && (apply->before.found || dry_run))
		policy_changes_print(&apply->changes);
	if (apply->before.found && !dry_run && !apply->report.unchanged)
		printf("The counts of all rules begin anew.\n");
	if (apply->existing)
		print_existing(apply);
	else if (!dry_run)
		printf("Connections that are open already keep what they have.\n");
}

static void warn(const struct policy_apply_report *report)
{
	if (report->mounted)
		say_warning("policy apply: bpffs was not mounted; it is now, at /sys/fs/bpf");
	if (report->damaged)
		say_warning(
			"policy apply: pins of the policy before were missing in /sys/fs/bpf, or were not "
			"tcpkeep's; it was made anew, and its counts are gone");
	if (report->upgraded)
		say_warning(
			"policy apply: the policy before was that of another tcpkeep; it was made anew, "
			"and its counts are gone");
}

static void write_report(const struct policy_apply_report *report, struct json *json)
{
	json_begin_array(json, "hooks");
	if (report->hooks & POLICY_HOOK_SOCK_OPS)
		json_string(json, NULL, "sock_ops");
	if (report->hooks & POLICY_HOOK_SETSOCKOPT)
		json_string(json, NULL, "setsockopt");
	json_end_array(json);
	json_uint(json, "listeners", report->listeners);
	json_uint(json, "netns_unknown", report->netns_unknown);
}

static void write_existing(const struct apply *apply, struct json *json)
{
	if (!apply->call->args->existing)
		return;
	if (!has_counts(apply)) {
		json_null(json, "existing");
		return;
	}
	json_begin_object(json, "existing");
	set_report_json(apply->existing, json);
	json_uint(json, "kept", apply->existing->kept);
	json_end_object(json);
}

/* error: NULL, or why not. */
static void write_json(const struct apply *apply, bool applied, const char *error)
{
	const char *cgroup = scope(apply);
	struct json json;

	json_init(&json, stdout);
	json_begin_object(&json, NULL);
	json_string(&json, "schema", "tcpkeep.policy-apply/1");
	json_bool(&json, "applied", applied);
	json_string(&json, "error", error);
	json_bool(&json, "dry_run", apply->call->args->dry_run);
	policy_file_json(&apply->file, &json);
	json_string(&json, "cgroup", cgroup ? cgroup : "/");
	json_uint(&json, "rules", apply->file.result == 0 ? apply->file.policy.n_rules : 0);
	json_bool(&json, "replaced", apply->before.found);
	json_bool(&json, "replaced_detached", apply->before.detached);
	json_bool(&json, "unchanged", apply->report.unchanged);
	policy_changes_json(apply->has_changes ? &apply->changes : NULL, &json);
	if (applied)
		write_report(&apply->report, &json);
	write_existing(apply, &json);
	json_end_object(&json);
}

/* ------------------------------------------------------------------------------------- runs */

/* What it changes; without the rules before, nothing is said of them. */
static int compare(struct apply *apply)
{
	int r;

	if (apply->before.found && !apply->before.known)
		return 0;
	r = policy_changes_find(apply->before.found ? &apply->before.policy : NULL,
				&apply->file.policy, &apply->changes);
	apply->has_changes = r == 0;
	return r;
}

/* The rules are in force, whatever came of the sockets. */
static int existing_result(const struct apply *apply)
{
	const struct set_job *job = apply->existing;
	bool storms;

	if (!apply->call->args->existing)
		return EXIT_DONE;
	if (!job || apply->existing_status != EXIT_DONE)
		return EXIT_PARTLY;
	fflush(stdout);
	set_report_missing(job);
	storms = job->refused;
	if (job->matched == 0)
		return EXIT_DONE;
	return storms || set_job_status(job) != EXIT_DONE ? EXIT_PARTLY : EXIT_DONE;
}

static int run(struct apply *apply)
{
	const struct policy_call *call = apply->call;
	struct tcpkeep_error error;
	int r;

	/* The root's when no cgroup is named: NULL would ask for all. */
	r = policy_kernel_status(call->args->cgroup ? call->args->cgroup : "/", take_before,
				 &apply->before, &error);
	if (r >= 0 && compare(apply) < 0) {
		say_error("policy apply: out of memory");
		return EXIT_FAILED;
	}
	/* As the kernel side would say it. */
	if (r >= 0 && call->args->dry_run && apply->before.newer) {
		r = -EEXIST;
		snprintf(
			error.message, sizeof(error.message),
			"a newer tcpkeep's policy is in force here (layout %u); it would be refused",
			apply->before.layout);
	}
	if (r >= 0 && !call->args->dry_run)
		r = write_kernel(apply, &error);
	if (r >= 0 && call->args->existing)
		apply->existing_status = policy_existing_run(call, &apply->file.policy,
							     call->args->cgroup, &apply->existing);
	if (call->json)
		write_json(apply, r >= 0 && !call->args->dry_run, r < 0 ? error.message : NULL);
	if (r < 0)
		return policy_fail_kernel(call, r, &error);
	if (!call->json)
		print_text(apply);
	warn(&apply->report);
	return existing_result(apply);
}

int policy_verb_apply(const struct policy_call *call)
{
	_cleanup_(free_apply) struct apply apply = {.call = call};

	policy_file_read(call->file ? call->file : POLICY_FILE, &apply.file);
	if (apply.file.result == 0 || apply.file.errors > 0)
		policy_file_print(&apply.file, stderr);
	if (apply.file.result == 0)
		return run(&apply);
	if (call->json)
		write_json(&apply, false, apply.file.error.message);
	say_error("policy apply: %s; nothing was changed", apply.file.error.message);
	return EXIT_FAILED;
}
