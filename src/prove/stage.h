/* SPDX-License-Identifier: MIT */
/*
 * Where the experiment plays: a process that is the first of a PID namespace. However it ends, kill
 * -9 included, the kernel ends with it every process that was started there: also the children of a
 * user's client.
 */
#pragma once

#include <tcpkeep.h>

/*
 * Runs play in such a process and returns its result, 0..255. stop polls readable when SIGINT,
 * SIGTERM or SIGHUP has come: play has to return soon. *ret_signal: the signal that came to this
 * process, 0 = none; the caller ends by it. Single-threaded processes only; stdout is flushed
 * before and, in the child, afterwards by play.
 */
int stage_run(int (*play)(int stop, void *userdata), void *userdata, int *ret_signal,
	      struct tcpkeep_error *error);
