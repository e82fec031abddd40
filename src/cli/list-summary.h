/* SPDX-License-Identifier: MIT */
/* What `tcpkeep list` counts: over all, in its last line, and for each program, unit, user or
 * namespace. */
#pragma once

#include "list-columns.h"

struct list_totals {
	size_t sockets;
	size_t on, off, unknown; /* connections */
	size_t listening, other; /* other: opening, closing, given up by their program */
	uint64_t worst_us; /* of those that are on, the longest detection time; 0: none is known */
};

/* What list_totals_add() needs of the view. */
#define LIST_TOTALS_NEEDS NEEDS_DETECTION

/* Counts the view's row. */
void list_totals_add(struct list_totals *totals, const struct list_view *view);

/* "1,204 sockets: 310 on, 890 off (...), 4 unknown; worst detection time 2h13m45s" */
void list_totals_print(const struct list_totals *totals);

/* What --summary goes by. */
enum list_group {
	LIST_BY_PROGRAM = 0,
	LIST_BY_UNIT,
	LIST_BY_USER,
	LIST_BY_NETNS,
};

/* -EINVAL: no such word. */
int list_group_parse(const char *word, enum list_group *ret);

/* enum list_need */
unsigned list_group_needs(enum list_group by);

struct list_summary;

int list_summary_new(enum list_group by, struct list_summary **ret);
void list_summary_free(struct list_summary **summary);

/* Counts the view's row in its group; of several programs in each. */
int list_summary_add(struct list_summary *summary, struct list_view *view);

/* Most connections that are off first. separator: of a CSV, NULL for a table. 0 or -ENOMEM. */
int list_summary_print(struct list_summary *summary, const char *separator);

/* The same, an object each. 0 or -ENOMEM. */
int list_summary_json(struct list_summary *summary);
