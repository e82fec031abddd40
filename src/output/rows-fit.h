/* SPDX-License-Identifier: MIT */
/* How a table is made to fit a terminal, so that no row of it is broken. */
#pragma once

#include "rows.h"

#define ROWS_GAP 2 /* blanks between columns */

/* A column, as the rows that were kept show it. */
struct rows_fit {
	unsigned width;   /* what it has */
	unsigned natural; /* its longest cell */
	unsigned longer;  /* how many cells are beyond what it grows to (rows_column.widest) */
	bool narrowed;    /* narrower than its cells: they are shortened */
	bool hidden;      /* left out */
	bool shortened;   /* a cell of it was */
};

/* A cell of a row; its text may be shortened in place. */
struct rows_text {
	char *text;
	size_t len;
	size_t whole;   /* what len was */
	unsigned width; /* on a terminal */
	const char *colour;
};

/* How wide the longest cell of a column is with each shortened to width. */
typedef unsigned rows_measure(void *userdata, size_t column, unsigned width);

/* So many rows into total columns of the terminal. false: there is no way, and fits are as they
 * were. */
bool rows_fit_table(const struct rows_column *columns, struct rows_fit *fits, size_t n,
		    unsigned total, unsigned n_rows, rows_measure *measure, void *userdata);

/* One row of a table that fits: its cells as its columns are, and what is beyond them as far as it
 * is needed. */
void rows_fit_row(const struct rows_column *columns, const struct rows_fit *fits, size_t n,
		  unsigned total, struct rows_text *cells);

/* Is no column shown behind this one? */
bool rows_fit_is_last(const struct rows_fit *fits, size_t n, size_t column);

/* A cell as its column shortens it. */
void rows_fit_cell(const struct rows_column *column, struct rows_text *cell, unsigned width);
