/* SPDX-License-Identifier: MIT */
#include "rows-fit.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "width.h"

void rows_fit_cell(const struct rows_column *column, struct rows_text *cell, unsigned width)
{
	if (cell->width <= width)
		return;
	if (column->shorten)
		cell->len = column->shorten(cell->text, cell->len, width);
	else
		cell->len = text_cut(cell->text, cell->len, width);
	cell->width = text_width(cell->text, cell->len);
}

/* ----------------------------------------------------------------------------------- the table */

static unsigned table_width(const struct rows_fit *fits, size_t n)
{
	unsigned width = 0;

	for (size_t i = 0; i < n; i++)
		if (!fits[i].hidden)
			width += fits[i].width + ROWS_GAP;
	return width - ROWS_GAP;
}

/* With each column as wide as its longest cell. */
static bool fits_whole(struct rows_fit *fits, size_t n, unsigned total)
{
	unsigned width = 0;

	for (size_t i = 0; i < n; i++)
		width += fits[i].natural + ROWS_GAP;
	if (width - ROWS_GAP > total)
		return false;
	for (size_t i = 0; i < n; i++)
		fits[i].width = fits[i].natural;
	return true;
}

struct table {
	const struct rows_column *columns;
	struct rows_fit *fits;
	size_t n;
	unsigned total;
	rows_measure *measure;
	void *userdata;
};

/* As far as it is needed, and as it can be. */
static void narrow(const struct table *t, size_t i)
{
	unsigned excess = table_width(t->fits, t->n) - t->total;
	unsigned heading = (unsigned)strlen(t->columns[i].heading);
	unsigned width = t->fits[i].width > excess ? t->fits[i].width - excess : 0;

	width = MAX(width, t->columns[i].least);
	if (width >= t->fits[i].width)
		return;
	t->fits[i].width = MAX(heading, t->measure(t->userdata, i, width));
	t->fits[i].narrowed = true;
}

static bool narrow_all(const struct table *t)
{
	for (unsigned turn = 1; turn <= ROWS_TURNS; turn++)
		for (size_t i = 0; i < t->n; i++) {
			if (table_width(t->fits, t->n) <= t->total)
				return true;
			if (t->columns[i].turn == turn && !t->fits[i].hidden)
				narrow(t, i);
		}
	return table_width(t->fits, t->n) <= t->total;
}

/* What most cells are beyond is no exception, which has its own row to itself. */
static void widen(const struct table *t, unsigned n_rows)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->fits[i].longer > n_rows / 2)
			t->fits[i].width = t->fits[i].natural;
}

/* Room that is left goes to the exceptions, which would be shortened for nothing. */
static void use_room(const struct table *t)
{
	for (unsigned turn = ROWS_TURNS; turn > 0; turn--)
		for (size_t i = 0; i < t->n; i++) {
			struct rows_fit *fit = &t->fits[i];
			unsigned width = table_width(t->fits, t->n);

			if (t->columns[i].turn != turn || fit->hidden || fit->narrowed ||
			    width >= t->total || fit->width >= fit->natural)
				continue;
			fit->width += MIN(fit->natural - fit->width, t->total - width);
		}
}

static bool make_fit(const struct table *t)
{
	if (!narrow_all(t))
		return false;
	use_room(t);
	return true;
}

static void give_way(const struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		t->fits[i].hidden = t->columns[i].gives_way;
}

bool rows_fit_table(const struct rows_column *columns, struct rows_fit *fits, size_t n,
		    unsigned total, unsigned n_rows, rows_measure *measure, void *userdata)
{
	const struct table table = {columns, fits, n, total, measure, userdata};
	_cleanup_free_ struct rows_fit *before = NULL;

	if (fits_whole(fits, n, total))
		return true;
	before = malloc(n * sizeof(*before));
	if (!before)
		return false;
	memcpy(before, fits, n * sizeof(*before));
	widen(&table, n_rows);
	if (make_fit(&table))
		return true;
	memcpy(fits, before, n * sizeof(*before));
	widen(&table, n_rows);
	give_way(&table);
	if (make_fit(&table))
		return true;
	memcpy(fits, before, n * sizeof(*before));
	return false;
}

/* ------------------------------------------------------------------------------------- the row */

bool rows_fit_is_last(const struct rows_fit *fits, size_t n, size_t column)
{
	while (++column < n)
		if (!fits[column].hidden)
			return false;
	return true;
}

/* Nothing stands behind the last cell, however wide its column is; in front of it blanks may. */
static unsigned row_width(const struct rows_column *columns, const struct rows_fit *fits, size_t n,
			  const struct rows_text *cells)
{
	unsigned width = 0, unused = 0;

	for (size_t i = 0; i < n; i++) {
		if (fits[i].hidden)
			continue;
		width += MAX(fits[i].width, cells[i].width) + ROWS_GAP;
		unused = columns[i].right ? 0 : fits[i].width - MIN(fits[i].width, cells[i].width);
	}
	return width - ROWS_GAP - unused;
}

void rows_fit_row(const struct rows_column *columns, const struct rows_fit *fits, size_t n,
		  unsigned total, struct rows_text *cells)
{
	for (size_t i = 0; i < n; i++)
		if (fits[i].narrowed && !rows_fit_is_last(fits, n, i))
			rows_fit_cell(&columns[i], &cells[i], fits[i].width);
	for (unsigned turn = 1; turn <= ROWS_TURNS; turn++)
		for (size_t i = 0; i < n; i++) {
			unsigned width = row_width(columns, fits, n, cells), room = fits[i].width;

			if (width <= total)
				return;
			if (columns[i].turn != turn || fits[i].hidden)
				continue;
			if (rows_fit_is_last(fits, n, i) && cells[i].width > width - total)
				room = MAX(room, cells[i].width - (width - total));
			rows_fit_cell(&columns[i], &cells[i], room);
		}
}
