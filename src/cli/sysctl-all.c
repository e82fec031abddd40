/* SPDX-License-Identifier: MIT */
/* tcpkeep sysctl --all-netns: a row for each network namespace. */
#include <errno.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/macro.h"
#include "cli.h"
#include "output/colour.h"
#include "output/span.h"
#include "output/terminal.h"
#include "process.h"
#include "sysctl-row.h"

/* A table is no wider, also where the terminal is. */
#define WIDTH_MAX      100
#define PROCESSES_MIN  16
#define PROCESSES_SIZE 256
#define COLUMN_GAP     1
#define NETNS_TEXT_MAX 40
#define VALUE_TEXT_MAX 32

/* A row that outlives the walk: its texts. */
struct line {
	char netns[NETNS_TEXT_MAX];
	char values[SYSCTL_VALUES][VALUE_TEXT_MAX];
	bool deviates[SYSCTL_VALUES];
	char detection[SPAN_TEXT_MAX];
	const char *outcome;
	bool failed;
	int *pids;
	size_t n_pids;
};

struct collection {
	const struct sysctl_args *args;
	const struct tcpkeep_settings *wanted;
	struct json *json; /* NULL: as text */
	struct line *lines;
	size_t n_lines;
	size_t done, failed;
	int failure; /* the first */
};

static void collection_clear(struct collection *c)
{
	for (size_t i = 0; i < c->n_lines; i++)
		free(c->lines[i].pids);
	free(c->lines);
}

/* "net:[4026531840]", or its name. */
static void format_netns(const struct sysctl_row *row, char *buf, size_t size)
{
	char name[28];

	if (row->name)
		snprintf(buf, size, "%s%s",
			 escape_text(row->name, strlen(row->name), name, sizeof(name)),
			 row->own ? " (own)" : "");
	else
		snprintf(buf, size, "net:[%llu]%s", (unsigned long long)row->inode,
			 row->own ? " (own)" : "");
}

static const char *outcome(const struct sysctl_row *row)
{
	if (row->result < 0)
		return "failed";
	if (!sysctl_row_changes(row))
		return "unchanged";
	return row->dry_run ? "would be set" : "set";
}

static void format_line(const struct sysctl_row *row, struct line *line)
{
	format_netns(row, line->netns, sizeof(line->netns));
	line->outcome = outcome(row);
	line->failed = row->result < 0;
	for (size_t i = 0; i < SYSCTL_VALUES; i++) {
		int before = sysctl_value_in(&sysctl_values[i], &row->before);
		int after = sysctl_value_in(&sysctl_values[i], &row->after);

		if (row->result < 0)
			snprintf(line->values[i], VALUE_TEXT_MAX, "?");
		else if (before == after)
			snprintf(line->values[i], VALUE_TEXT_MAX, "%d", after);
		else
			snprintf(line->values[i], VALUE_TEXT_MAX, "%d -> %d", before, after);
		line->deviates[i] = row->result == 0 && after != sysctl_default(&sysctl_values[i]);
	}
	if (row->result < 0)
		snprintf(line->detection, sizeof(line->detection), "?");
	else
		span_format(row->detection.idle_us, 1, line->detection);
}

static int keep_line(struct collection *c, const struct sysctl_row *row)
{
	struct line *grown = reallocarray(c->lines, c->n_lines + 1, sizeof(*grown));
	struct line *line;

	if (!grown)
		return -ENOMEM;
	c->lines = grown;
	line = &c->lines[c->n_lines];
	*line = (struct line){.n_pids = row->n_pids};
	line->pids = calloc(row->n_pids + 1, sizeof(*line->pids));
	if (!line->pids)
		return -ENOMEM;
	c->n_lines++;
	if (row->n_pids > 0)
		memcpy(line->pids, row->pids, row->n_pids * sizeof(*row->pids));
	format_line(row, line);
	return 0;
}

