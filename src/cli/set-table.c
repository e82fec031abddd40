/* SPDX-License-Identifier: MIT */
#include "set-table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "list-columns.h"
#include "output/width.h"

/* Of these the widths are learned: as many as the rows themselves keep. */
#define KEPT_ROWS 256

#define GAP 2 /* blanks between columns: output/rows.c */

struct kept_cell {
	char *text;
	size_t len;
	const char *colour;
};

struct set_table {
	const struct set_column *columns;
	size_t n_columns;
	unsigned room, turn;
	size_t column; /* the next cell's */
	struct rows_column headings[SET_TABLE_COLUMNS_MAX];
	struct rows *rows; /* NULL: the widths are still being learned */
	size_t n_kept;
	struct kept_cell kept[KEPT_ROWS * SET_TABLE_COLUMNS_MAX];
};

static int open_rows(struct set_table *table, bool fits)
{
	for (size_t i = 0; i < table->n_columns; i++) {
		table->headings[i] = table->columns[i].column;
		if (fits)
			table->headings[i].widest = 0;
	}
	return rows_open(stdout, table->headings, table->n_columns, NULL, &table->rows);
}

int set_table_open(const struct set_column *columns, size_t n, unsigned room,
		   struct set_table **ret)
{
	struct set_table *table = calloc(1, sizeof(*table));
	int r = 0;

	if (!table)
		return -ENOMEM;
	table->columns = columns;
	table->n_columns = n;
	table->room = room;
	if (room == 0)
		r = open_rows(table, true);
	if (r < 0) {
		free(table);
		return r;
	}
	*ret = table;
	return 0;
}

static bool is_shortened(const struct set_table *table, size_t column)
{
	const struct set_column *own = &table->columns[column];

	return own->turn > 0 && own->turn <= table->turn;
}

static unsigned width_of(const struct set_table *table, size_t column)
{
	const char *heading = table->columns[column].column.heading;
	unsigned width = text_width(heading, strlen(heading));
	char copy[LIST_CELL_MAX];

	for (size_t i = column; i < table->n_kept; i += table->n_columns) {
		const struct kept_cell *cell = &table->kept[i];
		size_t len = cell->len;

		memcpy(copy, cell->text, len);
		if (is_shortened(table, column))
			len = table->columns[column].shorten(copy, len);
		width = MAX(width, text_width(copy, len));
	}
	return width;
}

static bool fits(const struct set_table *table)
{
	size_t width = GAP * (table->n_columns - 1);

	for (size_t i = 0; i < table->n_columns; i++)
		width += width_of(table, i);
	return width <= table->room;
}

static void write_cell(struct set_table *table, size_t column, char *text, size_t len,
		       const char *colour)
{
	if (is_shortened(table, column))
		len = table->columns[column].shorten(text, len);
	rows_cell(table->rows, text, len, colour);
}

static unsigned last_turn(const struct set_table *table)
{
	unsigned last = 0;

	for (size_t i = 0; i < table->n_columns; i++)
		last = MAX(last, table->columns[i].turn);
	return last;
}

/* The widths are known. 0 or -ENOMEM. */
static int settle(struct set_table *table)
{
	unsigned last = last_turn(table);
	bool fitting = fits(table);
	int r;

	while (!fitting && table->turn < last) {
		table->turn++;
		fitting = fits(table);
	}
	r = open_rows(table, fitting);
	for (size_t i = 0; i < table->n_kept; i++) {
		struct kept_cell *cell = &table->kept[i];

		if (r == 0)
			write_cell(table, i % table->n_columns, cell->text, cell->len,
				   cell->colour);
		free(cell->text);
	}
	table->n_kept = 0;
	return r;
}

void set_table_cell(struct set_table *table, char *text, size_t len, const char *colour)
{
	size_t column = table->column;
	char *copy = NULL;

	table->column = (column + 1) % table->n_columns;
	if (!table->rows && table->n_kept < KEPT_ROWS * table->n_columns)
		copy = malloc(len + 1);
	if (copy) {
		memcpy(copy, text, len);
		table->kept[table->n_kept++] = (struct kept_cell){copy, len, colour};
		return;
	}
	if (table->rows || settle(table) == 0)
		write_cell(table, column, text, len, colour);
}

unsigned set_table_turn(struct set_table *table)
{
	if (!table)
		return 0;
	if (!table->rows && table->n_kept > 0)
		settle(table);
	return table->turn;
}

void set_table_close(struct set_table *table)
{
	if (!table)
		return;
	set_table_turn(table);
	rows_close(table->rows);
	free(table);
}
