/* SPDX-License-Identifier: MIT */
#include "rows.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "width.h"

/* What is kept to learn the widths from; more than a screen, less than anybody waits for. */
#define KEPT_ROWS  256
#define KEPT_BYTES (64 * 1024)

#define OUT_BYTES 4096
#define GAP       2 /* blanks between columns */

#define COLOUR_END "\033[0m"

/* A cell that is kept: its text follows in the same buffer. */
struct kept_cell {
	const char *colour;
	uint32_t len;
};

struct rows {
	FILE *file;
	const struct rows_column *columns;
	size_t n_columns;
	const char *separator;
	unsigned *widths;
	size_t column; /* the next cell's */
	bool streaming;
	unsigned kept_rows;
	size_t kept_len;
	size_t out_len;
	char out[OUT_BYTES]; /* the row that is being written: one call of stdio for each */
	char kept[KEPT_BYTES];
};

static void flush(struct rows *rows)
{
	fwrite_unlocked(rows->out, 1, rows->out_len, rows->file);
	rows->out_len = 0;
}

static void add(struct rows *rows, const char *text, size_t len)
{
	if (rows->out_len + len > OUT_BYTES)
		flush(rows);
	if (len > OUT_BYTES) {
		fwrite_unlocked(text, 1, len, rows->file);
		return;
	}
	memcpy(rows->out + rows->out_len, text, len);
	rows->out_len += len;
}

static void add_char(struct rows *rows, char c)
{
	if (rows->out_len == OUT_BYTES)
		flush(rows);
	rows->out[rows->out_len++] = c;
}

static void pad(struct rows *rows, size_t n)
{
	if (rows->out_len + n > OUT_BYTES)
		flush(rows);
	for (; n > OUT_BYTES; n--)
		add_char(rows, ' ');
	memset(rows->out + rows->out_len, ' ', n);
	rows->out_len += n;
}

static void add_coloured(struct rows *rows, const char *text, size_t len, const char *colour)
{
	bool coloured = colour && *colour;

	if (coloured)
		add(rows, colour, strlen(colour));
	add(rows, text, len);
	if (coloured)
		add(rows, COLOUR_END, sizeof(COLOUR_END) - 1);
}

static void write_aligned(struct rows *rows, size_t column, const char *text, size_t len,
			  const char *colour)
{
	unsigned width = text_width(text, len);
	unsigned blanks = rows->widths[column] > width ? rows->widths[column] - width : 0;
	bool last = column + 1 == rows->n_columns;

	if (rows->columns[column].right)
		pad(rows, blanks);
	add_coloured(rows, text, len, colour);
	if (last) {
		add_char(rows, '\n');
		flush(rows);
		return;
	}
	pad(rows, rows->columns[column].right ? GAP : blanks + GAP);
}

static void add_quoted(struct rows *rows, const char *text, size_t len)
{
	add_char(rows, '"');
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"')
			add_char(rows, '"');
		add_char(rows, text[i]);
	}
	add_char(rows, '"');
}

/* Of a longer separator the first character is enough: a quote too many does no harm. */
static bool needs_quotes(const char *text, size_t len, char separator)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] == '"' || text[i] == '\n' || text[i] == '\r' || text[i] == separator)
			return true;
	return false;
}

/* RFC 4180: a cell with a quote, the separator or a line end is quoted, its quotes doubled. */
static void write_separated(struct rows *rows, size_t column, const char *text, size_t len)
{
	bool quoted = needs_quotes(text, len, rows->separator[0]);

	if (column > 0)
		add(rows, rows->separator, strlen(rows->separator));
	if (!quoted)
		add(rows, text, len);
	else
		add_quoted(rows, text, len);
	if (column + 1 == rows->n_columns) {
		add(rows, "\r\n", 2);
		flush(rows);
	}
}

static void write_headings(struct rows *rows)
{
	for (size_t i = 0; i < rows->n_columns; i++) {
		const char *heading = rows->columns[i].heading;

		if (rows->separator)
			write_separated(rows, i, heading, strlen(heading));
		else
			write_aligned(rows, i, heading, strlen(heading), NULL);
	}
}

/* The widths are known: writes what was kept. From now on rows go out as they come. */
static void start_streaming(struct rows *rows)
{
	size_t column = 0;

	write_headings(rows);
	for (size_t at = 0; at < rows->kept_len;) {
		struct kept_cell cell;

		memcpy(&cell, rows->kept + at, sizeof(cell));
		at += sizeof(cell);
		write_aligned(rows, column, rows->kept + at, cell.len, cell.colour);
		at += cell.len;
		column = (column + 1) % rows->n_columns;
	}
	rows->streaming = true;
}

int rows_open(FILE *file, const struct rows_column *columns, size_t n, const char *separator,
	      struct rows **ret)
{
	struct rows *rows = malloc(sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	*rows = (struct rows){
		.file = file, .columns = columns, .n_columns = n, .separator = separator};
	rows->widths = calloc(n, sizeof(*rows->widths));
	if (!rows->widths) {
		free(rows);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		rows->widths[i] = text_width(columns[i].heading, strlen(columns[i].heading));
	if (separator)
		start_streaming(rows);
	*ret = rows;
	return 0;
}

static void keep(struct rows *rows, const char *text, size_t len, const char *colour)
{
	struct kept_cell cell = {colour, (uint32_t)len};
	unsigned width = text_width(text, len), widest = rows->columns[rows->column].widest;

	if (widest == 0 || width <= widest)
		rows->widths[rows->column] = MAX(rows->widths[rows->column], width);
	memcpy(rows->kept + rows->kept_len, &cell, sizeof(cell));
	memcpy(rows->kept + rows->kept_len + sizeof(cell), text, len);
	rows->kept_len += sizeof(cell) + len;
}

void rows_cell(struct rows *rows, const char *text, size_t len, const char *colour)
{
	if (!rows->streaming && rows->kept_len + sizeof(struct kept_cell) + len > KEPT_BYTES)
		start_streaming(rows);
	if (!rows->streaming)
		keep(rows, text, len, colour);
	else if (rows->separator)
		write_separated(rows, rows->column, text, len);
	else
		write_aligned(rows, rows->column, text, len, colour);

	rows->column = (rows->column + 1) % rows->n_columns;
	if (rows->column == 0 && !rows->streaming && ++rows->kept_rows == KEPT_ROWS)
		start_streaming(rows);
}

void rows_close(struct rows *rows)
{
	if (!rows)
		return;
	if (!rows->streaming && rows->kept_len > 0)
		start_streaming(rows);
	free(rows->widths);
	free(rows);
}
