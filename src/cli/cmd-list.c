/* SPDX-License-Identifier: MIT */
/* tcpkeep list: every TCP socket with its effective keepalive, its timer, its owner. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "cli.h"
#include "list-columns.h"
#include "list-fit.h"
#include "list-sort.h"
#include "list-summary.h"
#include "output/rows.h"
#include "output/terminal.h"
#include "progress.h"
#include "sockets/endpoint.h"
#include "sockets/snapshot.h"

struct args {
	const char *output;
	const char *sort;
	const char *summary;
	const char *netns;
	const char *source;
	bool columns;
	bool csv;
	bool all_netns;
};

static const struct option options[] = {
	{"output", "COLUMNS", "these columns, with commas between; +COLUMNS: these as well",
	 OPTION_TEXT, offsetof(struct args, output), COMPLETES_COLUMNS, .short_name = 'o'},
	{"columns", NULL, "tell the columns there are", OPTION_FLAG, offsetof(struct args, columns),
	 COMPLETES_NOTHING},
	{"sort", "COLUMNS", "in the order of these columns; -COLUMN: the largest first",
	 OPTION_TEXT, offsetof(struct args, sort), COMPLETES_COLUMNS},
	{"summary", "BY", "counts for each program, unit, user or netns", OPTION_TEXT,
	 offsetof(struct args, summary), COMPLETES_CHOICES, .choices = "program unit user netns"},
	{"all-netns", NULL, "the sockets of every network namespace", OPTION_FLAG,
	 offsetof(struct args, all_netns), COMPLETES_NOTHING},
	{"netns", "NAME", "those of a namespace: a name in /run/netns, or a path", OPTION_TEXT,
	 offsetof(struct args, netns), COMPLETES_NETNS},
	{"csv", NULL, "comma-separated values (RFC 4180)", OPTION_FLAG, offsetof(struct args, csv),
	 COMPLETES_NOTHING},
	{"source", "SOURCE", "bpf, diag-fd or diag instead of the best there is", OPTION_TEXT,
	 offsetof(struct args, source), COMPLETES_CHOICES, .choices = "bpf diag-fd diag"},
};

/* One run of the command. */
struct list {
	const struct args *args;
	struct selector selector;
	struct list_choice choice; /* what is shown */
	struct list_choice keys;   /* --sort */
	struct list_view view;
	struct list_totals totals;
	struct progress progress;
	enum list_group by;
	bool all_netns;  /* asked for, or by netns= */
	unsigned needs;  /* of a row as it comes */
	int write_error; /* errno of the output, once it has failed */

	/* Where rows go: the first that is there. */
	struct list_sort *sort;
	struct list_summary *summary;
	struct json *json;
	struct rows *rows;
	struct rows_column headings[LIST_COLUMNS_MAX];
	char heading_texts[LIST_COLUMNS_MAX][16];
};

/* Output by the line would be a million system calls; a terminal gets it as it comes. */
#define STDOUT_BUFFER (64 * 1024)

/* ------------------------------------------------------------------------------------ usage */

static int fail_usage(const char *words)
{
	say_error("list: %s", words);
	return EXIT_USAGE;
}

static int check_usage(const struct args *args, bool json)
{
	if (args->csv && json)
		return fail_usage("--csv and --json exclude each other; give one");
	if (args->all_netns && args->netns)
		return fail_usage("--netns and --all-netns exclude each other; give one");
	if (args->summary && args->output)
		return fail_usage("--summary has columns of its own; leave out --output");
	if (args->summary && args->sort)
		return fail_usage("--summary has an order of its own; leave out --sort");
	return EXIT_DONE;
}

