/* SPDX-License-Identifier: MIT */
/* --sort: the one way of `tcpkeep list` that keeps every row, some 250 bytes each. */
#pragma once

#include "list-columns.h"

struct list_sort;

/* keys and view stay the caller's. 0 or -ENOMEM. */
int list_sort_new(const struct list_choice *keys, struct list_view *view, struct list_sort **ret);
void list_sort_free(struct list_sort **sort);

/* Copies the row and all that it points to; the view is turned to it. */
int list_sort_add(struct list_sort *sort, const struct snapshot_row *row);

/* Hands the rows on in their order; equal ones as they came. fn's non-zero result ends it and is
 * returned. */
int list_sort_run(struct list_sort *sort, int (*fn)(const struct snapshot_row *row, void *userdata),
		  void *userdata);
