/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/put.h"
#include "output/span.h"

#define FIRST_AFTER_MS 1000
#define EACH_MS        200

/* A clock read for each socket would cost more than to list it, and a part of what its change
 * does. */
#define EACH_LISTED  8192 /* powers of two */
#define EACH_CHANGED 16

/* Few may be changed one in a second, and each is told. */
#define FEW 4096

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static size_t look_each(size_t total)
{
	if (total == 0)
		return EACH_LISTED;
	return total <= FEW ? 1 : EACH_CHANGED;
}

void progress_start(struct progress *progress, size_t total, bool rows)
{
	uint64_t now = now_ms();

	*progress = (struct progress){
		.wanted = isatty(STDERR_FILENO) && (!rows || !isatty(STDOUT_FILENO)),
		.total = total,
		.mask = look_each(total) - 1,
		.started_ms = now,
		.next_ms = now + FIRST_AFTER_MS,
	};
}

static void show_count(const struct progress *progress)
{
	char done[PUT_NUMBER_MAX * 2];

	*put_grouped(done, progress->done) = '\0';
	fprintf(stderr, "\r%s socket%s ...", done, progress->done == 1 ? "" : "s");
}

static void show_rest(const struct progress *progress, uint64_t now)
{
	char done[PUT_NUMBER_MAX * 2], total[PUT_NUMBER_MAX * 2], left[SPAN_TEXT_MAX];
	size_t n = MIN(progress->done, progress->total), rest = progress->total - n;

	*put_grouped(done, n) = '\0';
	*put_grouped(total, progress->total) = '\0';
	span_format((now - progress->started_ms) * 1000 * rest / n / 1000000 * 1000000, 0, left);
	fprintf(stderr, "\r\033[K%s of %s sockets, %s left ...", done, total, left);
}

void progress_look(struct progress *progress)
{
	uint64_t now = now_ms();

	if (now < progress->next_ms)
		return;
	if (progress->total > 0)
		show_rest(progress, now);
	else
		show_count(progress);
	fflush(stderr);
	progress->next_ms = now + EACH_MS;
	progress->shown = true;
}

void progress_clear(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