static int parse_source(const char *word, enum snapshot_source *ret)
{
	static const struct {
		const char *word;
		enum snapshot_source source;
	} sources[] = {
		{"bpf", SNAPSHOT_BPF}, {"diag-fd", SNAPSHOT_DIAG_FD}, {"diag", SNAPSHOT_DIAG}};
	char shown[32];

	*ret = SNAPSHOT_AUTO;
	for (size_t i = 0; word && i < ARRAY_SIZE(sources); i++)
		if (strcmp(sources[i].word, word) == 0)
			*ret = sources[i].source;
	if (!word || *ret != SNAPSHOT_AUTO)
		return EXIT_DONE;
	say_error("list: --source: '%s' is not one of: bpf, diag-fd, diag",
		  escape_text(word, strlen(word), shown, sizeof(shown)));
	return EXIT_USAGE;
}

static int parse_selectors(const struct invocation *invocation, struct selector *selector)
{
	struct tcpkeep_error error;

	for (size_t i = 0; i < invocation->n_operands; i++) {
		const char *word = invocation->operands[i];

		if (selector_parse_word(selector, word, strlen(word), &error) < 0) {
			say_error("list: %s", error.message);
			return EXIT_USAGE;
		}
	}
	if (selector->program_cut)
		say_warning(
			"list: the kernel keeps 15 bytes of a program's name: a longer one is matched "
			"by its first 15");
	return EXIT_DONE;
}

/* A name in /run/netns, which shall be there: a pattern, a number and a path may stand for none. */
static int check_netns_name(const char *name)
{
	_cleanup_close_ int fd = -1;
	struct tcpkeep_error error;

	fd = tcpkeep_netns_open(name, &error);
	if (fd != -ENOENT && fd != -EINVAL)
		return EXIT_DONE;
	say_error("list: netns: %s", error.message);
	return EXIT_FAILED;
}

/* Who names a namespace wants its sockets, wherever tcpkeep runs. */
static int follow_netns_selectors(struct list *list)
{
	const struct match_program *program = &list->selector.program;
	int status = EXIT_DONE;

	list->all_netns = list->args->all_netns;
	for (__u32 i = 0; status == EXIT_DONE && i < program->n_values; i++) {
		const union match_value *value = &program->values[i];
		const char *name;

		if (program->clauses[program->clause_of[i]].kind != MATCH_NETNS)
			continue;
		if (list->args->netns)
			return fail_usage("--netns and netns= exclude each other; give one");
		list->all_netns = true;
		name = list->selector.text + value->range.min;
		if (value->range.max == 0 && !strpbrk(name, "*?["))
			status = check_netns_name(name);
	}
	return status;
}

static int parse_columns(struct list *list, bool json)
{
	const struct args *args = list->args;
	char shown[32];
	int status = EXIT_DONE;

	list_choice_default(&list->choice,
			    json        ? LIST_JSON
			    : args->csv ? LIST_CSV
					: LIST_TABLE,
			    list->all_netns);
	if (args->output)
		status = list_choice_parse(&list->choice, "--output", args->output, false);
	if (status == EXIT_DONE && args->sort)
		status = list_choice_parse(&list->keys, "--sort", args->sort, true);
	if (args->summary && list_group_parse(args->summary, &list->by) < 0) {
		say_error("list: --summary: '%s' is not one of: program, unit, user, netns",
			  escape_text(args->summary, strlen(args->summary), shown, sizeof(shown)));
		status = EXIT_USAGE;
	}
	return status;
}

/* ------------------------------------------------------------------------------------- rows */

static void write_cells(struct list *list)
{
	char cell[LIST_CELL_MAX];

	for (size_t i = 0; i < list->choice.n; i++) {
		const struct list_column *column = list->choice.columns[i];
		const char *end = column->text(&list->view, cell);
		enum colour paint = column->colour ? column->colour(&list->view) : COLOUR_NONE;

		rows_cell(list->rows, cell, (size_t)(end - cell), paint ? colour(paint) : NULL);
	}
}

