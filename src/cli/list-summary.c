/* SPDX-License-Identifier: MIT */
#include "list-summary.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/put.h"
#include "list-words.h"
#include "output/rows.h"
#include "output/terminal.h"
#include "output/wrap.h"

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
		totals->peer_closed += row->socket.state == TCP_CLOSE_WAIT;
		return;
	}
	totals->on++;
	if (view->detection)
		totals->worst_us = MAX(totals->worst_us, view->detection->idle_us);
	else
		totals->no_detection++;
}

/* All that are on are known, or one that is known is the worst there can be. */
static bool worst_is_known(const struct list_totals *t)
{
	return t->no_detection == 0 || t->worst_us == TCPKEEP_NEVER;
}

/* "9 off (never notice a dead peer)" */
static char *put_off(char *at, const struct list_totals *t)
{
	const size_t never = t->off - t->peer_closed;

	at = put_text(put_grouped(at, t->off), " off (");
	if (never == 0)
		return put_text(at, "the peer has closed)");
	if (t->peer_closed > 0)
		at = put_char(put_grouped(at, never), ' ');
	at = put_text(at, never == 1 ? "never notices a dead peer" : "never notice a dead peer");
	if (t->peer_closed > 0)
		at = put_text(put_grouped(put_text(at, ", the peer of "), t->peer_closed),
			      " has closed");
	return put_char(at, ')');
}

static char *put_parts(char *at, const struct list_totals *t)
{
	const struct {
		size_t n;
		const char *what;
	} parts[] = {
		{t->on, " on"},           {t->off, NULL},
		{t->unknown, " unknown"}, {t->listening, " listening"},
		{t->other, " other"},
	};
	const char *separator = ": ";

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (parts[i].n == 0)
			continue;
		at = put_text(at, separator);
		at = parts[i].what ? put_text(put_grouped(at, parts[i].n), parts[i].what)
				   : put_off(at, t);
		separator = ", ";
	}
	return at;
}

#define TOTALS_MAX    512
#define TOTALS_INDENT 2

