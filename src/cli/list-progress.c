/* SPDX-License-Identifier: MIT */
#include "list-progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/put.h"

#define FIRST_AFTER_MS 1000
#define EACH_MS        200

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void list_progress_start(struct list_progress *progress, bool silent)
{
	*progress = (struct list_progress){
		.wanted = isatty(STDERR_FILENO) && (silent || !isatty(STDOUT_FILENO)),
		.next_ms = now_ms() + FIRST_AFTER_MS,
	};
}

void list_progress_show(struct list_progress *progress)
{
	char text[PUT_NUMBER_MAX * 2];
	uint64_t now = now_ms();

	if (now < progress->next_ms)
		return;
	progress->next_ms = now + EACH_MS;
	progress->shown = true;
	*put_grouped(text, progress->rows) = '\0';
	fprintf(stderr, "\r%s socket%s ...", text, progress->rows == 1 ? "" : "s");
	fflush(stderr);
}

void list_progress_clear(struct list_progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