static void warn_dangerous(const struct sysctl_row *row, const char *shown)
{
	struct tcpkeep_settings settings = sysctl_row_settings(row);
	uint32_t warnings = tcpkeep_settings_warnings(&settings);
	char text[256];

	for (uint32_t bit = 1; bit && bit <= warnings; bit <<= 1)
		if (warnings & bit && tcpkeep_warning_format((enum tcpkeep_warning)bit, &settings,
							     text, sizeof(text)) >= 0)
			say_warning("%s: %s", shown, text);
}

static int take(const struct tcpkeep_netns *netns, void *userdata)
{
	struct collection *c = userdata;
	struct sysctl_row row = {
		.netns = netns->own ? TCPKEEP_NETNS_OWN : netns->fd,
		.inode = netns->inode,
		.own = netns->own,
		.name = netns->name,
		.pids = netns->pids,
		.n_pids = netns->n_pids,
		.wanted = c->wanted,
		.dry_run = c->args->dry_run,
	};
	char shown[NETNS_TEXT_MAX];

	if (row.netns < 0 && !row.own) {
		row.result = -EACCES;
		snprintf(row.error.message, sizeof(row.error.message),
			 "may not be opened; run as root");
	} else {
		sysctl_row_fill(&row);
	}
	format_netns(&row, shown, sizeof(shown));
	if (row.result < 0) {
		say_error("sysctl: %s: %s", shown, row.error.message);
		c->failure = c->failure ? c->failure : row.result;
		c->failed++;
	} else {
		c->done++;
		/* What is being set is warned of once, by the caller. */
		if (!c->wanted->fields)
			warn_dangerous(&row, shown);
	}
	if (!c->json)
		return keep_line(c, &row);
	sysctl_row_json(c->json, &row);
	json_end_object(c->json);
	return 0;
}

/* ------------------------------------------------------------------------------------ text */

enum column {
	COLUMN_NETNS,
	COLUMN_TIME,
	COLUMN_INTVL,
	COLUMN_PROBES,
	COLUMN_DETECTION,
	COLUMN_RESULT, /* when setting */
	COLUMN_PROCESSES,
	N_COLUMNS,
};

static const struct {
	const char *heading;
	int flags;
} columns[N_COLUMNS] = {
	[COLUMN_NETNS] = {"NAMESPACE", 0},
	[COLUMN_TIME] = {"TIME", SCOLS_FL_RIGHT},
	[COLUMN_INTVL] = {"INTVL", SCOLS_FL_RIGHT},
	[COLUMN_PROBES] = {"PROBES", SCOLS_FL_RIGHT},
	[COLUMN_DETECTION] = {"DETECTION", SCOLS_FL_RIGHT},
	[COLUMN_RESULT] = {"RESULT", 0},
	[COLUMN_PROCESSES] = {"PROCESSES", SCOLS_FL_TRUNC},
};

static size_t table_width(void)
{
	unsigned width = terminal_width(STDOUT_FILENO);

	return width > 0 ? MIN((size_t)width, (size_t)WIDTH_MAX) : WIDTH_MAX;
}

static const char *text_of(const struct line *line, enum column column)
{
	switch (column) {
	case COLUMN_NETNS:
		return line->netns;
	case COLUMN_TIME:
	case COLUMN_INTVL:
	case COLUMN_PROBES:
		return line->values[column - COLUMN_TIME];
	case COLUMN_DETECTION:
		return line->detection;
	case COLUMN_RESULT:
		return line->outcome;
	case COLUMN_PROCESSES:
	case N_COLUMNS:
		break;
	}
	return "";
}

