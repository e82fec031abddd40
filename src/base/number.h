/* SPDX-License-Identifier: MIT */
/* Whole numbers, read whole: no blanks, no sign but '-', no base but ten. Allocation-free. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* -EINVAL: not a number; -ERANGE: outside [min, max]. */
int number_parse(const char *text, size_t len, int64_t min, int64_t max, int64_t *ret);
