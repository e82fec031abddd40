/* SPDX-License-Identifier: MIT */
/* tcpkeep policy status: what is in force, what it has done, and whether the file says the same. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/put.h"
#include "output/colour.h"
#include "output/terminal.h"
#include "output/width.h"
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
	char *file; /* the one that was named, absolute; NULL: none, or it is not there */
	bool file_applied, has_root; /* a policy came from it; there is one for the whole machine */
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

/* The rule as it was written, in its normal form; NULL: that is not known. */
static const struct policy_rule *rule_of(const struct view *view, size_t i)
{
	const char *name = view->status->rules[i].name;

	if (!view->has_before || i >= view->before.n_rules ||
	    strcmp(view->before.rules[i].name, name) != 0)
		return NULL;
	return &view->before.rules[i];
}

/* ------------------------------------------------------------------------------------- text */

#define NAME_SHOWN_MAX (4 * POLICY_NAME_MAX)

/* What is wider than that (12 and more) ends in "...". */
static void clip(char text[NAME_SHOWN_MAX], unsigned width)
{
	size_t at = 0, n;
	uint32_t code;

	if (text_width(text, strlen(text)) <= width)
		return;
	while ((n = utf8_decode(text + at, strlen(text + at), &code)) > 0 &&
	       text_width(text, at + n) <= width - 3)
		at += n;
	strcpy(text + at, "...");
}

/* Words, broken at blanks and behind commas, with the lines after the first under it. */
static void print_wrapped(const char *text, unsigned indent, unsigned width)
{
	unsigned column = 0;

	while (*text) {
		unsigned blank = *text == ' ';
		size_t n = blank + strcspn(text + blank, " ,");
		unsigned wide;

		n += text[n] == ',';
		wide = text_width(text, n);
		if (column == 0 || (width && column + wide > width)) {
			printf("%s%*s", column ? "\n" : "", (int)indent, "");
			column = indent;
			text += blank;
			n -= blank;
			wide -= blank;
		}
		fwrite(text, 1, n, stdout);
		column += wide;
		text += n;
	}
	printf("\n");
}

/* "on time=60 for peer=:5432": what it gives, and whom. */
static void print_rule_text(const struct view *view, size_t i, unsigned width)
{
	const struct policy_kernel_rule *rule = &view->status->rules[i];
	const struct policy_rule *written = rule_of(view, i);
	_cleanup_free_ char *selectors = NULL, *text = NULL, *shown = NULL;
	char settings[TCPKEEP_SETTINGS_TEXT_MAX] = "";
	size_t len;

	if (written && policy_selectors_format(written, &selectors) < 0)
		return;
	if (rule->mode != POLICY_LEAVE)
		tcpkeep_settings_format(&rule->settings, settings, sizeof(settings));
	if (asprintf(&text, "%s for %s", *settings ? settings : "nothing",
		     !selectors   ? "connections that are not known any more"
		     : *selectors ? selectors
				  : "every connection") < 0) {
		text = NULL;
		return;
	}
	len = strlen(text);
	shown = malloc(4 * len + 8);
	if (!shown)
		return;
	printf("%s", colour(COLOUR_DIM));
	print_wrapped(escape_text(text, len, shown, 4 * len + 8), 4, width);
	printf("%s", colour(COLOUR_NONE));
}

enum { COUNT_MATCHED, COUNT_SET, COUNT_OWN, COUNT_FAILED, COUNTS };

static const struct {
	const char *heading;
	enum colour shade; /* when it is not 0 */
} counts[COUNTS] = {
	[COUNT_MATCHED] = {"MATCHED", COLOUR_NONE},
	[COUNT_SET] = {"SET", COLOUR_GOOD},
	[COUNT_OWN] = {"OWN", COLOUR_NONE},
	[COUNT_FAILED] = {"FAILED", COLOUR_BAD},
};

static uint64_t count_of(const struct policy_kernel_rule *rule, unsigned which)
{
	const uint64_t all[] = {
		[COUNT_MATCHED] = rule->matched,
		[COUNT_SET] = rule->set,
		[COUNT_OWN] = rule->own,
		[COUNT_FAILED] = rule->failed,
	};

	return all[which];
}

/* With the NUL. */
static void format_count(uint64_t count, char text[2 * PUT_NUMBER_MAX])
{
	*put_grouped(text, count) = '\0';
}

/* How wide the columns are: the names', which is cut, and those of the counts, which are not. */
struct widths {
	unsigned name, counts[COUNTS];
};

#define MODE_WIDTH 7  /* default, enforce */
#define NAME_MIN   12 /* below that a name says nothing */

