/* SPDX-License-Identifier: MIT */
/* A process that waits; what it inherits it holds. Its end of a pipe says what to do next. */
#pragma once

#include <sys/types.h>

struct holder {
	pid_t pid;
	int order, answer;
};

/* do_this runs in the process, again for each order; NULL: nothing does. */
struct holder holder_start(const char *name, void (*do_this)(void *userdata), void *userdata);
void holder_order(struct holder *holder);
void holder_end(struct holder *holder);
