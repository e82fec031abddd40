/* SPDX-License-Identifier: MIT */
/* The columns of `tcpkeep list`: each knows its name, what it needs, and how it is written as text,
 * JSON and order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list-names.h"
#include "output/colour.h"
#include "output/json.h"
#include "sockets/outlook.h"
#include "sockets/snapshot.h"

/* What the longest cell takes; longer names end in "...". */
#define LIST_CELL_MAX 1280

/* What a column is made from, beyond the row itself. */
enum list_need {
	NEEDS_OWNERS = 1 << 0,
	NEEDS_CGROUP = 1 << 1,
	NEEDS_OUTLOOK = 1 << 2,
	NEEDS_DETECTION = 1 << 3,
};

/* The row that is being written, and what is kept from one to the next. */
struct list_view {
	bool csv; /* for programs: plain seconds, nothing for what is not there */
	const struct snapshot_row *row;
	struct outlook outlook;
	const struct tcpkeep_detection *detection; /* NULL: not known, or not connected */
	struct users *users;
	struct detection_cache detections;
};

/* Turns the view to a row and works out what is needed (enum list_need). */
void list_view_take(struct list_view *view, const struct snapshot_row *row, unsigned needs);

/* Where a row stands in the order of a column: by the numbers, then the text. Texts among which
 * numbers decide first have numbers[0] > 0 in every row. */
struct list_key {
	bool known; /* what is not known comes last, whichever way it is sorted */
	uint64_t numbers[3];
	const char *text; /* NULL: none. Valid as long as the row */
};

struct list_column {
	const char *name;
	const char *help;                                /* one line */
	bool right;                                      /* aligned to the right */
	unsigned needs;                                  /* enum list_need */
	char *(*text)(struct list_view *view, char *at); /* LIST_CELL_MAX bytes; returns the end */
	void (*json)(struct list_view *view, struct json *json);
	void (*key)(struct list_view *view, struct list_key *ret); /* zeroed, known */
	enum colour (*colour)(const struct list_view *view);       /* NULL: none */
};

extern const struct list_column list_columns[];
extern const size_t n_list_columns;

#define LIST_COLUMNS_MAX 40

/* Columns in the order in which they are shown. */
struct list_choice {
	const struct list_column *columns[LIST_COLUMNS_MAX];
	bool descending[LIST_COLUMNS_MAX]; /* --sort only */
	size_t n;
	unsigned needs;
};

/*
 * "a,b" or, on top of what choice holds, "+a,b". with_order: "-a" is descending. Says what is
 * wrong, with the nearest column, after the name of the option, and returns EXIT_USAGE.
 */
int list_choice_parse(struct list_choice *choice, const char *option, const char *text,
		      bool with_order);

/* What is shown when nothing is asked for: a line of a table, every member of a JSON object, every
 * cell of a CSV. */
void list_choice_default(struct list_choice *choice, bool table, bool all_netns);

/* --columns */
void list_columns_print(void);

/* ----------------------------------------------------------------------- of the single columns */

/* Sockets that keepalive could matter to: connected, and not given up by their program. */
bool list_is_connected(const struct socket_row *row);

#define DECLARE_COLUMN(name)                                                                       \
	char *list_text_##name(struct list_view *view, char *at);                                  \
	void list_json_##name(struct list_view *view, struct json *json);                          \
	void list_key_##name(struct list_view *view, struct list_key *ret)

DECLARE_COLUMN(netns);
DECLARE_COLUMN(family);
DECLARE_COLUMN(state);
DECLARE_COLUMN(local);
DECLARE_COLUMN(peer);
DECLARE_COLUMN(direction);
DECLARE_COLUMN(owner);
DECLARE_COLUMN(pid);
DECLARE_COLUMN(program);
DECLARE_COLUMN(fd);
DECLARE_COLUMN(user);
DECLARE_COLUMN(cgroup);
DECLARE_COLUMN(unit);
DECLARE_COLUMN(keepalive);
DECLARE_COLUMN(time);
DECLARE_COLUMN(intvl);
DECLARE_COLUMN(probes);
DECLARE_COLUMN(user_timeout);
DECLARE_COLUMN(time_origin);
DECLARE_COLUMN(intvl_origin);
DECLARE_COLUMN(probes_origin);
DECLARE_COLUMN(timer);
DECLARE_COLUMN(in_flight);
DECLARE_COLUMN(unsent);
DECLARE_COLUMN(silence);
DECLARE_COLUMN(detection);
DECLARE_COLUMN(next);
DECLARE_COLUMN(mptcp);
DECLARE_COLUMN(cookie);
DECLARE_COLUMN(inode);