static void write_json(struct list *list)
{
	json_begin_object(list->json, NULL);
	json_string(list->json, "schema", "tcpkeep.list/1");
	for (size_t i = 0; i < list->choice.n; i++)
		list->choice.columns[i]->json(&list->view, list->json);
	json_end_object(list->json);
}

/* A row in its final order. A closed pipe ends the walk. */
static int write_row(const struct snapshot_row *row, void *userdata)
{
	struct list *list = userdata;

	list_view_take(&list->view, row, list->choice.needs);
	if (list->json)
		write_json(list);
	else
		write_cells(list);
	if (!ferror_unlocked(stdout))
		return 0;
	list->write_error = errno;
	return -EPIPE;
}

/* A row as the snapshot tells it. */
static int take_row(const struct snapshot_row *row, void *userdata)
{
	struct list *list = userdata;

	progress_count(&list->progress);
	list_view_take(&list->view, row, list->needs);
	list_totals_add(&list->totals, &list->view);
	if (list->sort)
		return list_sort_add(list->sort, row);
	if (list->summary)
		return list_summary_add(list->summary, &list->view);
	return write_row(row, list);
}

static int take_netns(const struct snapshot_netns *netns, void *userdata)
{
	struct list *list = userdata;

	if (list->summary && list->by == LIST_BY_NETNS)
		return list_summary_add_netns(list->summary, netns);
	return 0;
}

/* --------------------------------------------------------------------------- begin and end */

/* Columns are written in capitals over a table, and as they are named over a CSV. */
static int open_rows(struct list *list)
{
	bool nobody_asked = !list->args->output || *list->args->output == '+';
	int r;

	for (size_t i = 0; i < list->choice.n; i++) {
		const struct list_column *column = list->choice.columns[i];
		char *text = list->heading_texts[i];

		snprintf(text, sizeof(list->heading_texts[i]), "%s", column->name);
		for (; *text && !list->args->csv; text++)
			*text = *text == '-' ? ' ' : (char)toupper((unsigned char)*text);
		list->headings[i] =
			(struct rows_column){list->heading_texts[i], column->right, column->widest};
		list_fit(column->name, &list->headings[i]);
		list->headings[i].gives_way = nobody_asked && list_fit_gives_way(column->name);
	}
	r = rows_open(stdout, list->headings, list->choice.n, list->args->csv ? "," : NULL,
		      &list->rows);
	return r < 0 ? r : rows_fit(list->rows, terminal_width(STDOUT_FILENO));
}

static int begin(struct list *list)
{
	int r;

	r = users_new(&list->view.users);
	if (r < 0)
		return r;
	list->view.csv = list->args->csv;
	list->needs = LIST_TOTALS_NEEDS;
	if (list->args->summary)
		return list_summary_new(list->by, &list->summary);
	if (list->keys.n > 0) {
		r = list_sort_new(&list->keys, &list->view, &list->sort);
		if (r < 0)
			return r;
	}
	return list->json ? 0 : open_rows(list);
}

/* Where there are no sockets, and where there may be some. */
static const char *about_none(const struct list *list)
{
	if (list->args->netns)
		return list->selector.any ? " match in that network namespace"
					  : " in that network namespace";
	if (list->all_netns)
		return list->selector.any ? " match" : "";
	return list->selector.any
		       ? " match in this network namespace; --all-netns looks into all of them"
		       : " in this network namespace; --all-netns looks into all of them";
}

/* What comes after the last row. */
static int end(struct list *list)
{
	const char *separator = list->args->csv ? "," : NULL;
	int r = 0;

	progress_clear(&list->progress);
	if (list->sort)
		r = list_sort_run(list->sort, write_row, list);
	if (list->summary)
		r = list->json ? list_summary_json(list->summary)
			       : list_summary_print(list->summary, separator);
	rows_close(list->rows);
	list->rows = NULL;
	if (r == 0 && !list->json && !separator)
		list_totals_print(&list->totals, about_none(list));
	return r;
}

