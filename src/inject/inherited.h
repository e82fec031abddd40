/* SPDX-License-Identifier: MIT */
/* The TCP sockets that a program is started with: inetd's way, socket activation. */
#pragma once

#include "plan.h"
#include "report.h"

/*
 * In the process that is to execute the program: gives the settings to each TCP socket that it will
 * find open. report may be NULL.
 */
void inherited_give(const struct plan *plan, struct report *report);

/* The first of them that it will find, or -1. */
int inherited_first(void);

/* How many connections wait to be accepted from listeners among them: made before any setting. */
unsigned inherited_waiting(void);
