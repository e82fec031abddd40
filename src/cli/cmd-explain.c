/* SPDX-License-Identifier: MIT */
/* tcpkeep explain: what settings mean, as a timeline in text, JSON or a picture. */
#include <stdio.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/errno-name.h"
#include "base/escape.h"
#include "base/put.h"
#include "cli.h"
#include "explain-socket.h"
#include "explanation.h"
#include "list-columns.h"
#include "output/colour.h"
#include "output/json.h"
#include "output/span.h"

struct args {
	const char *svg;
};

static const struct option options[] = {
	{"svg", "FILE", "write a picture of the timeline instead; - is standard output",
	 OPTION_TEXT, offsetof(struct args, svg), COMPLETES_FILES},
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
	char what[96], name[ERRNO_NAME_MAX];

	if (lane->death_us == TCPKEEP_NEVER) {
		printf("  %s%11s%s  %13s   nobody asks, nothing is noticed\n", colour(COLOUR_BAD),
		       "never", colour(COLOUR_NONE), "");
		return;
	}
	if (lane->error == 0) {
		print_row(lane->death_us, lane->worst_us,
			  "gone: the program has closed it, nobody is told");
		return;
	}
	/* Only keepalive tells the peer: tcp_keepalive_timer() resets, the others just give up. */
	snprintf(what, sizeof(what), "%sdead%s: the program gets %s%s", colour(COLOUR_BAD),
		 colour(COLOUR_NONE), errno_name(lane->error, name),
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

static const char *step_name(enum tcpkeep_condition condition)
{
	switch (condition) {
	case TCPKEEP_CONDITION_IN_FLIGHT:
		return "retransmission";
	case TCPKEEP_CONDITION_ZERO_WINDOW:
		return "window probe";
	case TCPKEEP_CONDITION_IDLE:
	case TCPKEEP_CONDITION_ORPHAN_FIN_WAIT2:
		break;
	}
	return "probe";
}

static const char *condition_words(enum tcpkeep_condition condition)
{
	switch (condition) {
	case TCPKEEP_CONDITION_IN_FLIGHT:
		return "data is in flight";
	case TCPKEEP_CONDITION_ZERO_WINDOW:
		return "data waits for a peer that does not read";
	case TCPKEEP_CONDITION_ORPHAN_FIN_WAIT2:
		return "closed by its program";
	case TCPKEEP_CONDITION_IDLE:
		break;
	}
	return "idle";
}

/* "postgres (4711), descriptor 7: 10.0.0.1:5432, peer 10.0.0.2:40122, ESTABLISHED" */
static void print_socket(const struct explanation *e, struct list_view *view)
{
	const struct socket_owner *owner = &e->socket->owners[0];
	char program[80], local[LIST_CELL_MAX], peer[LIST_CELL_MAX], state[LIST_CELL_MAX];

	escape_text(owner->program, strnlen(owner->program, sizeof(owner->program)), program,
		    sizeof(program));
	*list_text_local(view, local) = '\0';
	*list_text_peer(view, peer) = '\0';
	*list_text_state(view, state) = '\0';
	printf("%s%s (%d), descriptor %d%s: %s, ", colour(COLOUR_BOLD), program, owner->pid,
	       owner->fd, colour(COLOUR_NONE), local);
	if (e->socket->socket.direction == ROW_DIRECTION_LISTEN)
		printf("a listener: what it accepts inherits this\n");
	else
		printf("peer %s, %s\n", peer, state);
}

static const char *timer_words(struct list_view *view, char buf[LIST_CELL_MAX])
{
	const struct socket_row *row = &view->row->socket;

	if (row->known & ROW_KNOWN_TIMER && row->timer == ROW_TIMER_NONE)
		return "no timer runs";
	if (!(row->known & ROW_KNOWN_TIMER) || row->timer == ROW_TIMER_HIDDEN)
		return "its timer cannot be seen";
	*list_text_timer(view, put_text(buf, "timer: ")) = '\0';
	return buf;
}

/* The probes that are out have numbers already: the first one to come goes on from there. */
static void print_now(const struct explanation *e, struct list_view *view)
{
	char silence[LIST_CELL_MAX], timer[LIST_CELL_MAX];
	const struct lane *lane = &e->now;

	print_heading("From now on, if nothing more is heard from the peer");
	*list_text_silence(view, silence) = '\0';
	printf("  %s; last heard from %s ago; %s\n", condition_words(lane->condition), silence,
	       timer_words(view, timer));
	print_columns();
	print_steps(lane, step_name(lane->condition));
	print_death(lane);
	if (lane->condition == TCPKEEP_CONDITION_ZERO_WINDOW &&
	    e->detection.zero_window_answered_us == TCPKEEP_NEVER)
		printf("  a peer that lives and goes on not reading is waited for without end\n");
	if (lane->condition == TCPKEEP_CONDITION_IN_FLIGHT && e->socket->socket.retransmits)
		printf("  %u retransmission%s came before and shorten this; by how much is not known\n",
		       e->socket->socket.retransmits,
		       e->socket->socket.retransmits == 1 ? "" : "s");
}

static void print_live(const struct explanation *e)
{
	struct list_view view = {0};

	list_view_take(&view, e->socket, 0);
	print_socket(e, &view);
	print_settings(e);
	if (e->has_now)
		print_now(e, &view);
	print_summary(e);
}

static void print_text(const struct explanation *e)
{
	if (e->socket) {
		print_live(e);
		return;
	}
	print_settings(e);
	print_idle(e);
	print_in_flight(e);
	print_zero_window(e);
	print_summary(e);
}

/* ------------------------------------------------------------------------------------ JSON */

static void json_lane(struct json *json, const char *key, const struct lane *lane)
{
	char name[ERRNO_NAME_MAX];

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
		    lane->death_us == TCPKEEP_NEVER || lane->error == 0
			    ? NULL
			    : errno_name(lane->error, name));
	json_end_object(json);
}

static void json_settings(struct json *json, const struct explanation *e)
{
	const struct tcpkeep_settings *s = &e->settings;
	const char *const origins[] = {e->socket ? "socket" : "argument", "sysctl"};

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

/* The members that the columns of `tcpkeep list` write. */
static void json_socket(struct json *json, const struct explanation *e)
{
	static void (*const members[])(struct list_view * view, struct json * json) = {
		list_json_owner,  list_json_family, list_json_state,   list_json_local,
		list_json_peer,   list_json_timer,  list_json_silence, list_json_in_flight,
		list_json_unsent, list_json_cookie,
	};
	struct list_view view = {0};

	list_view_take(&view, e->socket, 0);
	json_begin_object(json, "socket");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		members[i](&view, json);
	json_end_object(json);
	if (e->has_now)
		json_lane(json, "now", &e->now);
	else
		json_null(json, "now");
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
	if (e->socket)
		json_socket(&json, e);
	json_end_object(&json);
}

/* --------------------------------------------------------------------------------- command */

static bool is_number(const char *word)
{
	return *word && word[strspn(word, "0123456789")] == '\0';
}

static int fail_number(const char *word)
{
	char shown[32];

	say_error(
		"explain: '%s' is no setting; a socket is PID:FD, as tcpkeep list -o pid,fd shows them",
		escape_text(word, strlen(word), shown, sizeof(shown)));
	return EXIT_USAGE;
}

/* Of settings, or of a live socket, which *live holds. */
static int make(const struct invocation *invocation, struct live_socket *live,
		struct explanation *ret)
{
	bool is_live = invocation->n_operands > 0 && live_socket_is_meant(invocation->operands[0]);
	struct tcpkeep_settings settings;
	struct tcpkeep_kernel kernel;
	int status, r;

	if (is_live && invocation->n_operands > 1) {
		say_error("explain: PID:FD stands alone: its settings are those of the socket");
		return EXIT_USAGE;
	}
	if (!is_live && invocation->n_operands == 1 && is_number(invocation->operands[0]))
		return fail_number(invocation->operands[0]);
	status = is_live ? live_socket_find(invocation->operands[0], live)
			 : parse_settings_operands(invocation, TCPKEEP_SCOPE_SOCKET, &settings);
	if (status != EXIT_DONE)
		return status;
	if (is_live) {
		r = explanation_make_live(&live->row, ret);
	} else {
		tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
		r = explanation_make(&settings, &kernel, ret);
	}
	if (r < 0) {
		say_error("explain: the model refuses this kernel's values: %s", strerror(-r));
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

static int run(const struct invocation *invocation)
{
	const struct args *args = invocation->args;
	struct explanation explanation;
	struct live_socket live;
	int status, r;

	status = make(invocation, &live, &explanation);
	if (status != EXIT_DONE)
		return status;
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
	.summary = "what settings, or a live socket's, mean: every probe, the death",
	.synopsis = "[SETTINGS | PID:FD] [--svg FILE] [--json]",
	.about =
		"Shows when the kernel probes a peer that is gone and when it gives up: for an idle\n"
		"connection, with data in flight, and with a zero window, which are three different\n"
		"stories. What SETTINGS leaves open comes from the sysctls of this network namespace.\n"
		"PID:FD is the descriptor of a process: its socket's timeline from where it stands now.",
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
