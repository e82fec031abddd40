/* SPDX-License-Identifier: MIT */
/* tcpkeep explain: what settings mean, as a timeline in text, JSON or a picture. */
#include <stdio.h>
#include <string.h>
#include <tcpkeep.h>

#include "cli.h"
#include "explanation.h"
#include "output/colour.h"
#include "output/json.h"
#include "output/span.h"

struct args {
	const char *svg;
};

static const struct option options[] = {
	{"svg", "FILE", "write a picture of the timeline instead", OPTION_TEXT,
	 offsetof(struct args, svg), COMPLETES_FILES},
};

/* ------------------------------------------------------------------------------------ text */

/* Both columns are right-aligned under the heading that print_columns() writes. */
static void print_row(uint64_t earliest_us, uint64_t latest_us, const char *what)
{
	char earliest[SPAN_TEXT_MAX], latest[SPAN_TEXT_MAX] = "";

	span_format(earliest_us, 0, earliest);
	if (latest_us != earliest_us)
		span_format(latest_us, 1, latest);
	printf("  %11s  %s%13s%s   %s\n", earliest, colour(COLOUR_DIM), latest, colour(COLOUR_NONE),
	       what);
}

static void print_columns(void)
{
	printf("  %s%11s  %13s%s\n", colour(COLOUR_DIM), "after", "at the latest",
	       colour(COLOUR_NONE));
}

/* Many steps are shown by the first and the last ones. */
#define STEPS_SHOWN 8

static void print_steps(const struct lane *lane, const char *name)
{
	size_t total = lane->n_steps + lane->n_beyond;
	bool folded = total > STEPS_SHOWN;

	for (size_t i = 0; i < lane->n_steps; i++) {
		char what[64];

		if (folded && i == STEPS_SHOWN - 2) {
			/* The last one is shown when it was kept. */
			i = lane->n_beyond ? lane->n_steps : lane->n_steps - 2;
			printf("  %11s  %13s   %s%zu more%s\n", "...", "", colour(COLOUR_DIM),
			       total - (STEPS_SHOWN - 2) - (lane->n_beyond ? 0 : 1),
			       colour(COLOUR_NONE));
			continue;
		}
		snprintf(what, sizeof(what), "%s %zu", name, i + 1);
		print_row(lane->steps[i].earliest_us, lane->steps[i].latest_us, what);
	}
}

static void print_death(const struct lane *lane)
{
	char what[96];

	if (lane->death_us == TCPKEEP_NEVER) {
		printf("  %s%11s%s  %13s   nobody asks, nothing is noticed\n", colour(COLOUR_BAD),
		       "never", colour(COLOUR_NONE), "");
		return;
	}
	/* Only keepalive tells the peer: tcp_keepalive_timer() resets, the others just give up. */
	snprintf(what, sizeof(what), "%sdead%s: the program gets %s%s", colour(COLOUR_BAD),
		 colour(COLOUR_NONE), strerrorname_np(lane->error),
		 lane->condition == TCPKEEP_CONDITION_IDLE ? ", the peer a reset" : "");
	print_row(lane->death_us, lane->worst_us, what);
}

static void print_heading(const char *text)
{
	printf("\n%s%s%s\n", colour(COLOUR_BOLD), text, colour(COLOUR_NONE));
}

static void print_settings(const struct explanation *e)
{
	char text[TCPKEEP_SETTINGS_TEXT_MAX];
	struct tcpkeep_settings shown = e->settings;
	const char *separator = "";

	/* What is not there is not said: no user timeout, and on, which asking to explain implies.
	 */
	if (shown.user_timeout_ms == 0)
		shown.fields &= ~(uint32_t)TCPKEEP_USER_TIMEOUT;
	if (shown.on)
		shown.fields &= ~(uint32_t)TCPKEEP_ON;
	tcpkeep_settings_format(&shown, text, sizeof(text));
	printf("%s%s%s", colour(COLOUR_BOLD), text, colour(COLOUR_NONE));
	if (e->from_sysctl) {
		printf("   (");
		if (e->from_sysctl & TCPKEEP_TIME)
			printf("time"), separator = ", ";
		if (e->from_sysctl & TCPKEEP_INTVL)
			printf("%sintvl", separator), separator = ", ";
		if (e->from_sysctl & TCPKEEP_PROBES)
			printf("%sprobes", separator);
		printf(" from the sysctl)");
	}
	putchar('\n');
}

