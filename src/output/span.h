/* SPDX-License-Identifier: MIT */
/* Spans of time for people: "12.3 s", "2m 5s", "2h 11m 15s", "never". */
#pragma once

#include <stdint.h>

#define SPAN_TEXT_MAX 32

/* Below a minute with a tenth (when it is not zero), above it in whole seconds without the units
 * that are zero; rounded up when up is set, so that "at the latest" is true. buf holds
 * SPAN_TEXT_MAX bytes; returns buf. TCPKEEP_NEVER: "never". */
const char *span_format(uint64_t us, int up, char *buf);
