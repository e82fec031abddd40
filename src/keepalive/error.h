/* SPDX-License-Identifier: MIT */
/* Filling in struct tcpkeep_error. Allocation-free. */
#pragma once

#include <tcpkeep.h>

#include "base/macro.h"

/* Writes the message, cut to fit, into *error (may be NULL), and returns r: `return
 * error_set(...)`. */
int error_set(struct tcpkeep_error *error, int r, const char *format, ...) PRINTF_LIKE(3, 4);

/* The same, with the place in the parsed text. */
int error_set_at(struct tcpkeep_error *error, int r, size_t offset, size_t length,
		 const char *format, ...) PRINTF_LIKE(5, 6);
