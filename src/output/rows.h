/* SPDX-License-Identifier: MIT */
/*
 * A table of any length in constant memory. The first rows are kept to learn how wide the columns
 * are, then all goes out as it comes; a later cell that is wider pushes its row to the right and is
 * never cut.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct rows_column {
	const char *heading;
	bool right;      /* aligned to the right, as numbers are */
	unsigned widest; /* a longer cell pushes its own row to the right, not all; 0: no limit */
};

struct rows;

/* separator: NULL for an aligned table, otherwise what stands between cells (CSV: RFC 4180
 * quoting). 0 or -ENOMEM. The columns stay the caller's and must outlive the rows. */
int rows_open(FILE *file, const struct rows_column *columns, size_t n, const char *separator,
	      struct rows **ret);

/* The next cell of the current row, safe to print; after the last one the row is finished. colour:
 * NULL, or the sequence to set around the text. */
void rows_cell(struct rows *rows, const char *text, size_t len, const char *colour);

/* Writes what is still kept and frees. A table without rows has no headings either. */
void rows_close(struct rows *rows);