static void clear(struct list *list)
{
	rows_close(list->rows);
	list_sort_free(&list->sort);
	list_summary_free(&list->summary);
	users_free(&list->view.users);
}

static const char *remedy(int r)
{
	switch (r) {
	case -EMFILE:
		return "; raise the limit: ulimit -n";
	case -ENFILE:
		return "; raise the machine's: sysctl fs.file-max";
	}
	return "";
}

/* What root, too, cannot see without more descriptors or memory. */
static void say_starved(const struct snapshot_report *report)
{
	const size_t n = report->settings_starved;

	if (n > 0)
		say_warning("list: %zu %s unknown: %s%s", n,
			    n == 1 ? "socket's settings are" : "sockets' settings are",
			    strerror(report->starved_of), remedy(-report->starved_of));
}

/* One line of what was not to be seen, and what would show it. */
static void say_missing(const struct snapshot_report *report)
{
	const struct {
		size_t n;
		const char *one, *many;
	} parts[] = {
		{report->processes_hidden,
		 "process hides its descriptors: its sockets have no owner here",
		 "processes hide their descriptors: their sockets have no owner here"},
		{report->settings_denied, "socket's settings may not be read",
		 "sockets' settings may not be read"},
		{report->netns_hidden, "network namespace may not be entered",
		 "network namespaces may not be entered"},
		{report->netns_processes_hidden,
		 "process hides its network namespace, which may be missing here",
		 "processes hide their network namespaces, which may be missing here"},
	};
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s", report->missing);

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i].n > 0 && n < (int)sizeof(line))
			n += snprintf(line + n, sizeof(line) - (size_t)n, "%s%zu %s", n ? "; " : "",
				      parts[i].n, parts[i].n == 1 ? parts[i].one : parts[i].many);
	if (n > 0)
		say_warning("list: %s%s", line, geteuid() == 0 ? "" : "; root sees all");
	say_starved(report);
}

static int walk(struct list *list, enum snapshot_source source, int netns)
{
	unsigned needs =
		list->summary ? list_group_needs(list->by) : list->choice.needs | list->keys.needs;
	struct snapshot_options options_ = {
		.source = source,
		.owners = needs & NEEDS_OWNERS,
		.cgroups = needs & NEEDS_CGROUP,
		.all_netns = list->all_netns,
		.netns = netns,
		.selector = &list->selector,
		.on_netns = take_netns,
	};
	struct tcpkeep_error error = {.message = ""};
	struct snapshot_report report;
	int r;

	progress_start(&list->progress, 0, !list->sort && !list->summary);
	r = snapshot_run(&options_, take_row, list, &report, &error);
	if (r == 0)
		r = end(list);
	progress_clear(&list->progress);
	if (r == -EPIPE && ferror(stdout)) {
		/* finish_output() says what it was, or nothing of a closed pipe. */
		errno = list->write_error;
		return EXIT_FAILED;
	}
	if (r < 0) {
		say_error("list: %s%s", *error.message ? error.message : strerror(-r), remedy(r));
		return exit_status_of(r);
	}
	fflush(stdout);
	say_missing(&report);
	return EXIT_DONE;
}

/* --------------------------------------------------------------------------------- command */

static int open_netns(const char *name, int *ret)
{
	struct tcpkeep_error error;
	int fd;

	*ret = TCPKEEP_NETNS_OWN;
	if (!name)
		return EXIT_DONE;
	fd = tcpkeep_netns_open(name, &error);
	if (fd < 0) {
		say_error("list: %s", error.message);
		return fd == -ENOENT ? EXIT_FAILED : exit_status_of(fd);
	}
	*ret = fd;
	return EXIT_DONE;
}

