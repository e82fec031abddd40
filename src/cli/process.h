/* SPDX-License-Identifier: MIT */
/* A process as tables show it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct process {
	int pid;
	char name[64]; /* as the kernel has it (comm): any bytes but NUL */
	bool kernel;   /* a kernel thread */
};

/* -ENOENT, -ESRCH: it is gone. */
int process_read(int pid, struct process *ret);

/*
 * Writes "1234 postgres, 1240 nginx, +12 more" in at most width columns, without kernel threads;
 * names are escaped. Returns buf, which holds size > width bytes.
 */
char *processes_format(const int *pids, size_t n, size_t width, char *buf, size_t size);