static void print_idle(const struct explanation *e)
{
	const struct lane *lane = &e->lanes[LANE_IDLE];

	print_heading("Idle, and the peer is gone");
	print_columns();
	print_row(0, 0, "last heard from the peer (data or an acknowledgement)");
	print_steps(lane, "probe");
	print_death(lane);
}

static void print_in_flight(const struct explanation *e)
{
	const struct lane *lane = &e->lanes[LANE_IN_FLIGHT];

	print_heading("Data in flight, and the peer is gone");
	print_columns();
	print_row(0, 0, "data sent; keepalive is silent until it is acknowledged");
	print_steps(lane, "retransmission");
	print_death(lane);
	if (e->settings.user_timeout_ms > 0)
		printf("  bounded by the user timeout, which counts from the first retransmission\n");
	else
		printf("  bounded by net.ipv4.tcp_retries2=%d alone; a user timeout would shorten it\n",
		       e->kernel.retries2);
}

static void print_zero_window(const struct explanation *e)
{
	const struct lane *lane = &e->lanes[LANE_ZERO_WINDOW];
	char span[SPAN_TEXT_MAX];

	print_heading("Zero window (the peer's program reads nothing), and the peer is gone");
	print_columns();
	print_row(0, 0, "data queued; keepalive is silent until it is sent");
	print_steps(lane, "window probe");
	print_death(lane);
	if (e->detection.zero_window_answered_us == TCPKEEP_NEVER)
		printf("  a peer that lives and goes on not reading is waited for without end\n");
	else
		printf("  %sa healthy peer that goes on not reading is cut off as well%s, after at most %s\n",
		       colour(COLOUR_WARN), colour(COLOUR_NONE),
		       span_format(e->detection.zero_window_answered_us, 1, span));
}

static void print_summary(const struct explanation *e)
{
	unsigned rate = explanation_probes_per_hour_x10(e);
	char span[SPAN_TEXT_MAX];

	print_heading("A dead peer is noticed, at the latest, after");
	printf("  %11s  when idle\n", span_format(e->detection.idle_us, 1, span));
	printf("  %11s  with data in flight\n", span_format(e->detection.in_flight_us, 1, span));
	printf("  %11s  with a zero window\n", span_format(e->detection.zero_window_us, 1, span));
	if (e->period_us != TCPKEEP_NEVER)
		printf("A healthy idle connection is probed every %s: %u.%u probes an hour.\n",
		       span_format(e->period_us, 0, span), rate / 10, rate % 10);
	printf("The kernel's timers (HZ=%u) may be late by up to an eighth, never early.\n",
	       e->kernel.hz);
}

static void print_text(const struct explanation *e)
{
	print_settings(e);
	print_idle(e);
	print_in_flight(e);
	print_zero_window(e);
	print_summary(e);
}

/* ------------------------------------------------------------------------------------ JSON */

static void json_lane(struct json *json, const char *key, const struct lane *lane)
{
	json_begin_object(json, key);
	json_begin_array(json, "events");
	for (size_t i = 0; i < lane->n_steps; i++) {
		json_begin_object(json, NULL);
		json_string(json, "event", tcpkeep_event_name(lane->kind));
		json_seconds(json, "earliest_s", lane->steps[i].earliest_us);
		json_seconds(json, "latest_s", lane->steps[i].latest_us);
		json_end_object(json);
	}
	json_end_array(json);
	json_uint(json, "events_left_out", lane->n_beyond);
	json_seconds(json, "death_earliest_s", lane->death_us);
	json_seconds(json, "death_latest_s", lane->worst_us);
	json_string(json, "error",
		    lane->death_us == TCPKEEP_NEVER ? NULL : strerrorname_np(lane->error));
	json_end_object(json);
}

