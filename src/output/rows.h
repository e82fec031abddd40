/* SPDX-License-Identifier: MIT */
/*
 * A table of any length in constant memory. The first rows are kept to learn how wide the columns
 * are, then all goes out as it comes; a later cell that is wider pushes its row to the right and is
 * never cut, unless the table is to fit a terminal.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct rows_column {
	const char *heading;
	bool right;      /* aligned to the right, as numbers are */
	unsigned widest; /* a longer cell pushes its own row to the right, not all; 0: no limit */

	/* Where the rows have to fit a terminal. */
	unsigned turn;  /* 1 to ROWS_TURNS: the first whose cells are shortened; 0: never */
	unsigned least; /* columns to which they are shortened at the most; 4 and more */
	bool gives_way; /* is left out when nothing else helps */
	/* A text, in place, to so many columns; returns its new length. NULL: text_cut(). */
	size_t (*shorten)(char *text, size_t len, unsigned width);
};

#define ROWS_TURNS 8

struct rows;

/* separator: NULL for an aligned table, otherwise what stands between cells (CSV: RFC 4180
 * quoting). 0 or -ENOMEM. The columns stay the caller's and must outlive the rows. */
int rows_open(FILE *file, const struct rows_column *columns, size_t n, const char *separator,
	      struct rows **ret);

/*
 * Before the first cell: the table is for a terminal of so many columns. What does not fit is
 * shortened as its column allows, so that no row is broken; where that is not enough for all of
 * them (too many columns were asked for) nothing is. Of a table with separators it means nothing.
 * 0 or -ENOMEM.
 */
int rows_fit(struct rows *rows, unsigned width);

/* The next cell of the current row, safe to print; after the last one the row is finished. colour:
 * NULL, or the sequence to set around the text. */
void rows_cell(struct rows *rows, const char *text, size_t len, const char *colour);

/* Was a cell of this column shortened up to now? Writes what is still kept. */
bool rows_shortened(struct rows *rows, size_t column);

/* Writes what is still kept and frees. A table without rows has no headings either. */
void rows_close(struct rows *rows);
