/* SPDX-License-Identifier: MIT */
/* tcpkeep policy status: what is in force, what it has done, and whether the file says the same. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/put.h"
#include "output/colour.h"
#include "output/rows.h"
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
};

struct walk {
	const struct policy_call *call;
	bool detached;
	size_t n; /* policies shown */
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

static void compare(struct view *view, const struct policy_call *call)
{
	_cleanup_free_ char *text = NULL;
	char digest[24];
	const char *path = call->file ? call->file : view->record.path;

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
	if (view->likeness == LIKENESS_SAME || !view->record.text)
		return;
	view->has_before = policy_read_text("kernel", view->record.text, view->record.text_len,
					    NULL, NULL, &view->before) == 0;
	view->has_changes =
		view->has_before &&
		policy_changes_find(&view->before, &view->file.policy, &view->changes) == 0;
}

/* ------------------------------------------------------------------------------------- text */

static void cell(struct rows *rows, const char *text)
{
	rows_cell(rows, text, strlen(text), NULL);
}

static void cell_count(struct rows *rows, uint64_t count, enum colour shade)
{
	char text[2 * PUT_NUMBER_MAX], *end = put_grouped(text, count);

	rows_cell(rows, text, (size_t)(end - text), count && shade ? colour(shade) : NULL);
}

static int print_rules(const struct policy_kernel_status *status)
{
	static const struct rows_column columns[] = {
		{"RULE", false}, {"MODE", false}, {"SETTINGS", false}, {"MATCHED", true},
		{"SET", true},   {"OWN", true},   {"FAILED", true},
	};
	struct rows *rows;
	int r;

	r = rows_open(stdout, columns, ARRAY_SIZE(columns), NULL, &rows);
	if (r < 0)
		return r;
	for (size_t i = 0; i < status->n_rules; i++) {
		const struct policy_kernel_rule *rule = &status->rules[i];
		char settings[TCPKEEP_SETTINGS_TEXT_MAX];

		if (!rule->settings.fields ||
		    tcpkeep_settings_format(&rule->settings, settings, sizeof(settings)) < 0)
			strcpy(settings, "-");
		cell(rows, rule->name);
		cell(rows, policy_mode_name(rule->mode));
		cell(rows, settings);
		cell_count(rows, rule->matched, COLOUR_NONE);
		cell_count(rows, rule->set, COLOUR_GOOD);
		cell_count(rows, rule->own, COLOUR_NONE);
		cell_count(rows, rule->failed, COLOUR_BAD);
	}
	rows_close(rows);
	return 0;
}

