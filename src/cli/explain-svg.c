/* SPDX-License-Identifier: MIT */
/* The picture of `explain`: three lanes, each with its own scale, from the last word to the death.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errno-name.h"
#include "explanation.h"
#include "output/span.h"
#include "output/svg.h"

#define WIDTH       900
#define MARGIN      40
#define HEADER      84
#define LANE_HEIGHT 132
#define FOOTER      40
#define AXIS_WIDTH  (WIDTH - 2 * MARGIN)

/* Of a label at 12 px: a digit is as wide as it gets, and what stays free beside it. */
#define LABEL_DIGIT 7.7
#define LABEL_GAP   12

#define INK   "#1f2933"
#define DIM   "#66727f"
#define AXIS  "#b8c1ca"
#define PROBE "#1769aa"
#define DEATH "#c0392b"

static const char *const lane_titles[LANES] = {
	[LANE_IDLE] = "Idle: keepalive probes",
	[LANE_IN_FLIGHT] = "Data in flight: retransmissions, keepalive is silent",
	[LANE_ZERO_WINDOW] = "Zero window: window probes, keepalive is silent",
};

/* Where a time stands on the axis of a lane that is so long. */
static double position(uint64_t us, uint64_t length_us)
{
	return MARGIN + (double)AXIS_WIDTH * (double)us / (double)length_us;
}

static void draw_death(FILE *file, const struct lane *lane, uint64_t length_us, double y)
{
	char text[128], death[SPAN_TEXT_MAX], worst[SPAN_TEXT_MAX], name[ERRNO_NAME_MAX];
	double from = position(lane->death_us, length_us), to = position(lane->worst_us, length_us);

	/* From the earliest to the latest moment. */
	svg_rect(file, from, y - 12, to - from, 24, DEATH, 0.18);
	svg_cross(file, from, y, 6, DEATH);
	snprintf(text, sizeof(text), "dead after %s, at the latest %s: %s",
		 span_format(lane->death_us, 0, death), span_format(lane->worst_us, 1, worst),
		 lane->error ? errno_name(lane->error, name) : "no error");
	svg_text(file, MARGIN + AXIS_WIDTH, y - 26, SVG_END, 13, "bold", DEATH, text);
}

/* Labels below the axis, as many as fit without touching. */
static void draw_steps(FILE *file, const struct lane *lane, uint64_t length_us, double y)
{
	double label_free_from = MARGIN + LABEL_GAP;

	for (size_t i = 0; i < lane->n_steps; i++) {
		double x = position(lane->steps[i].earliest_us, length_us);
		double late = position(lane->steps[i].latest_us, length_us);
		char span[SPAN_TEXT_MAX];
		double half;

		if (late - x > 3)
			svg_rect(file, x, y - 4, late - x, 8, PROBE, 0.25);
		svg_circle(file, x, y, 4.5, PROBE);
		span_format(lane->steps[i].earliest_us, 0, span);
		half = (double)strlen(span) * LABEL_DIGIT / 2;
		if (x - half < label_free_from || x + half > MARGIN + AXIS_WIDTH + 20)
			continue;
		svg_text(file, x, y + 26, SVG_MIDDLE, 12, "normal", INK, span);
		label_free_from = x + half + LABEL_GAP;
	}
}

static void draw_lane(FILE *file, const struct lane *lane, const char *title, double top)
{
	double y = top + 66;
	uint64_t length_us = lane->worst_us;

	svg_text(file, MARGIN, top + 22, SVG_START, 15, "bold", INK, title);
	svg_line(file, MARGIN, y, MARGIN + AXIS_WIDTH, y, AXIS, 2);
	svg_circle(file, MARGIN, y, 4.5, DIM);
	svg_text(file, MARGIN, y + 26, SVG_MIDDLE, 12, "normal", DIM, "0");
	if (length_us == TCPKEEP_NEVER || length_us == 0) {
		svg_text(file, MARGIN + AXIS_WIDTH, y - 26, SVG_END, 13, "bold", DEATH,
			 "a dead peer is never noticed");
		return;
	}
	draw_steps(file, lane, length_us, y);
	draw_death(file, lane, length_us, y);
}

static void draw(FILE *file, const struct explanation *e)
{
	struct tcpkeep_settings shown = e->settings;
	char text[TCPKEEP_SETTINGS_TEXT_MAX], line[192];
	unsigned rate = explanation_probes_per_hour_x10(e), lanes = LANES + e->has_now;
	const struct socket_owner *owner = e->socket ? e->socket->owners : NULL;

	if (shown.user_timeout_ms == 0)
		shown.fields &= ~(uint32_t)TCPKEEP_USER_TIMEOUT;
	if (shown.on)
		shown.fields &= ~(uint32_t)TCPKEEP_ON;
	if (!shown.on)
		shown.fields &= TCPKEEP_ON | TCPKEEP_USER_TIMEOUT;
	tcpkeep_settings_format(&shown, text, sizeof(text));
	if (owner)
		snprintf(line, sizeof(line), "TCP keepalive of process %d, descriptor %d: %s",
			 owner->pid, owner->fd, text);
	else
		snprintf(line, sizeof(line), "TCP keepalive %s%s", shown.on ? "with " : "", text);
	svg_begin(file, WIDTH, HEADER + lanes * LANE_HEIGHT + FOOTER, line);
	svg_text(file, MARGIN, 38, SVG_START, 20, "bold", INK, line);
	svg_text(
		file, MARGIN, 62, SVG_START, 13, "normal", DIM,
		"What the kernel does when the peer is gone. Every lane has its own scale; shades show "
		"how late the timers may be.");
	if (e->has_now)
		draw_lane(file, &e->now, "From now on, if nothing more is heard", HEADER);
	for (size_t i = 0; i < LANES; i++)
		draw_lane(file, &e->lanes[i], lane_titles[i],
			  HEADER + (double)(i + e->has_now) * LANE_HEIGHT);
	if (rate > 0)
		snprintf(text, sizeof(text), "%u.%u", rate / 10, rate % 10);
	snprintf(line, sizeof(line),
		 "%s probes an hour on a healthy idle connection; HZ=%u, tcp_retries2=%d",
		 rate > 0 ? text : "No", e->kernel.hz, e->kernel.retries2);
	svg_text(file, MARGIN, HEADER + lanes * LANE_HEIGHT + 18, SVG_START, 13, "normal", DIM,
		 line);
	svg_end(file);
}

int explanation_write_svg(const struct explanation *explanation, const char *path)
{
	_cleanup_fclose_ FILE *opened = NULL;
	FILE *file = stdout;

	if (strcmp(path, "-") != 0) {
		file = opened = fopen(path, "we");
		if (!file)
			return -errno;
	}
	draw(file, explanation);
	if (fflush(file) != 0 || ferror(file))
		return errno ? -errno : -EIO;
	return 0;
}