/* peer=::1:6379 is an address, though often a port was meant. */
static void hint_at_port(const char *word)
{
	const char *value = strchr(word, '='), *colon = strrchr(word, ':');
	struct match_endpoint endpoint;
	char rewritten[64], shown[64];
	int n;

	if (!value++ || !colon || strchr(value, ',') || strpbrk(value, "[/"))
		return;
	n = snprintf(rewritten, sizeof(rewritten), "[%.*s]:%s", (int)(colon - value), value,
		     colon + 1);
	if (n >= (int)sizeof(rewritten) ||
	    endpoint_parse("", rewritten, (size_t)n, &endpoint, NULL) < 0)
		return;
	escape_text(word, strlen(word), shown, sizeof(shown));
	say_warning("list: %s is an address without a port; write %.*s%s for port %s", shown,
		    (int)(value - word), word, rewritten, colon + 1);
}

static void hint_at_ports(const struct invocation *invocation)
{
	for (size_t i = 0; i < invocation->n_operands; i++)
		if (strncmp(invocation->operands[i], "peer", 4) == 0 ||
		    strncmp(invocation->operands[i], "local", 5) == 0)
			hint_at_port(invocation->operands[i]);
}

static int run_list(const struct invocation *invocation, struct list *list)
{
	_cleanup_close_ int netns = -1;
	enum snapshot_source source;
	int status, r;

	status = check_usage(list->args, invocation->json);
	if (status == EXIT_DONE)
		status = parse_source(list->args->source, &source);
	if (status == EXIT_DONE)
		status = parse_selectors(invocation, &list->selector);
	if (status == EXIT_DONE)
		status = follow_netns_selectors(list);
	if (status == EXIT_DONE)
		status = parse_columns(list, invocation->json);
	if (status == EXIT_DONE)
		status = open_netns(list->args->netns, &netns);
	if (status != EXIT_DONE)
		return status;
	r = begin(list);
	if (r < 0) {
		say_error("list: %s", strerror(-r));
		return EXIT_FAILED;
	}
	status = walk(list, source, netns);
	if (status == EXIT_DONE && list->totals.sockets == 0)
		hint_at_ports(invocation);
	return status;
}

static int run(const struct invocation *invocation)
{
	static char buffer[STDOUT_BUFFER];
	const struct args *args = invocation->args;
	_cleanup_free_ struct list *list = calloc(1, sizeof(*list));
	struct json json;
	int status;

	if (args->columns) {
		list_columns_print();
		return EXIT_DONE;
	}
	if (!list) {
		say_error("list: out of memory");
		return EXIT_FAILED;
	}
	if (!isatty(STDOUT_FILENO))
		setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	list->args = args;
	json_init(&json, stdout);
	list->json = invocation->json ? &json : NULL;
	status = run_list(invocation, list);
	clear(list);
	return status;
}

const struct command command_list = {
	.name = "list",
	.summary = "every TCP socket: its keepalive, what happens next, who holds it",
	.synopsis = "[SELECTOR...] [OPTION...]",
	.about =
		"Shows TCP sockets with the keepalive that is in effect for each, what will happen next if\n"
		"the peer stays silent, and who holds them. A \"!\" marks what never notices a dead peer.\n"
		"Selectors choose; all must hold, several values by comma, != negates:\n"
		"  pid= program= user= unit= cgroup= local= peer= state= netns= keepalive=on|off\n"
		"  direction=in|out 'silent>10m' (quoted); addresses: ADDR[/LEN][:PORT], :PORT",
	.examples = "  tcpkeep list                                     of this network namespace\n"
		    "  tcpkeep list keepalive=off state=established     never notice a dead peer\n"
		    "  tcpkeep list program=postgres --sort -silence -o +silence\n"
		    "  tcpkeep list --all-netns --summary program\n"
		    "  tcpkeep list peer=10.0.0.0/8:5432 --json | jq .detection.idle_s",
	.options = options,
	.n_options = ARRAY_SIZE(options),
	.args_size = sizeof(struct args),
	.operands = COMPLETES_SELECTORS,
	.has_json = true,
	.run = run,
};