void list_totals_print(const struct list_totals *t, const char *about)
{
	char line[TOTALS_MAX], lines[WRAP_MAX(TOTALS_MAX, TOTALS_INDENT)];
	char *at = put_grouped(line, t->sockets);
	size_t n;

	at = put_text(at, t->sockets == 1 ? " socket" : " sockets");
	if (t->sockets == 0)
		at = put_text(at, about);
	at = put_parts(at, t);
	if (t->on > 0) {
		at = put_text(at, "; worst detection time ");
		if (t->worst_us == 0)
			at = put_text(at, "unknown");
		else if (!worst_is_known(t))
			at = put_text(at, "at least ");
		if (t->worst_us)
			at = list_put_latest(at, t->worst_us, false);
		if (t->worst_us && !worst_is_known(t))
			at = put_text(put_grouped(put_text(at, " ("), t->no_detection),
				      " unknown)");
	}
	n = wrap_text(line, (size_t)(at - line), terminal_width(STDOUT_FILENO), TOTALS_INDENT,
		      lines);
	lines[n++] = '\n';
	fwrite(lines, 1, n, stdout);
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

/* The number of the group of that name, made when it is new. */
static int find(struct list_summary *summary, const char *name, size_t *ret)
{
	int r;

	r = names_find(summary->names, name, ret);
	if (r < 0)
		return r;
	if (*ret >= summary->room) {
		size_t room = summary->room ? summary->room * 2 : 64;
		struct group *grown = reallocarray(summary->groups, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		memset(grown + summary->room, 0, (room - summary->room) * sizeof(*grown));
		summary->groups = grown;
		summary->room = room;
	}
	return 0;
}

static int find_named(struct list_summary *summary, const char *text, size_t len, size_t *ret)
{
	char name[NAME_MAX_LEN] = {NAME_KNOWN};

	len = MIN(len, sizeof(name) - 2);
	memcpy(name + 1, text, len);
	name[len + 1] = '\0';
	return find(summary, name, ret);
}

/* In a group; once, though several programs of a row may have the one name. */
static int count(struct list_summary *summary, size_t number, struct list_view *view)
{
	struct group *group = &summary->groups[number];

	if (group->last_row == summary->rows)
		return 0;
	group->last_row = summary->rows;
	list_totals_add(&group->totals, view);
	return 0;
}

/* NAME_NONE or NAME_UNKNOWN. */
static int count_nameless(struct list_summary *summary, const char *kind, struct list_view *view)
{
	size_t number;
	int r = find(summary, kind, &number);

	return r < 0 ? r : count(summary, number, view);
}

static int count_named(struct list_summary *summary, const char *text, size_t len,
		       struct list_view *view)
{
	size_t number;
	int r = find_named(summary, text, len, &number);

	return r < 0 ? r : count(summary, number, view);
}

/* Each program once, however many processes and descriptors of it hold the socket. */
static int count_programs(struct list_summary *summary, struct list_view *view)
{
	const struct snapshot_row *row = view->row;
	int r = 0;

	if (row->n_owners == 0)
		return count_nameless(summary, row->socket.inode ? NAME_UNKNOWN : NAME_NONE, view);
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
		return count_nameless(summary, NAME_UNKNOWN, view);
	unit = cgroup_unit(view->row->cgroup, &len);
	return unit ? count_named(summary, unit, len, view)
		    : count_nameless(summary, NAME_NONE, view);
}

/* The number of a namespace's group. */
static int find_netns(struct list_summary *summary, const struct snapshot_netns *netns, size_t *ret)
{
	char text[PUT_NUMBER_MAX + 8], *end;

	if (netns->name)
		return find_named(summary, netns->name, strlen(netns->name), ret);
	end = put_char(put_uint(put_text(text, "net:["), netns->inode), ']');
	return find_named(summary, text, (size_t)(end - text), ret);
}

static int count_netns(struct list_summary *summary, struct list_view *view)
{
	size_t number;
	int r = find_netns(summary, view->row->netns, &number);

	return r < 0 ? r : count(summary, number, view);
}

int list_summary_add_netns(struct list_summary *summary, const struct snapshot_netns *netns)
{
	size_t number;

	return find_netns(summary, netns, &number);
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
			return count_nameless(summary, NAME_NONE, view);
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

static void name_cell(struct rows *rows, const char *name, bool csv)
{
	char text[1024], *end;

	if (*name != NAME_KNOWN) {
		rows_cell(rows, name, strlen(name), NULL);
		return;
	}
	end = list_put_name(text, name + 1, strlen(name + 1), sizeof(text), csv);
	rows_cell(rows, text, (size_t)(end - text), NULL);
}

/* A CSV has either the worst or nothing, and a column that says why. */
static void worst_cell(struct rows *rows, const struct list_totals *t, bool csv)
{
	char text[PUT_SPAN_MAX + 16], *end = text;

	if (csv) {
		if (t->worst_us && worst_is_known(t))
			end = list_put_latest(text, t->worst_us, true);
	} else if (t->worst_us) {
		if (!worst_is_known(t))
			end = put_text(end, "at least ");
		end = list_put_latest(end, t->worst_us, false);
	} else {
		end = put_char(end, t->no_detection ? '?' : '-');
	}
	rows_cell(rows, text, (size_t)(end - text), NULL);
}

static void write_group(struct rows *rows, const char *name, const struct list_totals *t, bool csv)
{
	name_cell(rows, name, csv);
	number_cell(rows, t->sockets, COLOUR_NONE);
	number_cell(rows, t->on, COLOUR_NONE);
	number_cell(rows, t->off, COLOUR_BAD);
	number_cell(rows, t->unknown, COLOUR_NONE);
	number_cell(rows, t->listening, COLOUR_NONE);
	number_cell(rows, t->other, COLOUR_NONE);
	worst_cell(rows, t, csv);
	if (!csv)
		return;
	number_cell(rows, t->no_detection, COLOUR_NONE);
	number_cell(rows, t->peer_closed, COLOUR_NONE);
}

#define NAME_LEAST 16 /* net:[4026531840] */

int list_summary_print(struct list_summary *summary, const char *separator)
{
	const bool csv = separator;
	/* A name is all that may be longer than a terminal has room for. */
	const struct rows_column columns[] = {
		{csv ? groups[summary->by].word : groups[summary->by].heading, .turn = 1,
		 .least = NAME_LEAST},
		{csv ? "sockets" : "SOCKETS", true},
		{csv ? "on" : "ON", true},
		{csv ? "off" : "OFF", true},
		{csv ? "unknown" : "UNKNOWN", true},
		{csv ? "listening" : "LISTENING", true},
		{csv ? "other" : "OTHER", true},
		{csv ? "worst-detection" : "WORST DETECTION", true},
		{"detection-unknown", true}, /* from here on a CSV's alone */
		{"peer-closed", true},
	};
	size_t n = names_count(summary->names);
	size_t *order = ordered(summary, n);
	struct rows *rows;
	int r;

	if (!order)
		return -ENOMEM;
	r = rows_open(stdout, columns, ARRAY_SIZE(columns) - (csv ? 0 : 2), separator, &rows);
	if (r == 0) {
		r = rows_fit(rows, terminal_width(STDOUT_FILENO));
		for (size_t i = 0; r == 0 && i < n; i++)
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
		json_seconds(&json, "worst_detection_s",
			     t->worst_us && worst_is_known(t) ? t->worst_us : TCPKEEP_NEVER);
		json_seconds(&json, "worst_detection_at_least_s",
			     t->worst_us ? t->worst_us : TCPKEEP_NEVER);
		json_uint(&json, "detection_unknown", t->no_detection);
		json_uint(&json, "peer_closed", t->peer_closed);
		json_end_object(&json);
	}
	free(order);
	return 0;
}
