/* SPDX-License-Identifier: MIT */
/* What gives way in the table of `tcpkeep list` where the terminal is too narrow for all of it. */
#pragma once

#include "list-columns.h"
#include "output/rows.h"

/* Fills in how the column is shortened. by_default: nobody asked for these columns by name. */
void list_fit_column(const struct list_column *column, bool by_default, struct rows_column *ret);
