/* SPDX-License-Identifier: MIT */
/* The live line of `tcpkeep prove`. */
#include <stdio.h>
#include <unistd.h>

#include "base/macro.h"
#include "output/terminal.h"
#include "prove-report.h"

static bool shown;

static const char *nat_state(const struct prove_seen *seen, bool acted, char *buf, size_t size)
{
	if (seen->outcome == PROVE_LOST)
		return "lost";
	if (seen->outcome == PROVE_ANSWERED)
		return "kept";
	if (acted)
		return "answer sent";
	if (seen->connections == 0)
		return "starts";
	if (seen->n_probes == 0)
		return "silent";
	snprintf(buf, size, "%u probe%s", seen->n_probes, seen->n_probes == 1 ? "" : "s");
	return buf;
}

static const char *vanish_state(const struct prove_seen *seen, bool acted, char *buf, size_t size)
{
	if (seen->outcome == PROVE_NOTICED)
		return "noticed";
	if (seen->outcome == PROVE_UNNOTICED)
		return "not noticed";
	if (seen->connections == 0)
		return "starts";
	if (!acted)
		return "connected";
	if (seen->n_probes == 0)
		return "waits";
	snprintf(buf, size, "%u probe%s", seen->n_probes, seen->n_probes == 1 ? "" : "s");
	return buf;
}

void prove_print_progress(const struct prove_progress *progress, void *userdata)
{
	const struct prove_seen *const *nat = progress->seen[PROVE_NAT];
	const struct prove_seen *const *vanish = progress->seen[PROVE_VANISH];
	const bool *nat_acted = progress->acted[PROVE_NAT];
	const bool *vanish_acted = progress->acted[PROVE_VANISH];
	uint64_t total = MAX(progress->total_us, progress->elapsed_us);
	char a[24], b[24], c[24], d[24], line[200];
	unsigned width = terminal_width(STDERR_FILENO);

	(void)userdata;
	if (width == 0)
		return;
	snprintf(line, sizeof(line),
		 "%3u of %u s  NAT: %s | with tcpkeep: %s   server vanished: %s | with: %s",
		 (unsigned)(progress->elapsed_us / 1000000), (unsigned)((total + 999999) / 1000000),
		 nat_state(nat[PROVE_WITHOUT], nat_acted[PROVE_WITHOUT], a, sizeof(a)),
		 nat_state(nat[PROVE_WITH], nat_acted[PROVE_WITH], b, sizeof(b)),
		 vanish_state(vanish[PROVE_WITHOUT], vanish_acted[PROVE_WITHOUT], c, sizeof(c)),
		 vanish_state(vanish[PROVE_WITH], vanish_acted[PROVE_WITH], d, sizeof(d)));
	/* A line that wraps could not be written over. */
	fprintf(stderr, "\r\033[K%.*s", (int)width - 1, line);
	fflush(stderr);
	shown = true;
}

void prove_clear_progress(void)
{
	if (shown)
		fputs("\r\033[K", stderr);
	fflush(stderr);
	shown = false;
}
