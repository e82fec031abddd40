/* SPDX-License-Identifier: MIT */
#include "list-summary.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/macro.h"
#include "base/put.h"
#include "list-words.h"
#include "output/rows.h"

/* ----------------------------------------------------------------------------------- totals */

void list_totals_add(struct list_totals *totals, const struct list_view *view)
{
	const struct snapshot_row *row = view->row;
	const struct tcpkeep_settings *s = &row->effective.settings;

	totals->sockets++;
	if (row->socket.state == TCP_LISTEN) {
		totals->listening++;
		return;
	}
	if (!list_is_connected(&row->socket)) {
		totals->other++;
		return;
	}
	if (!(s->fields & TCPKEEP_ON)) {
		totals->unknown++;
		return;
	}
	if (!s->on) {
		totals->off++;
		return;
	}
	totals->on++;
	if (view->detection)
		totals->worst_us = MAX(totals->worst_us, view->detection->idle_us);
}

/* At the latest, rounded up. */
static char *put_worst(char *at, uint64_t us)
{
	if (us == TCPKEEP_NEVER)
		return put_text(at, "never");
	return put_duration(at, (us + 999999) / 1000000);
}

void list_totals_print(const struct list_totals *t)
{
	const struct {
		size_t n;
		const char *what;
	} parts[] = {
		{t->on, " on"},           {t->off, " off (never notice a dead peer)"},
		{t->unknown, " unknown"}, {t->listening, " listening"},
		{t->other, " other"},
	};
	char line[512], *at = put_grouped(line, t->sockets);
	const char *separator = ": ";

	at = put_text(at, t->sockets == 1 ? " socket" : " sockets");
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (parts[i].n == 0)
			continue;
		at = put_grouped(put_text(at, separator), parts[i].n);
		at = put_text(at, parts[i].what);
		separator = ", ";
	}
	if (t->worst_us)
		at = put_worst(put_text(at, "; worst detection time "), t->worst_us);
	at = put_char(at, '\n');
	fwrite(line, 1, (size_t)(at - line), stdout);
}

/* ----------------------------------------------------------------------------------- groups */

static const struct {
	const char *word;
	const char *heading;
	unsigned needs;
} groups[] = {
	[LIST_BY_PROGRAM] = {"program", "PROGRAM", NEEDS_OWNERS},
	[LIST_BY_UNIT] = {"unit", "UNIT", NEEDS_CGROUP},
	[LIST_BY_USER] = {"user", "USER", 0},
	[LIST_BY_NETNS] = {"netns", "NETNS", 0},
};

int list_group_parse(const char *word, enum list_group *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (strcmp(groups[i].word, word) == 0) {
			*ret = (enum list_group)i;
			return 0;
		}
	return -EINVAL;
}

unsigned list_group_needs(enum list_group by)
{
	return groups[by].needs | LIST_TOTALS_NEEDS;
}

/* A group's text begins with what kind of name it is: any byte may stand in a real one. */
#define NAME_KNOWN   '='
#define NAME_NONE    "-"
#define NAME_UNKNOWN "?"

#define NAME_MAX_LEN 4200 /* a cgroup path and its kind */

struct group {
	struct list_totals totals;
	size_t last_row; /* that was counted in it */
};

struct list_summary {
	enum list_group by;
	struct names *names;
	struct group *groups; /* by the number of the name */
	size_t room;
	size_t rows; /* so far */
};

int list_summary_new(enum list_group by, struct list_summary **ret)
{
	struct list_summary *summary = calloc(1, sizeof(*summary));

	if (!summary || names_new(&summary->names) < 0) {
		free(summary);
		return -ENOMEM;
	}
	summary->by = by;
	*ret = summary;
	return 0;
}

void list_summary_free(struct list_summary **summary)
{
	if (!*summary)
		return;
	names_free(&(*summary)->names);
	free((*summary)->groups);
	free(*summary);
	*summary = NULL;
}

