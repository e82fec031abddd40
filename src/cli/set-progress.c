/* SPDX-License-Identifier: MIT */
#include "set-progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/put.h"
#include "output/span.h"

#define FIRST_AFTER_MS 1000
#define EACH_MS        200

/* A clock read for each socket would cost a part of what its change does. */
#define LOOK_EACH 16

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void set_progress_start(struct set_progress *progress, size_t total, bool rows)
{
	uint64_t now = now_ms();

	*progress = (struct set_progress){
		.wanted = isatty(STDERR_FILENO) && (!rows || !isatty(STDOUT_FILENO)),
		.total = total,
		.started_ms = now,
		.next_ms = now + FIRST_AFTER_MS,
	};
}

static void show(struct set_progress *progress, uint64_t now)
{
	char done[PUT_NUMBER_MAX * 2], total[PUT_NUMBER_MAX * 2], left[SPAN_TEXT_MAX];
	size_t rest = progress->total - progress->done;

	*put_grouped(done, progress->done) = '\0';
	*put_grouped(total, progress->total) = '\0';
	span_format((now - progress->started_ms) * 1000 * rest / progress->done / 1000000 * 1000000,
		    0, left);
	fprintf(stderr, "\r\033[K%s of %s sockets, %s left ...", done, total, left);
	fflush(stderr);
	progress->shown = true;
	progress->next_ms = now + EACH_MS;
}

void set_progress_count(struct set_progress *progress)
{
	uint64_t now;

	if (progress->done < progress->total)
		progress->done++;
	if (!progress->wanted || progress->done % LOOK_EACH != 0)
		return;
	now = now_ms();
	if (now >= progress->next_ms)
		show(progress, now);
}

void set_progress_clear(struct set_progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
