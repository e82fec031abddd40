/* SPDX-License-Identifier: MIT */
/* tcpkeep policy status: what is in force, what it has done, and whether the file says the same. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "output/colour.h"
#include "output/wrap.h"
#include "policy-verbs.h"

/* How the file stands to what is in force. */
enum likeness {
	LIKENESS_UNKNOWN = 0, /* nothing tells which file it was */
	LIKENESS_SAME,
	LIKENESS_DIFFERS,
	LIKENESS_WRONG,      /* it has errors now */
	LIKENESS_UNREADABLE, /* gone, or not for us */
};

static const char *const likeness_names[] = {"unknown", "same", "differs", "errors", "unreadable"};

/* One policy in force, beside its file. */
struct view {
	const struct policy_kernel_status *status;
	struct policy_record record;
	struct policy_file file;
	enum likeness likeness;
	struct policy_changes changes;
	struct policy before;
	bool has_file, has_changes, has_before;
	bool lost; /* somebody has taken the record away: the rules act without */
};

struct walk {
	const struct policy_call *call;
	char *file; /* the one that was named, absolute; NULL: none, or it is not there */
	bool file_applied, has_root; /* a policy came from it; there is one for the whole machine */
	bool not_whole;              /* one is detached, damaged, or without its record */
	size_t n;                    /* policies shown */
};

static void free_view(struct view *view)
{
	if (view->has_file)
		policy_file_free(&view->file);
	if (view->has_changes)
		policy_changes_free(&view->changes);
	if (view->has_before)
		policy_free(&view->before);
}

static bool is_root(const struct policy_kernel_status *status)
{
	return status->cgroup && strcmp(status->cgroup, "/") == 0;
}

/* The file that was named is held against the policy that came from it; when none did, against the
 * one whose place it would take. Every other one has its own. */
static const char *file_of(const struct view *view, const struct walk *walk)
{
	const struct policy_call *call = walk->call;
	bool meant = call->file;

	if (walk->file_applied)
		meant = strcmp(view->record.path, walk->file) == 0;
	else if (walk->has_root)
		meant = meant && is_root(view->status);
	return meant ? call->file : view->record.path;
}

static void compare(struct view *view, const char *path)
{
	_cleanup_free_ char *text = NULL;
	char digest[24];

	if (!*path)
		return;
	policy_file_read(path, &view->file);
	view->has_file = true;
	if (view->file.result < 0) {
		view->likeness = view->file.errors ? LIKENESS_WRONG : LIKENESS_UNREADABLE;
		return;
	}
	if (!view->record.digest[0] || policy_format(&view->file.policy, &text) < 0)
		return;
	policy_record_digest(text, digest);
	view->likeness =
		strcmp(digest, view->record.digest) == 0 ? LIKENESS_SAME : LIKENESS_DIFFERS;
	view->has_changes =
		view->likeness == LIKENESS_DIFFERS && view->has_before &&
		policy_changes_find(&view->before, &view->file.policy, &view->changes) == 0;
}

/* ------------------------------------------------------------------------------------- text */

#define APPLY_SHOWN_MAX 2200

