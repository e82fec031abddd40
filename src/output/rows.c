/* SPDX-License-Identifier: MIT */
#include "rows.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "rows-fit.h"
#include "width.h"

/* What is kept to learn the widths from; more than a screen, less than anybody waits for. */
#define KEPT_ROWS  256
#define KEPT_BYTES (64 * 1024)

#define OUT_BYTES 4096

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
	struct rows_fit *fits;
	unsigned terminal;       /* its columns; 0: rows are as long as they get */
	struct rows_text *cells; /* of one row, for a terminal */
	size_t column;           /* the next cell's */
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
	for (; n > OUT_BYTES; n -= OUT_BYTES) {
		memset(rows->out, ' ', OUT_BYTES);
		rows->out_len = OUT_BYTES;
		flush(rows);
	}
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
	const struct rows_fit *fit = &rows->fits[column];
	unsigned width = text_width(text, len);
	unsigned blanks = fit->width > width ? fit->width - width : 0;

	if (fit->hidden)
		return;
	if (rows->columns[column].right)
		pad(rows, blanks);
	add_coloured(rows, text, len, colour);
	if (rows_fit_is_last(rows->fits, rows->n_columns, column)) {
		add_char(rows, '\n');
		flush(rows);
		return;
	}
	pad(rows, rows->columns[column].right ? ROWS_GAP : blanks + ROWS_GAP);
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

/* The cell that is kept at *at, which becomes the next one's place. */
static struct rows_text take_kept(struct rows *rows, size_t *at)
{
	struct rows_text text;
	struct kept_cell cell;

	memcpy(&cell, rows->kept + *at, sizeof(cell));
	text = (struct rows_text){rows->kept + *at + sizeof(cell), cell.len, cell.len, 0,
				  cell.colour};
	*at += sizeof(cell) + cell.len;
	return text;
}

/* How wide a column's kept cells are, shortened. */
static unsigned measure_kept(void *userdata, size_t column, unsigned width)
{
	struct rows *rows = userdata;
	unsigned widest = 0;
	char copy[KEPT_BYTES / 8];

	for (size_t at = 0, i = 0; at < rows->kept_len; i++) {
		struct rows_text cell = take_kept(rows, &at);

		if (i % rows->n_columns != column || cell.len > sizeof(copy))
			continue;
		cell.text = memcpy(copy, cell.text, cell.len);
		cell.width = text_width(cell.text, cell.len);
		rows_fit_cell(&rows->columns[column], &cell, width);
		widest = MAX(widest, cell.width);
	}
	return widest;
}

static void write_fitted(struct rows *rows)
{
	rows_fit_row(rows->columns, rows->fits, rows->n_columns, rows->terminal, rows->cells);
	for (size_t i = 0; i < rows->n_columns; i++) {
		const struct rows_text *cell = &rows->cells[i];

		rows->fits[i].shortened |= cell->len < cell->whole;
		write_aligned(rows, i, cell->text, cell->len, cell->colour);
	}
}

/* Writes what is kept; of a row that is to be fitted and is not whole yet the cells stay. */
static void write_kept(struct rows *rows)
{
	size_t column = 0, done = 0;

	for (size_t at = 0; at < rows->kept_len;) {
		struct rows_text cell = take_kept(rows, &at);

		if (rows->terminal) {
			cell.width = text_width(cell.text, cell.len);
			rows->cells[column] = cell;
			if (column + 1 == rows->n_columns)
				write_fitted(rows);
		} else {
			write_aligned(rows, column, cell.text, cell.len, cell.colour);
		}
		column = (column + 1) % rows->n_columns;
		if (column == 0 || !rows->terminal)
			done = at;
	}
	rows->kept_len -= done;
	memmove(rows->kept, rows->kept + done, rows->kept_len);
}

/* The widths are known: writes what was kept. From now on rows go out as they come. */
static void start_streaming(struct rows *rows)
{
	if (rows->terminal && !rows_fit_table(rows->columns, rows->fits, rows->n_columns,
					      rows->terminal, rows->kept_rows, measure_kept, rows))
		rows->terminal = 0;
	write_headings(rows);
	write_kept(rows);
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
	rows->fits = calloc(n, sizeof(*rows->fits));
	if (!rows->fits) {
		free(rows);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		rows->fits[i].width = rows->fits[i].natural =
			text_width(columns[i].heading, strlen(columns[i].heading));
	if (separator)
		start_streaming(rows);
	*ret = rows;
	return 0;
}

int rows_fit(struct rows *rows, unsigned width)
{
	if (rows->separator || width == 0)
		return 0;
	rows->cells = calloc(rows->n_columns, sizeof(*rows->cells));
	if (!rows->cells)
		return -ENOMEM;
	rows->terminal = width;
	return 0;
}

static void learn_width(struct rows *rows, const char *text, size_t len)
{
	unsigned width = text_width(text, len), widest = rows->columns[rows->column].widest;
	struct rows_fit *fit = &rows->fits[rows->column];

	fit->natural = MAX(fit->natural, width);
	if (widest == 0 || width <= widest)
		fit->width = MAX(fit->width, width);
	else
		fit->longer++;
}

static void keep(struct rows *rows, const char *text, size_t len, const char *colour)
{
	struct kept_cell cell = {colour, (uint32_t)len};

	memcpy(rows->kept + rows->kept_len, &cell, sizeof(cell));
	memcpy(rows->kept + rows->kept_len + sizeof(cell), text, len);
	rows->kept_len += sizeof(cell) + len;
}

static bool has_room(const struct rows *rows, size_t len)
{
	return rows->kept_len + sizeof(struct kept_cell) + len <= KEPT_BYTES;
}

/* Is the cell kept: to learn from it, or until its row is whole? */
static bool keeps(struct rows *rows, size_t len)
{
	if (!rows->streaming && !has_room(rows, len))
		start_streaming(rows);
	if (rows->streaming && rows->terminal && !has_room(rows, len)) {
		rows->terminal = 0; /* no row of a table is so long */
		write_kept(rows);
	}
	return !rows->streaming || rows->terminal;
}

static void end_row(struct rows *rows)
{
	if (!rows->streaming && ++rows->kept_rows == KEPT_ROWS)
		start_streaming(rows);
	else if (rows->streaming && rows->terminal)
		write_kept(rows);
}

void rows_cell(struct rows *rows, const char *text, size_t len, const char *colour)
{
	if (keeps(rows, len)) {
		if (!rows->streaming)
			learn_width(rows, text, len);
		keep(rows, text, len, colour);
	} else if (rows->separator) {
		write_separated(rows, rows->column, text, len);
	} else {
		write_aligned(rows, rows->column, text, len, colour);
	}
	rows->column = (rows->column + 1) % rows->n_columns;
	if (rows->column == 0)
		end_row(rows);
}

bool rows_shortened(struct rows *rows, size_t column)
{
	if (!rows->streaming && rows->kept_len > 0)
		start_streaming(rows);
	return rows->fits[column].shortened;
}

void rows_close(struct rows *rows)
{
	if (!rows)
		return;
	if (!rows->streaming && rows->kept_len > 0)
		start_streaming(rows);
	free(rows->fits);
	free(rows->cells);
	free(rows);
}
