/* SPDX-License-Identifier: MIT */
/* What gives way in a table of sockets where the terminal is too narrow for all of it. */
#pragma once

#include "output/rows.h"

/* How the column of `list` of that name is shortened: fills in turn, least and shorten. */
void list_fit(const char *name, struct rows_column *ret);

/* Is it left out rather than to break all rows, unless it was asked for by name? */
bool list_fit_gives_way(const char *name);
