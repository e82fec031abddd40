/* SPDX-License-Identifier: MIT */
/*
 * The table of a change's sockets. On a terminal the first rows are kept to see what they take, and
 * columns are shortened, one turn after the other, until a row is a line; no further than it takes.
 */
#pragma once

#include <stddef.h>

#include "output/rows.h"

struct set_column {
	/* Its widest holds where not even the last turn was enough. */
	struct rows_column column;
	unsigned turn; /* in which it is shortened, from 1 on; 0: never */
	/* In place; returns the new length. */
	size_t (*shorten)(char *text, size_t len);
};

#define SET_TABLE_COLUMNS_MAX 8

struct set_table;

/* On stdout. room: columns of the terminal; 0: there is no limit. 0 or -ENOMEM. The columns stay
 * the caller's and must outlive the table. */
int set_table_open(const struct set_column *columns, size_t n, unsigned room,
		   struct set_table **ret);

/* The next cell of the current row; text is changed. As rows_cell() otherwise. */
void set_table_cell(struct set_table *table, char *text, size_t len, const char *colour);

/* The last turn that was taken; what comes from now on takes none more. NULL: 0. */
unsigned set_table_turn(struct set_table *table);

void set_table_close(struct set_table *table);
