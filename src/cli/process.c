/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/macro.h"
#include "base/number.h"

/* PF_KTHREAD in include/linux/sched.h, shown in the ninth field of /proc/PID/stat:
 * proc_pid_stat(5). */
#define FLAG_KTHREAD    0x00200000
#define FIELDS_TO_FLAGS 7 /* blanks between the name's ')' and the flags */

static bool has_kthread_flag(const char *at)
{
	int64_t flags;

	for (int i = 0; i < FIELDS_TO_FLAGS && at; i++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at && number_parse(at, strcspn(at, " "), 0, UINT32_MAX, &flags) == 0 &&
	       flags & FLAG_KTHREAD;
}

int process_read(int pid, struct process *ret)
{
	_cleanup_close_ int fd = -1;
	char path[32], text[512], *open_paren, *close_paren;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	/* The name may hold blanks and parentheses: it ends at the last one. */
	open_paren = strchr(text, '(');
	close_paren = strrchr(text, ')');
	if (!open_paren || !close_paren || close_paren < open_paren)
		return -EIO;
	*close_paren = '\0';
	*ret = (struct process){.pid = pid, .kernel = has_kthread_flag(close_paren + 1)};
	snprintf(ret->name, sizeof(ret->name), "%s", open_paren + 1);
	return 0;
}

char *processes_format(const int *pids, size_t n, size_t width, char *buf, size_t size)
{
	size_t len = 0, left_out = 0, more_max = (size_t)snprintf(NULL, 0, ", +%zu more", n);

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		char name[64], one[96];
		struct process process;
		size_t one_len;

		if (process_read(pids[i], &process) < 0 || process.kernel)
			continue;
		escape_text(process.name, strlen(process.name), name, sizeof(name));
		one_len = (size_t)snprintf(one, sizeof(one), "%s%d %s", len ? ", " : "",
					   process.pid, name);
		if (left_out > 0 || len + one_len + more_max > MIN(width, size - 1)) {
			left_out++;
			continue;
		}
		memcpy(buf + len, one, one_len + 1);
		len += one_len;
	}
	if (left_out > 0)
		snprintf(buf + len, size - len, "%s+%zu more", len ? ", " : "", left_out);
	return buf;
}