/* In the group of that name; once, though several programs of a row may have the one name. */
static int count(struct list_summary *summary, const char *name, struct list_view *view)
{
	struct group *group;
	size_t number;
	int r;

	r = names_find(summary->names, name, &number);
	if (r < 0)
		return r;
	if (number >= summary->room) {
		size_t room = summary->room ? summary->room * 2 : 64;
		struct group *grown = reallocarray(summary->groups, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		memset(grown + summary->room, 0, (room - summary->room) * sizeof(*grown));
		summary->groups = grown;
		summary->room = room;
	}
	group = &summary->groups[number];
	if (group->last_row == summary->rows)
		return 0;
	group->last_row = summary->rows;
	list_totals_add(&group->totals, view);
	return 0;
}

static int count_named(struct list_summary *summary, const char *text, size_t len,
		       struct list_view *view)
{
	char name[NAME_MAX_LEN] = {NAME_KNOWN};

	len = MIN(len, sizeof(name) - 2);
	memcpy(name + 1, text, len);
	name[len + 1] = '\0';
	return count(summary, name, view);
}

/* Each program once, however many processes and descriptors of it hold the socket. */
static int count_programs(struct list_summary *summary, struct list_view *view)
{
	const struct snapshot_row *row = view->row;
	int r = 0;

	if (row->n_owners == 0)
		return count(summary, row->socket.inode ? NAME_UNKNOWN : NAME_NONE, view);
	for (size_t i = 0; r == 0 && i < row->n_owners; i++) {
		const char *program = row->owners[i].program;

		/* One process after the other: those of a pool have one name. */
		if (i > 0 && strncmp(program, row->owners[i - 1].program,
				     sizeof(row->owners[i].program)) == 0)
			continue;
		r = count_named(summary, program, strnlen(program, sizeof(row->owners[i].program)),
				view);
	}
	return r;
}

static int count_unit(struct list_summary *summary, struct list_view *view)
{
	const char *unit;
	size_t len;

	if (!view->row->cgroup)
		return count(summary, NAME_UNKNOWN, view);
	unit = cgroup_unit(view->row->cgroup, &len);
	return unit ? count_named(summary, unit, len, view) : count(summary, NAME_NONE, view);
}

static int count_netns(struct list_summary *summary, struct list_view *view)
{
	char text[LIST_CELL_MAX];
	const char *name = view->row->netns->name;

	if (name)
		return count_named(summary, name, strlen(name), view);
	return count_named(summary, text, (size_t)(list_text_netns(view, text) - text), view);
}

int list_summary_add(struct list_summary *summary, struct list_view *view)
{
	const char *user;

	summary->rows++;
	switch (summary->by) {
	case LIST_BY_PROGRAM:
		return count_programs(summary, view);
	case LIST_BY_UNIT:
		return count_unit(summary, view);
	case LIST_BY_USER:
		if (!list_has_user(&view->row->socket))
			return count(summary, NAME_NONE, view);
		user = users_name(view->users, view->row->socket.uid);
		return count_named(summary, user, strlen(user), view);
	case LIST_BY_NETNS:
		return count_netns(summary, view);
	}
	return -EINVAL;
}

/* ----------------------------------------------------------------------------------- output */

static int compare(const void *a, const void *b, void *userdata)
{
	const struct list_summary *summary = userdata;
	size_t i = *(const size_t *)a, j = *(const size_t *)b;
	const struct list_totals *x = &summary->groups[i].totals, *y = &summary->groups[j].totals;

	if (x->off != y->off)
		return x->off > y->off ? -1 : 1;
	if (x->sockets != y->sockets)
		return x->sockets > y->sockets ? -1 : 1;
	return strcmp(names_text(summary->names, i), names_text(summary->names, j));
}

/* The numbers of the groups in their order; the caller frees. NULL: out of memory. */
static size_t *ordered(struct list_summary *summary, size_t n)
{
	size_t *order = calloc(n + 1, sizeof(*order));

	if (!order)
		return NULL;
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	if (n > 0)
		qsort_r(order, n, sizeof(*order), compare, summary);
	return order;
}

static void number_cell(struct rows *rows, size_t value, enum colour paint)
{
	char text[PUT_NUMBER_MAX];
	char *end = put_uint(text, value);

	rows_cell(rows, text, (size_t)(end - text), paint && value ? colour(paint) : NULL);
}

static void name_cell(struct rows *rows, const char *name)
{
	char text[1024];

	if (*name != NAME_KNOWN) {
		rows_cell(rows, name, strlen(name), NULL);
		return;
	}
	escape_text(name + 1, strlen(name + 1), text, sizeof(text));
	rows_cell(rows, text, strlen(text), NULL);
}

static void worst_cell(struct rows *rows, const struct list_totals *totals, bool csv)
{
	char text[PUT_DURATION_MAX], *end = text;

	if (totals->worst_us == 0)
		end = csv ? text : put_char(text, '-');
	else if (csv && totals->worst_us != TCPKEEP_NEVER)
		end = put_seconds(text, (totals->worst_us + 999) / 1000);
	else
		end = put_worst(text, totals->worst_us);
	rows_cell(rows, text, (size_t)(end - text), NULL);
}

static void write_group(struct rows *rows, const char *name, const struct list_totals *t, bool csv)
{
	name_cell(rows, name);
	number_cell(rows, t->sockets, COLOUR_NONE);
	number_cell(rows, t->on, COLOUR_NONE);
	number_cell(rows, t->off, COLOUR_BAD);
	number_cell(rows, t->unknown, COLOUR_NONE);
	number_cell(rows, t->listening, COLOUR_NONE);
	number_cell(rows, t->other, COLOUR_NONE);
	worst_cell(rows, t, csv);
}

int list_summary_print(struct list_summary *summary, const char *separator)
{
	const bool csv = separator;
	const struct rows_column columns[] = {
		{csv ? groups[summary->by].word : groups[summary->by].heading, false},
		{csv ? "sockets" : "SOCKETS", true},
		{csv ? "on" : "ON", true},
		{csv ? "off" : "OFF", true},
		{csv ? "unknown" : "UNKNOWN", true},
		{csv ? "listening" : "LISTENING", true},
		{csv ? "other" : "OTHER", true},
		{csv ? "worst-detection" : "WORST DETECTION", true},
	};
	size_t n = names_count(summary->names);
	size_t *order = ordered(summary, n);
	struct rows *rows;
	int r;

	if (!order)
		return -ENOMEM;
	r = rows_open(stdout, columns, ARRAY_SIZE(columns), separator, &rows);
	if (r == 0) {
		for (size_t i = 0; i < n; i++)
			write_group(rows, names_text(summary->names, order[i]),
				    &summary->groups[order[i]].totals, csv);
		rows_close(rows);
	}
	free(order);
	return r;
}

int list_summary_json(struct list_summary *summary)
{
	size_t n = names_count(summary->names);
	size_t *order = ordered(summary, n);
	struct json json;

	if (!order)
		return -ENOMEM;
	json_init(&json, stdout);
	for (size_t i = 0; i < n; i++) {
		const struct list_totals *t = &summary->groups[order[i]].totals;
		const char *name = names_text(summary->names, order[i]);

		json_begin_object(&json, NULL);
		json_string(&json, "schema", "tcpkeep.list-summary/1");
		json_string(&json, "by", groups[summary->by].word);
		json_string(&json, "name", *name == NAME_KNOWN ? name + 1 : NULL);
		json_bool(&json, "hidden", strcmp(name, NAME_UNKNOWN) == 0);
		json_uint(&json, "sockets", t->sockets);
		json_uint(&json, "on", t->on);
		json_uint(&json, "off", t->off);
		json_uint(&json, "unknown", t->unknown);
		json_uint(&json, "listening", t->listening);
		json_uint(&json, "other", t->other);
		json_seconds(&json, "worst_detection_s", t->worst_us ? t->worst_us : TCPKEEP_NEVER);
		json_end_object(&json);
	}
	free(order);
	return 0;
}