/* What the other columns leave for the processes. */
static size_t processes_width(const struct collection *c, size_t total)
{
	size_t used = 0;

	for (enum column i = 0; i < COLUMN_PROCESSES; i++) {
		size_t widest = strlen(columns[i].heading);

		if (i == COLUMN_RESULT && !c->wanted->fields)
			continue;
		for (size_t j = 0; j < c->n_lines; j++)
			widest = MAX(widest, strlen(text_of(&c->lines[j], i)));
		used += widest + COLUMN_GAP;
	}
	if (used + PROCESSES_MIN > total)
		return PROCESSES_MIN;
	return MIN(total - used, (size_t)PROCESSES_SIZE - 1);
}

static int add_line(struct libscols_table *table, const struct collection *c,
		    const struct line *line, size_t width)
{
	struct libscols_line *row = scols_table_new_line(table, NULL);
	char processes[PROCESSES_SIZE];
	size_t at = 0;

	if (!row)
		return -ENOMEM;
	for (enum column i = 0; i < N_COLUMNS; i++) {
		const char *text = text_of(line, i);

		if (i == COLUMN_RESULT && !c->wanted->fields)
			continue;
		if (i == COLUMN_PROCESSES)
			text = processes_format(line->pids, line->n_pids, width, processes,
						sizeof(processes));
		if (scols_line_set_data(row, at, text) < 0)
			return -ENOMEM;
		if ((i >= COLUMN_TIME && i <= COLUMN_PROBES && line->deviates[i - COLUMN_TIME]) ||
		    (i == COLUMN_RESULT && line->failed))
			scols_cell_set_color(scols_line_get_cell(row, at),
					     colour(line->failed ? COLOUR_BAD : COLOUR_WARN));
		at++;
	}
	return 0;
}

static int fill_table(struct libscols_table *table, const struct collection *c)
{
	size_t total = table_width();
	size_t width = processes_width(c, total);
	int r;

	scols_table_set_termwidth(table, total);
	scols_table_set_termforce(table, SCOLS_TERMFORCE_ALWAYS);
	scols_table_enable_colors(table, *colour(COLOUR_NONE) != '\0');
	for (enum column i = 0; i < N_COLUMNS; i++)
		if ((i != COLUMN_RESULT || c->wanted->fields) &&
		    !scols_table_new_column(table, columns[i].heading, 0, columns[i].flags))
			return -ENOMEM;
	for (size_t i = 0; i < c->n_lines; i++) {
		r = add_line(table, c, &c->lines[i], width);
		if (r < 0)
			return r;
	}
	return 0;
}

static int print_table(const struct collection *c)
{
	struct libscols_table *table = scols_new_table();
	int r;

	if (!table)
		return -ENOMEM;
	r = fill_table(table, c);
	if (r == 0)
		r = scols_print_table(table);
	scols_unref_table(table);
	return r;
}

int sysctl_all(const struct sysctl_args *args, const struct tcpkeep_settings *wanted, bool as_json)
{
	_cleanup_(collection_clear) struct collection c = {.args = args, .wanted = wanted};
	struct json json;
	size_t hidden = 0;
	int r;

	json_init(&json, stdout);
	c.json = as_json ? &json : NULL;
	r = tcpkeep_netns_foreach(take, &c, &hidden);
	if (r == 0 && !as_json)
		r = print_table(&c);
	if (r < 0) {
		struct tcpkeep_error error;
		_cleanup_close_ int fd = tcpkeep_netns_open_pid(getpid(), &error);

		say_error("sysctl: --all-netns: %s", fd < 0 ? error.message : strerror(-r));
		return sysctl_exit_status(r);
	}
	if (hidden > 0)
		say_warning(
			"%zu process%s its network namespace, which may be one that is not shown%s",
			hidden, hidden == 1 ? " hides" : "es hide each",
			geteuid() == 0 ? "" : "; run as root to see all");
	if (c.failed > 0 && c.done == 0)
		return sysctl_exit_status(c.failure);
	/* All were asked for: with settings, one that is not seen is one that is not set. */
	return c.failed > 0 || (hidden > 0 && wanted->fields) ? EXIT_PARTLY : EXIT_DONE;
}
