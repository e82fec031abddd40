/* SPDX-License-Identifier: MIT */
/* What is said of a change of open sockets: the rows, the preview, the summary. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/macro.h"
#include "base/put.h"
#include "output/span.h"
#include "output/terminal.h"
#include "set-job.h"

/* A pace that takes no longer is not worth a line. */
#define PREVIEW_FROM_MS 1000

/* --------------------------------------------------------------------------------------- keeping
 */

/* The namespace outlives neither its walk nor its snapshot. */
static int keep_netns(struct set_job *job, const struct snapshot_netns *netns, size_t *ret)
{
	struct snapshot_netns *grown;

	for (size_t i = 0; i < job->n_namespaces; i++)
		if (job->namespaces[i].inode == netns->inode) {
			*ret = i;
			return 0;
		}
	grown = array_grow(job->namespaces, job->n_namespaces, &job->namespaces_room,
			   sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	job->namespaces = grown;
	grown[job->n_namespaces] = *netns;
	if (netns->name) {
		grown[job->n_namespaces].name = strdup(netns->name);
		if (!grown[job->n_namespaces].name)
			return -ENOMEM;
	}
	*ret = job->n_namespaces++;
	return 0;
}

int set_report_keep(struct set_job *job, const struct snapshot_row *row)
{
	struct set_shown shown = {
		.socket = row->socket,
		.effective = row->effective,
		.n_owners = MIN(row->n_owners, (size_t)1),
	};
	struct set_shown *grown;

	grown = array_grow(job->shown, job->set.n, &job->shown_room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	job->shown = grown;
	if (row->n_owners > 0)
		shown.owner = row->owners[0];
	if (keep_netns(job, row->netns, &shown.netns) < 0)
		return -ENOMEM;
	grown[job->set.n] = shown;
	return 0;
}

/* ------------------------------------------------------------------------------------------ rows
 */

enum {
	COLUMN_NETNS = 0,
	COLUMN_LOCAL,
	COLUMN_PEER,
	COLUMN_OWNER,
	COLUMN_BEFORE,
	COLUMN_AFTER,
	COLUMN_RESULT,
	COLUMNS,
};

static const struct rows_column headings[COLUMNS] = {
	[COLUMN_NETNS] = {"NETNS", false},   [COLUMN_LOCAL] = {"LOCAL", false},
	[COLUMN_PEER] = {"PEER", false},     [COLUMN_OWNER] = {"OWNER", false},
	[COLUMN_BEFORE] = {"BEFORE", false}, [COLUMN_AFTER] = {"AFTER", false},
	[COLUMN_RESULT] = {"RESULT", false},
};

/* The same where fewer columns have room than all of it takes. */
#define WIDE 100

static const struct rows_column narrow_headings[COLUMNS] = {
	[COLUMN_NETNS] = {"NETNS", false, 8},    [COLUMN_LOCAL] = {"LOCAL", false, 6},
	[COLUMN_PEER] = {"PEER", false, 21},     [COLUMN_OWNER] = {"OWNER", false, 16},
	[COLUMN_BEFORE] = {"BEFORE", false, 16}, [COLUMN_AFTER] = {"AFTER", false, 16},
	[COLUMN_RESULT] = {"RESULT", false},
};

static size_t first_column(const struct set_job *job)
{
	return job->all_netns ? COLUMN_NETNS : COLUMN_LOCAL;
}

int set_report_open(struct set_job *job)
{
	size_t first = first_column(job), width = terminal_width(STDOUT_FILENO);
	int r;

	if (!job->wants_rows)
		return 0;
	r = users_new(&job->view.users);
	if (r < 0 || job->json)
		return r;
	job->narrow = width > 0 && width < WIDE;
	return rows_open(stdout, (job->narrow ? narrow_headings : headings) + first,
			 COLUMNS - first, NULL, &job->rows);
}

/* As the list shows it; of what is off the values as well, which it will have when it is on. */
static char *put_settings(struct set_job *job, const struct snapshot_row *row,
			  const struct tcpkeep_settings *settings, char *at)
{
	struct snapshot_row shown = *row;
	bool hides = !job->narrow && settings->fields & TCPKEEP_ON && !settings->on &&
		     (settings->fields & TCPKEEP_THREE) == TCPKEEP_THREE;

	shown.effective.settings = *settings;
	job->view.row = &shown;
	if (hides) {
		at = put_text(at, "off (");
		shown.effective.settings.on = true;
	}
	at = list_text_keepalive(&job->view, at);
	job->view.row = row;
	return hides ? put_char(at, ')') : at;
}

/* Where a row has no room for the reason it is told once, behind all of them. */
static char *put_result(struct set_job *job, const struct change_outcome *outcome, char *at)
{
	if (job->args->dry_run && outcome->result == CHANGE_DONE)
		return put_text(at, "to change");
	at = put_text(at, change_result_name(outcome->result));
	if (outcome->reason == CHANGE_REASON_NONE)
		return at;
	if (job->narrow && outcome->reason != CHANGE_REASON_ERROR) {
		job->reasons[outcome->reason]++;
		return at;
	}
	at = put_text(at, ": ");
	if (outcome->reason == CHANGE_REASON_ERROR)
		return put_text(at, strerror(-outcome->error));
	return put_text(at, change_reason_text(outcome->reason));
}

static void print_reasons(const struct set_job *job)
{
	for (size_t i = CHANGE_REASON_NONE + 1; i < SET_REASONS; i++) {
		const size_t n = job->reasons[i];

		if (n > 0)
			printf("%zu %s: %s\n", n, n == 1 ? "socket" : "sockets",
			       change_reason_text((enum change_reason)i));
	}
}

static void after_of(const struct change_kind *kind, const struct change_outcome *outcome,
		     const struct tcpkeep_settings *before, struct tcpkeep_settings *ret)
{
	struct change_values wanted = {0};
	struct tcpkeep_settings over;

	*ret = *before;
	if (!kind || outcome->result != CHANGE_DONE)
		return;
	wanted = kind->wanted;
	change_values_settings(&wanted, &over);
	tcpkeep_settings_merge(ret, &over);
}

static enum colour colour_of(const struct change_outcome *outcome)
{
	switch (outcome->result) {
	case CHANGE_DONE:
		return COLOUR_GOOD;
	case CHANGE_REFUSED:
	case CHANGE_DENIED:
		return COLOUR_BAD;
	case CHANGE_HELD:
	case CHANGE_VANISHED:
	case CHANGE_SKIPPED:
		break;
	}
	return COLOUR_DIM;
}

/* Where there is little room the port alone: whose end it is tells the peer beside it. */
static char *put_local(struct set_job *job, char *cell)
{
	char *end = list_text_local(&job->view, cell), *colon;

	colon = job->narrow ? memrchr(cell, ':', (size_t)(end - cell)) : NULL;
	if (!colon)
		return end;
	memmove(cell, colon, (size_t)(end - colon));
	return cell + (end - colon);
}

static void write_cells(struct set_job *job, const struct snapshot_row *row,
			const struct tcpkeep_settings *after, const struct change_outcome *outcome)
{
	char cell[LIST_CELL_MAX], *end = cell;

	for (size_t i = first_column(job); i < COLUMNS; i++) {
		switch (i) {
		case COLUMN_NETNS:
			end = list_text_netns(&job->view, cell);
			break;
		case COLUMN_LOCAL:
			end = put_local(job, cell);
			break;
		case COLUMN_PEER:
			end = list_text_peer(&job->view, cell);
			break;
		case COLUMN_OWNER:
			end = list_text_owner(&job->view, cell);
			break;
		case COLUMN_BEFORE:
			end = put_settings(job, row, &row->effective.settings, cell);
			break;
		case COLUMN_AFTER:
			end = put_settings(job, row, after, cell);
			break;
		case COLUMN_RESULT:
			end = put_result(job, outcome, cell);
			break;
		}
		rows_cell(job->rows, cell, (size_t)(end - cell),
			  i == COLUMN_RESULT ? colour(colour_of(outcome)) : NULL);
	}
}

static void json_settings(struct json *json, const char *key, const struct tcpkeep_settings *s)
{
	static const struct {
		const char *key;
		uint32_t field;
	} members[] = {{"time_s", TCPKEEP_TIME},
		       {"intvl_s", TCPKEEP_INTVL},
		       {"probes", TCPKEEP_PROBES},
		       {"user_timeout_ms", TCPKEEP_USER_TIMEOUT}};
	const int values[] = {s->time_s, s->intvl_s, s->probes, s->user_timeout_ms};

	json_begin_object(json, key);
	if (s->fields & TCPKEEP_ON)
		json_bool(json, "keepalive", s->on);
	else
		json_null(json, "keepalive");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (s->fields & members[i].field)
			json_int(json, members[i].key, values[i]);
		else
			json_null(json, members[i].key);
	json_end_object(json);
}

static void write_json(struct set_job *job, const struct snapshot_row *row,
		       const struct tcpkeep_settings *after, const struct change_outcome *outcome)
{
	const char *reason = NULL;
	struct json *json = job->json;

	if (outcome->reason == CHANGE_REASON_ERROR)
		reason = strerror(-outcome->error);
	else if (outcome->reason != CHANGE_REASON_NONE)
		reason = change_reason_text(outcome->reason);
	json_begin_object(json, NULL);
	json_string(json, "schema", "tcpkeep.set/1");
	json_string(json, "result",
		    job->args->dry_run && outcome->result == CHANGE_DONE
			    ? "would-change"
			    : change_result_name(outcome->result));
	json_string(json, "reason", reason);
	list_json_netns(&job->view, json);
	list_json_state(&job->view, json);
	list_json_local(&job->view, json);
	list_json_peer(&job->view, json);
	list_json_owner(&job->view, json);
	list_json_mptcp(&job->view, json);
	list_json_cookie(&job->view, json);
	json_settings(json, "before", &row->effective.settings);
	json_settings(json, "after", after);
	json_end_object(json);
}

void set_report_row(struct set_job *job, const struct snapshot_row *row,
		    const struct change_kind *kind, const struct change_outcome *outcome)
{
	struct tcpkeep_settings after;

	after_of(kind, outcome, &row->effective.settings, &after);
	list_view_take(&job->view, row, 0);
	if (job->json)
		write_json(job, row, &after, outcome);
	else
		write_cells(job, row, &after, outcome);
}

void set_report_item(struct set_job *job, const struct change_outcome *outcome)
{
	const struct set_shown *shown = &job->shown[outcome->item];
	const struct snapshot_row row = {
		.socket = shown->socket,
		.netns = &job->namespaces[shown->netns],
		.owners = &shown->owner,
		.n_owners = shown->n_owners,
		.effective = shown->effective,
	};

	set_report_row(job, &row, &job->set.kinds[job->set.items[outcome->item].kind], outcome);
}

/* --------------------------------------------------------------------------------------- preview
 */

/* Where keepalive is off no value rules, and whose it was matters to nobody but who looks closely.
 */
static void print_lost(const struct set_job *job)
{
	bool closely = job->args->dry_run || job->args->verbose;
	size_t lost = closely ? job->lost : job->lost_on;
	char n[PUT_NUMBER_MAX * 2];

	if (lost == 0 || job->undo)
		return;
	*put_grouped(n, lost) = '\0';
	say_error("%s: note: %s %s the sysctl; after --undo %s its values as %s own", job->who, n,
		  lost == 1 ? "socket follows" : "sockets follow",
		  lost == 1 ? "it has" : "they have", lost == 1 ? "its" : "their");
}

/* "16", "14 to 16" */
static void put_range(char *buf, size_t size, int low, int high)
{
	if (low == high)
		snprintf(buf, size, "%d", high);
	else
		snprintf(buf, size, "%d to %d", low, high);
}

/* What makes the machine crowded, whatever the change does. */
static void print_crowd(const struct set_job *job)
{
	char n[PUT_NUMBER_MAX * 2];

	if (!job->crowded || job->refused)
		return;
	*put_grouped(n, job->standing->sockets) = '\0';
	say_warning("%s: %s sockets probe already, so often that their probes may overflow this "
		    "machine's own queue; the change adds next to nothing to that",
		    job->who, n);
}

static void put_beside(const struct set_job *job, char text[PUT_NUMBER_MAX * 2 + 32])
{
	char *at = put_grouped(put_text(text, " (beside "), job->load.standing->sockets);

	*put_text(at, " that do already)") = '\0';
}

void set_report_preview(const struct set_job *job)
{
	char n[PUT_NUMBER_MAX * 2], peak[PUT_NUMBER_MAX * 2], takes[SPAN_TEXT_MAX];
	char spread[160] = "", beside[PUT_NUMBER_MAX * 2 + 32] = "", time[32], intvl[32];
	struct tcpkeep_settings low, high;

	print_lost(job);
	print_crowd(job);
	if (job->load.sockets == 0 ||
	    (!job->args->verbose && job->safe && job->forecast.takes_ms < PREVIEW_FROM_MS))
		return;
	*put_grouped(n, job->load.sockets) = '\0';
	*put_grouped(peak, job->forecast.peak_per_s) = '\0';
	span_format(job->forecast.takes_ms * 1000, 1, takes);
	if (storm_range(&job->pace, &job->load.settings, &low, &high)) {
		put_range(time, sizeof(time), low.time_s, high.time_s);
		put_range(intvl, sizeof(intvl), low.intvl_s, high.intvl_s);
		snprintf(spread, sizeof(spread), "; each gets a time of %s and an intvl of %s",
			 time, intvl);
	}
	if (job->load.standing)
		put_beside(job, beside);
	say_error("%s: %s %s will probe%s: changed %s%s, at most %s %s in a second%s", job->who, n,
		  job->load.sockets == 1 ? "socket" : "sockets", beside,
		  job->forecast.takes_ms > 0 ? "over " : "at once",
		  job->forecast.takes_ms > 0 ? takes : "", peak,
		  job->forecast.peak_per_s == 1 ? "probe" : "probes", spread);
	if (!job->backlog_known && (job->args->verbose || !job->safe))
		say_error("%s: note: net.core.netdev_max_backlog cannot be read in this network "
			  "namespace: the forecast takes it for %u, the kernel's default",
			  job->who, job->load.backlog);
}

/* --------------------------------------------------------------------------------------- summary
 */

static char *put_count(char *at, const char *text, size_t n, const char *word, bool always)
{
	if (n == 0 && !always)
		return at;
	if (at != text)
		at = put_text(at, ", ");
	at = put_grouped(at, n);
	return put_text(put_char(at, ' '), word);
}

static size_t not_reached(const struct set_job *job)
{
	return job->interrupted || job->failed ? job->set.n - job->told : 0;
}

/* A change that has not come to its end: how to go on. */
static void print_ways(const struct set_job *job)
{
	if (not_reached(job) == 0)
		return;
	if (job->journal_id > 0 && job->counts[CHANGE_DONE] > 0)
		say_error("%s: %s: the same command again goes on, 'tcpkeep set --undo %llu' goes "
			  "back",
			  job->who, job->interrupted ? "ended by a signal" : "not all was reached",
			  (unsigned long long)job->journal_id);
	else
		say_error("%s: %s: the same command again goes on", job->who,
			  job->interrupted ? "ended by a signal" : "not all was reached");
}

void set_report_counts(const struct set_job *job, char text[SET_COUNTS_MAX])
{
	const size_t *counts = job->counts;
	bool dry = job->args->dry_run;
	char *at = text;

	at = put_count(at, text, counts[CHANGE_DONE], dry ? "to change" : "changed", true);
	at = put_count(at, text, counts[CHANGE_HELD],
		       job->undo ? "as before already" : "held already", true);
	at = put_count(at, text, counts[CHANGE_SKIPPED], "skipped", false);
	at = put_count(at, text, counts[CHANGE_VANISHED], "vanished", false);
	at = put_count(at, text, counts[CHANGE_REFUSED], "refused", false);
	at = put_count(at, text, counts[CHANGE_DENIED], "denied", false);
	at = put_count(at, text, not_reached(job), "not reached", false);
	if (job->journal_id > 0 && counts[CHANGE_DONE] > 0) {
		at = put_text(at, " (tcpkeep set --undo ");
		at = put_char(put_uint(at, job->journal_id), ')');
	}
	*at = '\0';
}

static void json_forecast(const struct set_job *job, struct json *json)
{
	struct tcpkeep_settings low, high;

	json_begin_object(json, "forecast");
	json_uint(json, "sockets", job->load.sockets);
	json_uint(json, "beside", job->load.standing ? job->load.standing->sockets : 0);
	json_bool(json, "safe", job->safe);
	json_uint(json, "backlog", job->load.backlog);
	json_bool(json, "backlog_known", job->backlog_known);
	json_seconds(json, "takes_s", job->forecast.takes_ms * 1000);
	json_uint(json, "per_s", job->pace.per_s);
	storm_range(&job->pace, &job->load.settings, &low, &high);
	json_int(json, "time_lowest_s", low.time_s);
	json_int(json, "time_highest_s", high.time_s);
	json_int(json, "intvl_lowest_s", low.intvl_s);
	json_int(json, "intvl_highest_s", high.intvl_s);
	json_uint(json, "peak_per_tick", job->forecast.peak_per_tick);
	json_uint(json, "peak_per_s", job->forecast.peak_per_s);
	json_uint(json, "average_per_s", job->forecast.average_per_s);
	json_uint(json, "lost", job->forecast.lost);
	json_uint(json, "deaths", job->forecast.deaths);
	json_end_object(json);
}

void set_report_json(const struct set_job *job, struct json *json)
{
	json_bool(json, "dry_run", job->args->dry_run);
	json_uint(json, "matched", job->matched);
	for (size_t i = 0; i < SET_RESULTS; i++)
		json_uint(json, change_result_name((enum change_result)i), job->counts[i]);
	json_uint(json, "not_reached", not_reached(job));
	json_uint(json, "from_sysctl", job->lost);
	if (job->journal_id > 0 && job->counts[CHANGE_DONE] > 0)
		json_uint(json, "undo", job->journal_id);
	else
		json_null(json, "undo");
	if (job->judged)
		json_forecast(job, json);
	else
		json_null(json, "forecast");
}

void set_report_summary(struct set_job *job)
{
	struct json *json = job->json;
	char text[SET_COUNTS_MAX];

	rows_close(job->rows);
	job->rows = NULL;
	print_ways(job);
	if (!json) {
		print_reasons(job);
		set_report_counts(job, text);
		puts(text);
		return;
	}
	json_begin_object(json, NULL);
	json_string(json, "schema", "tcpkeep.set-summary/1");
	set_report_json(job, json);
	set_refusal_json(job, json);
	json_end_object(json);
}

void set_report_missing(const struct set_job *job)
{
	const struct snapshot_report *report = &job->report;
	size_t denied = job->counts[CHANGE_DENIED];
	char line[512];
	int n = 0;

	if (denied == 0 && report->netns_hidden == 0)
		return;
	n = snprintf(line, sizeof(line), "%s%s", report->missing, *report->missing ? "; " : "");
	if (denied > 0)
		n += snprintf(line + n, sizeof(line) - (size_t)n, "%zu %s out of reach", denied,
			      denied == 1 ? "socket is" : "sockets are");
	if (report->netns_hidden > 0)
		n += snprintf(line + n, sizeof(line) - (size_t)n,
			      "%s%zu network %s may not be entered", denied ? ", " : "",
			      report->netns_hidden,
			      report->netns_hidden == 1 ? "namespace" : "namespaces");
	say_warning("%s: %s%s", job->who, line, geteuid() == 0 ? "" : "; root reaches them");
}