static void print_heading(const struct policy_kernel_status *status)
{
	char when[64] = "", shown[512];
	struct tm tm;

	if (status->applied_at && localtime_r(&status->applied_at, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	if (status->cgroup)
		escape_text(status->cgroup, strlen(status->cgroup), shown, sizeof(shown));
	wrap_print(
		stdout, 4, "%s%s%s%s", colour(COLOUR_BOLD),
		!status->cgroup
			? "A policy for a cgroup that was removed: it goes by itself, with the last socket of that cgroup"
		: strcmp(status->cgroup, "/") == 0 ? "The policy for every new connection"
						   : "The policy for new connections of cgroup ",
		status->cgroup && strcmp(status->cgroup, "/") != 0 ? shown : "",
		colour(COLOUR_NONE));
	if (status->readable)
		printf("Applied %s by tcpkeep %s.\n", when, status->version);
}

/* The words that put this policy, and no other one, in force again. */
static void format_apply(const struct view *view, char ret[APPLY_SHOWN_MAX])
{
	const char *cgroup = view->status->cgroup;
	char file[1024] = "FILE", shown[1024] = "";

	/* Without its name: that of the default may be another policy. */
	if (view->has_file)
		escape_text(view->file.path, strlen(view->file.path), file, sizeof(file));
	if (cgroup && strcmp(cgroup, "/") != 0)
		escape_text(cgroup, strlen(cgroup), shown, sizeof(shown));
	snprintf(ret, APPLY_SHOWN_MAX, "'tcpkeep policy apply %s%s%s'", file,
		 *shown ? " --cgroup " : "", shown);
}

static void print_differs(const struct view *view, const char *file)
{
	char apply[APPLY_SHOWN_MAX];

	format_apply(view, apply);
	wrap_print(stdout, 4, "%s%s DIFFERS%s; %s would make these changes:", colour(COLOUR_WARN),
		   file, colour(COLOUR_NONE), apply);
	if (view->has_changes)
		policy_changes_print(&view->changes);
	else
		wrap_print(
			stdout, 4,
			"  (what is in force cannot be compared rule by rule: its text is not kept, "
			"or names what is gone)");
}

static void print_lost(const struct view *view)
{
	char apply[APPLY_SHOWN_MAX];

	format_apply(view, apply);
	wrap_print(
		stdout, 4,
		"%sIts text is LOST%s: the pin that keeps it in /sys/fs/bpf is missing, or is not "
		"tcpkeep's. The rules act as before; which file they came from, and what each "
		"matches, cannot be told until it is applied again: %s.",
		colour(COLOUR_BAD), colour(COLOUR_NONE), apply);
}

static void print_likeness(const struct view *view)
{
	char shown[1024] = "";

	if (view->has_file)
		escape_text(view->file.path, strlen(view->file.path), shown, sizeof(shown));
	switch (view->likeness) {
	case LIKENESS_UNKNOWN:
		if (view->lost)
			print_lost(view);
		else if (view->record.is_stdin)
			wrap_print(
				stdout, 4,
				"It came from standard input; 'tcpkeep policy status FILE' compares it "
				"with a file.");
		else
			wrap_print(
				stdout, 4,
				"Nothing tells which file it came from; 'tcpkeep policy status FILE' "
				"compares it with one.");
		break;
	case LIKENESS_SAME:
		wrap_print(stdout, 4, "%s says the same.", shown);
		break;
	case LIKENESS_DIFFERS:
		print_differs(view, shown);
		break;
	case LIKENESS_WRONG:
		wrap_print(stdout, 4, "%s%s HAS ERRORS now%s; see 'tcpkeep policy check %s'.",
			   colour(COLOUR_BAD), shown, colour(COLOUR_NONE), shown);
		break;
	case LIKENESS_UNREADABLE:
		wrap_print(stdout, 4, "It cannot be compared: %s.", view->file.error.message);
		break;
	}
}

static const char *hook_name(unsigned hook)
{
	return hook == POLICY_HOOK_SOCK_OPS ? "sock_ops" : "setsockopt";
}

/* A policy of ours has up to two hooks, and is told once. */
static bool is_told(const struct policy_kernel_status *status, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (status->others[i].policy &&
		    strcmp(status->others[i].policy, status->others[at].policy) == 0)
			return true;
	return false;
}

static void print_stranger(const struct policy_kernel_other *other)
{
	char shown[1024];

	if (strncmp(other->name, "tcpkeep_", strlen("tcpkeep_")) == 0) {
		wrap_print(
			stdout, 4,
			"Beside it on %s: another tcpkeep (program %u), a run or a policy that is "
			"not pinned here.",
			hook_name(other->hook), other->id);
		return;
	}
	escape_text(other->name, strlen(other->name), shown, sizeof(shown));
	wrap_print(stdout, 4, "Beside it on %s: %s (program %u%s), not of this policy.",
		   hook_name(other->hook), shown, other->id,
		   other->inherited ? ", of a cgroup above" : "");
}

static void print_other(const struct policy_kernel_status *status, size_t i)
{
	const struct policy_kernel_other *other = &status->others[i];
	char shown[1024];

	if (!other->policy) {
		print_stranger(other);
		return;
	}
	if (is_told(status, i))
		return;
	if (strcmp(other->policy, "/") == 0) {
		wrap_print(stdout, 4,
			   "What matches none of its rules goes on to the policy for every new "
			   "connection.");
		return;
	}
	escape_text(other->policy, strlen(other->policy), shown, sizeof(shown));
	wrap_print(stdout, 4,
		   "What matches none of its rules goes on to the policy of cgroup %s, which is "
		   "above.",
		   shown);
}

static void print_hooks(const struct view *view)
{
	const struct policy_kernel_status *status = view->status;
	char apply[APPLY_SHOWN_MAX];

	if (status->detached) {
		format_apply(view, apply);
		wrap_print(
			stdout, 4,
			"%sSomebody has DETACHED what it needs%s: it does not hold as it should; "
			"run %s.",
			colour(COLOUR_BAD), colour(COLOUR_NONE), apply);
	} else {
		printf("Attached to sock_ops%s.\n",
		       status->hooks & POLICY_HOOK_SETSOCKOPT ? " and setsockopt" : "");
	}
	for (size_t i = 0; i < status->n_others; i++)
		print_other(status, i);
}

static void print_text(const struct view *view)
{
	const struct policy_kernel_status *status = view->status;

	print_heading(status);
	if (status->damaged) {
		wrap_print(
			stdout, 4,
			"%sIts pins are DAMAGED%s: some are missing in /sys/fs/bpf, or are not tcpkeep's. "
			"'tcpkeep policy apply' makes it anew, 'tcpkeep policy remove' takes it away.",
			colour(COLOUR_BAD), colour(COLOUR_NONE));
		return;
	}
	if (!status->readable) {
		wrap_print(
			stdout, 4,
			"It is that of %s tcpkeep (layout %u), which can read it; %s'tcpkeep policy "
			"remove' takes it away.",
			status->newer ? "a newer" : "an older", status->layout,
			status->newer ? "" : "'tcpkeep policy apply' replaces it, ");
		return;
	}
	print_likeness(view);
	print_hooks(view);
	printf("\n");
	policy_rules_print(status, view->has_before ? &view->before : NULL);
}

/* ------------------------------------------------------------------------------------- JSON */

static void write_rules(const struct view *view, struct json *json)
{
	const struct policy_kernel_status *status = view->status;

	json_begin_array(json, "rules");
	for (size_t i = 0; i < status->n_rules; i++) {
		const struct policy_kernel_rule *rule = &status->rules[i];
		const struct policy_rule *written =
			policy_rule_written(status, i, view->has_before ? &view->before : NULL);
		_cleanup_free_ char *selectors = NULL, *text = NULL;

		if (written && policy_selectors_format(written, &selectors) == 0)
			policy_rule_format(written, &text);
		json_begin_object(json, NULL);
		json_string(json, "name", rule->name);
		json_string(json, "mode", policy_mode_name(rule->mode));
		policy_settings_json(&rule->settings, json);
		json_uint(json, "matched", rule->matched);
		json_uint(json, "set", rule->set);
		json_uint(json, "own", rule->own);
		json_uint(json, "failed", rule->failed);
		json_string(json, "selectors", selectors);
		json_string(json, "text", text);
		json_end_object(json);
	}
	json_end_array(json);
}

static void write_others(const struct policy_kernel_status *status, struct json *json)
{
	json_begin_array(json, "others");
	for (size_t i = 0; i < status->n_others; i++) {
		json_begin_object(json, NULL);
		json_string(json, "name", status->others[i].name);
		json_uint(json, "id", status->others[i].id);
		json_string(json, "hook", hook_name(status->others[i].hook));
		json_bool(json, "inherited", status->others[i].inherited);
		json_string(json, "policy", status->others[i].policy);
		json_end_object(json);
	}
	json_end_array(json);
}

static void write_json(const struct view *view)
{
	const struct policy_kernel_status *status = view->status;
	struct json json;

	json_init(&json, stdout);
	json_begin_object(&json, NULL);
	json_string(&json, "schema", "tcpkeep.policy-status/1");
	json_string(&json, "cgroup", status->cgroup);
	json_uint(&json, "cgroup_id", status->cgroup_id);
	json_uint(&json, "layout", status->layout);
	json_bool(&json, "damaged", status->damaged);
	json_bool(&json, "readable", status->readable);
	if (status->readable) {
		json_string(&json, "version", status->version);
		json_int(&json, "applied_at_s", status->applied_at);
		json_bool(&json, "detached", status->detached);
		json_bool(&json, "text_lost", view->lost);
		json_begin_array(&json, "hooks");
		if (status->hooks & POLICY_HOOK_SOCK_OPS)
			json_string(&json, NULL, "sock_ops");
		if (status->hooks & POLICY_HOOK_SETSOCKOPT)
			json_string(&json, NULL, "setsockopt");
		json_end_array(&json);
		json_string(&json, "file",
			    view->has_file          ? view->file.path
			    : view->record.path[0]  ? view->record.path
			    : view->record.is_stdin ? POLICY_STDIN
						    : NULL);
		json_string(&json, "compared", likeness_names[view->likeness]);
		policy_changes_json(view->has_changes ? &view->changes : NULL, &json);
		write_rules(view, &json);
		write_others(status, &json);
	}
	json_end_object(&json);
}

/* Before any is shown: which of them is the file's that was named? */
static int look_for_file(const struct policy_kernel_status *status, void *userdata)
{
	struct policy_record record;
	struct walk *walk = userdata;

	walk->has_root |= is_root(status);
	if (walk->file && status->readable &&
	    policy_record_read(status->blob, status->blob_len, &record))
		walk->file_applied |= strcmp(record.path, walk->file) == 0;
	return 0;
}

static int show(const struct policy_kernel_status *status, void *userdata)
{
	_cleanup_(free_view) struct view view = {.status = status};
	struct walk *walk = userdata;

	view.lost = status->readable &&
		    !policy_record_read(status->blob, status->blob_len, &view.record);
	walk->not_whole |= status->damaged || view.lost || (status->readable && status->detached);
	if (status->readable && !view.lost) {
		view.has_before = view.record.text &&
				  policy_read_text("kernel", view.record.text, view.record.text_len,
						   NULL, NULL, &view.before) == 0;
		compare(&view, file_of(&view, walk));
	}
	if (!walk->call->json && walk->n++ > 0)
		printf("\n");
	if (walk->call->json)
		write_json(&view);
	else
		print_text(&view);
	return 0;
}

/* Nothing is there to hold the file that was named against; that it cannot be read is worth a word
 * all the same. */
static void say_file(const struct policy_call *call)
{
	_cleanup_(policy_file_free) struct policy_file file = {0};

	policy_file_read(call->file, &file);
	if (file.result < 0)
		say_error("policy status: %s%s", file.error.message,
			  file.errors ? "; 'tcpkeep policy check' tells them" : "");
}

int policy_verb_status(const struct policy_call *call)
{
	struct walk walk = {.call = call};
	struct tcpkeep_error error = {.message = "out of memory"};
	_cleanup_free_ char *file = NULL;
	int r = 0;

	if (call->file && strcmp(call->file, POLICY_STDIN) == 0) {
		say_error("policy status: takes no standard input; name the file");
		return EXIT_USAGE;
	}
	if (call->file)
		walk.file = file = policy_record_path(call->file);
	if (call->file)
		r = policy_kernel_status(call->args->cgroup, look_for_file, &walk, &error);
	if (r >= 0)
		r = policy_kernel_status(call->args->cgroup, show, &walk, &error);
	if (r < 0)
		return policy_fail_kernel(call, r, &error);
	if (r == 0 && !call->json) {
		printf("No policy is in force%s.\n", call->args->cgroup ? " for this cgroup" : "");
		if (call->args->cgroup)
			policy_list_others(call);
	}
	if (r == 0 && call->file)
		say_file(call);
	if (r == 0)
		return EXIT_FAILED;
	return walk.not_whole ? EXIT_PARTLY : EXIT_DONE;
}
