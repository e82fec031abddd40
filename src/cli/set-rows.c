/* SPDX-License-Identifier: MIT */
/* The rows of a change: each socket with what it had and what it got, in a table or as objects. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/macro.h"
#include "base/put.h"
#include "list-fit.h"
#include "output/terminal.h"
#include "set-job.h"

/* -------------------------------------------------------------------------------- keeping */

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

/* ----------------------------------------------------------------------------------- rows */

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

/* "off (7200/75/9)": what it would have is told where there is room. */
static const char off[] = "off", hidden[] = "off (";

static size_t shorten_values(char *text, size_t len, unsigned width)
{
	const size_t n = strlen(hidden);

	(void)width;
	return len > n && memcmp(text, hidden, n) == 0 ? strlen(off) : len;
}

/* Where a row has no room for the reason it is told once, behind all of them. An errno's is not. */
static size_t shorten_result(char *text, size_t len, unsigned width)
{
	const char *colon = memchr(text, ':', len);
	size_t n = colon ? len - (size_t)(colon - text) : 0;

	(void)width;
	for (size_t i = CHANGE_REASON_NONE + 1; n > 2 && i < SET_REASONS; i++) {
		const char *reason = change_reason_text((enum change_reason)i);

		if (strlen(reason) == n - 2 && memcmp(colon + 2, reason, n - 2) == 0)
			return (size_t)(colon - text);
	}
	return len;
}

/* What gives way first; the others as in a list. */
static struct rows_column columns[COLUMNS] = {
	[COLUMN_NETNS] = {"NETNS", .widest = 8},
	[COLUMN_LOCAL] = {"LOCAL", .widest = 21},
	[COLUMN_PEER] = {"PEER", .widest = 21},
	[COLUMN_OWNER] = {"OWNER", .widest = 16},
	[COLUMN_BEFORE] = {"BEFORE", .widest = 16, .turn = 2, .least = 4,
			   .shorten = shorten_values},
	[COLUMN_AFTER] = {"AFTER", .widest = 16, .turn = 2, .least = 4, .shorten = shorten_values},
	[COLUMN_RESULT] = {"RESULT", .turn = 1, .least = 6, .shorten = shorten_result},
};

static size_t first_column(const struct set_job *job)
{
	return job->all_netns ? COLUMN_NETNS : COLUMN_LOCAL;
}

int set_report_open(struct set_job *job)
{
	size_t first = first_column(job);
	int r;

	if (!job->wants_rows)
		return 0;
	r = users_new(&job->view.users);
	if (r < 0 || job->json)
		return r;
	list_fit("netns", &columns[COLUMN_NETNS]);
	list_fit("local", &columns[COLUMN_LOCAL]);
	columns[COLUMN_LOCAL].turn = 3; /* whose end it is tells the peer beside it */
	list_fit("peer", &columns[COLUMN_PEER]);
	list_fit("owner", &columns[COLUMN_OWNER]);
	columns[COLUMN_OWNER].gives_way = list_fit_gives_way("owner");
	r = rows_open(stdout, columns + first, COLUMNS - first, NULL, &job->rows);
	return r < 0 ? r : rows_fit(job->rows, terminal_width(STDOUT_FILENO));
}

/* As the list shows it; of what is off the values as well, which it will have when it is on. */
static char *put_settings(struct set_job *job, const struct snapshot_row *row,
			  const struct tcpkeep_settings *settings, char *at)
{
	struct snapshot_row shown = *row;
	bool hides = settings->fields & TCPKEEP_ON && !settings->on &&
		     (settings->fields & TCPKEEP_THREE) == TCPKEEP_THREE;

	shown.effective.settings = *settings;
	job->view.row = &shown;
	if (hides) {
		at = put_text(at, hidden);
		shown.effective.settings.on = true;
	}
	at = list_text_keepalive(&job->view, at);
	job->view.row = row;
	return hides ? put_char(at, ')') : at;
}

static char *put_result(struct set_job *job, const struct change_outcome *outcome, char *at)
{
	if (job->args->dry_run && outcome->result == CHANGE_DONE)
		return put_text(at, job->refused ? "only by --force" : "to change");
	at = put_text(at, change_result_name(outcome->result));
	if (outcome->reason == CHANGE_REASON_NONE)
		return at;
	at = put_text(at, ": ");
	if (outcome->reason == CHANGE_REASON_ERROR)
		return put_text(at, strerror(-outcome->error));
	job->reasons[outcome->reason]++;
	return put_text(at, change_reason_text(outcome->reason));
}

void set_report_end_rows(struct set_job *job)
{
	bool shortened = job->rows && rows_shortened(job->rows, COLUMN_RESULT - first_column(job));

	rows_close(job->rows);
	job->rows = NULL;
	if (!shortened)
		return;
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
			end = list_text_local(&job->view, cell);
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