static void json_settings(struct json *json, const struct explanation *e)
{
	const struct tcpkeep_settings *s = &e->settings;
	static const char *const origins[] = {"argument", "sysctl"};

	json_begin_object(json, "settings");
	json_bool(json, "on", s->on);
	json_int(json, "time_s", s->time_s);
	json_int(json, "intvl_s", s->intvl_s);
	json_int(json, "probes", s->probes);
	json_int(json, "user_timeout_ms", s->user_timeout_ms);
	json_string(json, "time_origin", origins[!!(e->from_sysctl & TCPKEEP_TIME)]);
	json_string(json, "intvl_origin", origins[!!(e->from_sysctl & TCPKEEP_INTVL)]);
	json_string(json, "probes_origin", origins[!!(e->from_sysctl & TCPKEEP_PROBES)]);
	json_end_object(json);
}

static void json_warnings(struct json *json, const struct tcpkeep_settings *settings)
{
	uint32_t warnings = tcpkeep_settings_warnings(settings);
	char text[256];

	json_begin_array(json, "warnings");
	for (uint32_t bit = 1; bit && bit <= warnings; bit <<= 1)
		if (warnings & bit && tcpkeep_warning_format((enum tcpkeep_warning)bit, settings,
							     text, sizeof(text)) >= 0)
			json_string(json, NULL, text);
	json_end_array(json);
}

static void print_json(const struct explanation *e)
{
	struct json json;

	json_init(&json, stdout);
	json_begin_object(&json, NULL);
	json_string(&json, "schema", "tcpkeep.explain/1");
	json_settings(&json, e);
	json_begin_object(&json, "kernel");
	json_uint(&json, "hz", e->kernel.hz);
	json_int(&json, "tcp_retries2", e->kernel.retries2);
	json_uint(&json, "tcp_rto_max_ms", e->kernel.rto_max_ms);
	json_end_object(&json);
	json_begin_object(&json, "detection");
	json_seconds(&json, "idle_s", e->detection.idle_us);
	json_seconds(&json, "in_flight_s", e->detection.in_flight_us);
	json_seconds(&json, "zero_window_s", e->detection.zero_window_us);
	json_seconds(&json, "zero_window_answered_s", e->detection.zero_window_answered_us);
	json_end_object(&json);
	json_seconds(&json, "probe_period_s", e->period_us);
	json_lane(&json, "idle", &e->lanes[LANE_IDLE]);
	json_lane(&json, "in_flight", &e->lanes[LANE_IN_FLIGHT]);
	json_lane(&json, "zero_window", &e->lanes[LANE_ZERO_WINDOW]);
	json_warnings(&json, &e->settings);
	json_end_object(&json);
}

/* --------------------------------------------------------------------------------- command */

static int run(const struct invocation *invocation)
{
	const struct args *args = invocation->args;
	struct tcpkeep_settings settings;
	struct tcpkeep_kernel kernel;
	struct explanation explanation;
	int status, r;

	status = parse_settings_operands(invocation, TCPKEEP_SCOPE_SOCKET, &settings);
	if (status != EXIT_DONE)
		return status;
	tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	r = explanation_make(&settings, &kernel, &explanation);
	if (r < 0) {
		say_error("explain: the model refuses this kernel's values: %s", strerror(-r));
		return EXIT_FAILED;
	}
	say_settings_warnings(&explanation.settings);
	if (args->svg) {
		r = explanation_write_svg(&explanation, args->svg);
		if (r < 0) {
			say_error("explain: cannot write '%s': %s", args->svg, strerror(-r));
			return EXIT_FAILED;
		}
	}
	if (invocation->json)
		print_json(&explanation);
	else if (!args->svg)
		print_text(&explanation);
	return EXIT_DONE;
}

const struct command command_explain = {
	.name = "explain",
	.summary = "what settings mean: every probe, the death, the detection times",
	.synopsis = "[SETTINGS] [--svg FILE] [--json]",
	.about =
		"Shows when the kernel probes a peer that is gone and when it gives up: for an idle\n"
		"connection, with data in flight, and with a zero window, which are three different\n"
		"stories. What SETTINGS leaves open comes from the sysctls of this network namespace.",
	.examples =
		"  tcpkeep explain time=60 intvl=10 probes=6\n"
		"  tcpkeep explain                          the sysctls as they are\n"
		"  tcpkeep explain time=2m intvl=20 probes=4 user-timeout=3m --svg keepalive.svg",
	.options = options,
	.n_options = ARRAY_SIZE(options),
	.args_size = sizeof(struct args),
	.operands = COMPLETES_SETTINGS,
	.has_json = true,
	.run = run,
};