static void measure(const struct policy_kernel_status *status, unsigned width, struct widths *ret)
{
	char shown[NAME_SHOWN_MAX], number[2 * PUT_NUMBER_MAX];
	unsigned rest = 2 + MODE_WIDTH;

	*ret = (struct widths){.name = (unsigned)strlen("RULE")};
	for (unsigned c = 0; c < COUNTS; c++)
		ret->counts[c] = (unsigned)strlen(counts[c].heading);
	for (size_t i = 0; i < status->n_rules; i++) {
		const char *name = status->rules[i].name;

		escape_text(name, strlen(name), shown, sizeof(shown));
		ret->name = MAX(ret->name, text_width(shown, strlen(shown)));
		for (unsigned c = 0; c < COUNTS; c++) {
			format_count(count_of(&status->rules[i], c), number);
			ret->counts[c] = MAX(ret->counts[c], (unsigned)strlen(number));
		}
	}
	for (unsigned c = 0; c < COUNTS; c++)
		rest += 2 + ret->counts[c];
	if (width && ret->name + rest > width)
		ret->name = width > rest + NAME_MIN ? width - rest : NAME_MIN;
}

static void print_row(const char *name, const char *mode, const struct policy_kernel_rule *rule,
		      const struct widths *widths)
{
	char number[2 * PUT_NUMBER_MAX];

	printf("%s%*s  %-*s", name, (int)(widths->name - text_width(name, strlen(name))), "",
	       MODE_WIDTH, mode);
	for (unsigned c = 0; c < COUNTS; c++) {
		bool shade = rule && count_of(rule, c) && counts[c].shade;

		if (rule)
			format_count(count_of(rule, c), number);
		printf("  %s%*s%s", shade ? colour(counts[c].shade) : "", (int)widths->counts[c],
		       rule ? number : counts[c].heading, shade ? colour(COLOUR_NONE) : "");
	}
	printf("\n");
}

/* Two lines for each: the second one, of any length, is wrapped, so that the first fits 80 columns
 * whatever the rule is. */
static void print_rules(const struct view *view)
{
	const struct policy_kernel_status *status = view->status;
	unsigned width = terminal_width(STDOUT_FILENO);
	char shown[NAME_SHOWN_MAX];
	struct widths widths;

	measure(status, width, &widths);
	if (status->n_rules > 0)
		print_row("RULE", "MODE", NULL, &widths);
	for (size_t i = 0; i < status->n_rules; i++) {
		const struct policy_kernel_rule *rule = &status->rules[i];

		clip(escape_text(rule->name, strlen(rule->name), shown, sizeof(shown)),
		     widths.name);
		print_row(shown, policy_mode_name(rule->mode), rule, &widths);
		print_rule_text(view, i, width);
	}
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
			printf("  (what is in force cannot be compared rule by rule: its text is not kept, or names "
			       "what is gone)\n");
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

static void print_other(const struct policy_kernel_status *status, size_t i)
{
	const struct policy_kernel_other *other = &status->others[i];
	char shown[1024];

	if (!other->policy && strncmp(other->name, "tcpkeep_", strlen("tcpkeep_")) == 0) {
		printf("Beside it on %s: another tcpkeep (program %u), a run or a policy that is not "
		       "pinned here.\n",
		       hook_name(other->hook), other->id);
		return;
	}
	if (!other->policy) {
		printf("Beside it on %s: %s (program %u%s), not of this policy.\n",
		       hook_name(other->hook),
		       escape_text(other->name, strlen(other->name), shown, sizeof(shown)),
		       other->id, other->inherited ? ", of a cgroup above" : "");
		return;
	}
	if (is_told(status, i))
		return;
	if (strcmp(other->policy, "/") == 0)
		printf("What matches none of its rules goes on to the policy for every new connection.\n");
	else
		printf("What matches none of its rules goes on to the policy of cgroup %s, which is "
		       "above.\n",
		       escape_text(other->policy, strlen(other->policy), shown, sizeof(shown)));
}

static void print_hooks(const struct view *view)
{
	const struct policy_kernel_status *status = view->status;

	if (status->detached) {
		printf("%sSomebody has DETACHED what it needs%s: it does not hold as it should; run ",
		       colour(COLOUR_BAD), colour(COLOUR_NONE));
		print_apply(view);
		printf(".\n");
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
		printf("%sIts pins are DAMAGED%s: some are missing in /sys/fs/bpf, or are not tcpkeep's. 'tcpkeep "
		       "policy apply' makes it anew, 'tcpkeep policy remove' takes it away.\n",
		       colour(COLOUR_BAD), colour(COLOUR_NONE));
		return;
	}
	if (!status->readable) {
		printf("It is that of %s tcpkeep (layout %u), which can read it; %s'tcpkeep policy remove' takes "
		       "it away.\n",
		       status->newer ? "a newer" : "an older", status->layout,
		       status->newer ? "" : "'tcpkeep policy apply' replaces it, ");
		return;
	}
	print_likeness(view);
	print_hooks(view);
	printf("\n");
	print_rules(view);
}

/* ------------------------------------------------------------------------------------- JSON */

static void write_rules(const struct view *view, struct json *json)
{
	const struct policy_kernel_status *status = view->status;

	json_begin_array(json, "rules");
	for (size_t i = 0; i < status->n_rules; i++) {
		const struct policy_kernel_rule *rule = &status->rules[i];
		const struct policy_rule *written = rule_of(view, i);
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

	walk->detached |= status->damaged || (status->readable && status->detached);
	if (status->readable && policy_record_read(status->blob, status->blob_len, &view.record)) {
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
	if (r == 0)
		return EXIT_FAILED;
	return walk.detached ? EXIT_PARTLY : EXIT_DONE;
}
