/* SPDX-License-Identifier: MIT */
/* What `tcpkeep run --report` tells at the end, on standard error. */
#pragma once

#include <stdbool.h>

#include "inject/method.h"

void run_report_print(const struct report *report, const struct plan *plan, bool as_json);

/* There can be no report: says why, and returns the exit status. r is report_create()'s. */
int run_report_fail(int r);