static void print_heading(const struct policy_kernel_status *status)
{
	char when[64] = "", shown[512];
	struct tm tm;

	if (status->applied_at && localtime_r(&status->applied_at, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s", colour(COLOUR_BOLD));
	if (!status->cgroup)
		printf("A policy for a cgroup that was removed: it does nothing any more");
	else if (strcmp(status->cgroup, "/") == 0)
		printf("The policy for every new connection");
	else
		printf("The policy for new connections of cgroup %s",
		       escape_text(status->cgroup, strlen(status->cgroup), shown, sizeof(shown)));
	printf("%s\n", colour(COLOUR_NONE));
	if (status->readable)
		printf("Applied %s by tcpkeep %s.\n", when, status->version);
}

/* The words that put this policy, and no other one, in force again. */
static void print_apply(const struct view *view)
{
	const char *cgroup = view->status->cgroup;
	char shown[1024];

	printf("'tcpkeep policy apply");
	if (view->has_file)
		printf(" %s",
		       escape_text(view->file.path, strlen(view->file.path), shown, sizeof(shown)));
	if (cgroup && strcmp(cgroup, "/") != 0)
		printf(" --cgroup %s", escape_text(cgroup, strlen(cgroup), shown, sizeof(shown)));
	printf("'");
}

static void print_likeness(const struct view *view)
{
	char shown[1024] = "";

	if (view->has_file)
		escape_text(view->file.path, strlen(view->file.path), shown, sizeof(shown));
	switch (view->likeness) {
	case LIKENESS_UNKNOWN:
		printf("Nothing tells which file it came from.\n");
		break;
	case LIKENESS_SAME:
		printf("%s says the same.\n", shown);
		break;
	case LIKENESS_DIFFERS:
		printf("%s%s DIFFERS%s; with ", colour(COLOUR_WARN), shown, colour(COLOUR_NONE));
		print_apply(view);
		printf(" it would be:\n");
		if (view->has_changes)
			policy_changes_print(&view->changes);
		else
			printf("  (the rules in force are too long to be compared one by one)\n");
		break;
	case LIKENESS_WRONG:
		printf("%s%s HAS ERRORS now%s; see 'tcpkeep policy check %s'.\n",
		       colour(COLOUR_BAD), shown, colour(COLOUR_NONE), shown);
		break;
	case LIKENESS_UNREADABLE:
		printf("It cannot be compared with its file: %s.\n", view->file.error.message);
		break;
	}
}

static void print_hooks(const struct view *view)
{
	const struct policy_kernel_status *status = view->status;
	char shown[64];

	if (status->detached) {
		printf("%sSomebody has DETACHED what it needs%s: it does not hold as it should; run ",
		       colour(COLOUR_BAD), colour(COLOUR_NONE));
		print_apply(view);
		printf(".\n");
	} else {
		printf("Attached to sock_ops%s.\n",
		       status->hooks & POLICY_HOOK_SETSOCKOPT ? " and setsockopt" : "");
	}
	for (size_t i = 0; i < status->n_others; i++) {
		const struct policy_kernel_other *other = &status->others[i];

		printf("Beside it on %s: %s (program %u%s), not of this policy.\n",
		       other->hook == POLICY_HOOK_SOCK_OPS ? "sock_ops" : "setsockopt",
		       escape_text(other->name, strlen(other->name), shown, sizeof(shown)),
		       other->id, other->inherited ? ", of a cgroup above" : "");
	}
}

static int print_text(const struct view *view)
{
	const struct policy_kernel_status *status = view->status;

	print_heading(status);
	if (!status->readable) {
		printf("It is that of another version of tcpkeep (layout %u), which can read it; 'tcpkeep policy "
		       "apply' replaces an older one, 'tcpkeep policy remove' takes any away.\n",
		       status->layout);
		return 0;
	}
	print_likeness(view);
	print_hooks(view);
	printf("\n");
	return print_rules(status);
}

/* ------------------------------------------------------------------------------------- JSON */

static void write_rules(const struct policy_kernel_status *status, struct json *json)
{
	json_begin_array(json, "rules");
	for (size_t i = 0; i < status->n_rules; i++) {
		const struct policy_kernel_rule *rule = &status->rules[i];

		json_begin_object(json, NULL);
		json_string(json, "name", rule->name);
		json_string(json, "mode", policy_mode_name(rule->mode));
		policy_settings_json(&rule->settings, json);
		json_uint(json, "matched", rule->matched);
		json_uint(json, "set", rule->set);
		json_uint(json, "own", rule->own);
		json_uint(json, "failed", rule->failed);
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
		json_string(json, "hook",
			    status->others[i].hook == POLICY_HOOK_SOCK_OPS ? "sock_ops"
									   : "setsockopt");
		json_bool(json, "inherited", status->others[i].inherited);
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
	json_bool(&json, "readable", status->readable);
	if (status->readable) {
		json_string(&json, "version", status->version);
		json_int(&json, "applied_at_s", status->applied_at);
		json_bool(&json, "detached", status->detached);
		json_begin_array(&json, "hooks");
		json_string(&json, NULL, "sock_ops");
		if (status->hooks & POLICY_HOOK_SETSOCKOPT)
			json_string(&json, NULL, "setsockopt");
		json_end_array(&json);
		json_string(&json, "file",
			    view->has_file         ? view->file.path
			    : view->record.path[0] ? view->record.path
						   : NULL);
		json_string(&json, "compared", likeness_names[view->likeness]);
		policy_changes_json(view->has_changes ? &view->changes : NULL, &json);
		write_rules(status, &json);
		write_others(status, &json);
	}
	json_end_object(&json);
}

static int show(const struct policy_kernel_status *status, void *userdata)
{
	_cleanup_(free_view) struct view view = {.status = status};
	struct walk *walk = userdata;

	walk->detached |= status->readable && status->detached;
	if (status->readable && policy_record_read(status->blob, status->blob_len, &view.record))
		compare(&view, walk->call);
	if (!walk->call->json && walk->n++ > 0)
		printf("\n");
	if (walk->call->json)
		write_json(&view);
	else if (print_text(&view) < 0)
		return -ENOMEM;
	return 0;
}

int policy_verb_status(const struct policy_call *call)
{
	struct walk walk = {.call = call};
	struct tcpkeep_error error = {.message = "out of memory"};
	int r;

	r = policy_kernel_status(call->args->cgroup, show, &walk, &error);
	if (r < 0)
		return policy_fail_kernel(call, r, &error);
	if (r == 0 && !call->json)
		printf("No policy is in force%s.\n", call->args->cgroup ? " for this cgroup" : "");
	if (r == 0)
		return EXIT_FAILED;
	return walk.detached ? EXIT_PARTLY : EXIT_DONE;
}
