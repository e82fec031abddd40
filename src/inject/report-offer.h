/* SPDX-License-Identifier: MIT */
/*
 * Handing the report to programs of the run that cannot open it by its path: of another user, in
 * another PID namespace, behind a chroot. They ask at a socket whose name begins with a NUL (in no
 * file system), show the nonce and get the descriptor. What they can do with it is to count.
 */
#pragma once

#include "plan.h"

/* The socket, close-on-exec, or -errno. */
int report_offer(const struct plan_report *where);

/* Answers those who ask at the moment; waits for nobody. */
void report_hand_out(int socket, const struct plan_report *where);
