/* SPDX-License-Identifier: MIT */
/* `tcpkeep prove` for a person: two stories, each in two columns, and the model's times beside the
 * kernel's. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/duration.h"
#include "base/escape.h"
#include "base/macro.h"
#include "output/colour.h"
#include "prove-report.h"

#define INDENT       2
#define LABEL_WIDTH  16
#define CELL_WIDTH   38 /* the row: 2 + 16 + 38 + 2 + 38 */
#define CELL_GAP     2
#define PROBES_SHOWN 6

/* ----------------------------------------------------------------------------- the columns */

struct cell {
	char text[320];
	enum colour colour;
};

static void put(struct cell *cell, enum colour tint, const char *format, ...) PRINTF_LIKE(3, 4);

static void put(struct cell *cell, enum colour tint, const char *format, ...)
{
	size_t n = strlen(cell->text);
	va_list args;

	va_start(args, format);
	vsnprintf(cell->text + n, sizeof(cell->text) - n, format, args);
	va_end(args);
	cell->colour = tint;
}

static bool begins_character(char byte)
{
	return (byte & 0xc0) != 0x80; /* UTF-8: not a continuation */
}

/* How many bytes of text stand on one line of a cell, broken at blanks; *ret_width in characters.
 */
static size_t line_length(const char *text, size_t *ret_width)
{
	size_t n = 0, width = 0, blank = 0, blank_width = 0;

	for (; text[n] && (width < CELL_WIDTH || !begins_character(text[n])); n++) {
		if (text[n] == ' ') {
			blank = n;
			blank_width = width;
		}
		width += begins_character(text[n]);
	}
	if (text[n] && text[n] != ' ' && blank > 0) {
		n = blank;
		width = blank_width;
	}
	*ret_width = width;
	return n;
}

/* One line of one cell; returns what is left of the text. */
static const char *print_line(const struct cell *cell, const char *text, bool pad)
{
	size_t width, n = line_length(text, &width);

	printf("%s%.*s%s", cell->colour && n ? colour(cell->colour) : "", (int)n, text,
	       cell->colour && n ? colour(COLOUR_NONE) : "");
	if (pad)
		printf("%*s", (int)(CELL_WIDTH + CELL_GAP - width), "");
	text += n;
	return text + strspn(text, " ");
}

static void print_row(const char *label, const struct cell cells[PROVE_WAYS])
{
	const char *left = cells[PROVE_WITHOUT].text, *right = cells[PROVE_WITH].text;

	do {
		printf("%*s%-*s", INDENT, "", LABEL_WIDTH, label);
		left = print_line(&cells[PROVE_WITHOUT], left, *right != '\0');
		right = print_line(&cells[PROVE_WITH], right, false);
		putchar('\n');
		label = "";
	} while (*left || *right);
}

/* "2.016": three decimals, rounded down. */
static const char *seconds(uint64_t us, char *buf, size_t size)
{
	snprintf(buf, size, "%llu.%03llu", (unsigned long long)(us / 1000000),
		 (unsigned long long)(us / 1000 % 1000));
	return buf;
}
#define SECONDS(us) seconds(us, (char[24]){0}, 24)

/* ---------------------------------------------------------------------------- the cells */

static void describe_timer(const struct prove_seen *seen, struct cell *cell)
{
	char text[DURATION_TEXT_MAX];

	if (!seen->timer_known)
		put(cell, COLOUR_DIM, "not seen");
	else if (seen->timer == 0)
		put(cell, COLOUR_NONE, "none armed");
	else if (seen->timer != 2)
		put(cell, COLOUR_NONE, "another one (%u)", seen->timer);
	else if (seen->timer_us >= 60 * 1000000ULL)
		put(cell, COLOUR_WARN, "the client's own keepalive, first probe in %s",
		    duration_format(seen->timer_us / 1000000 * 1000, text));
	else
		put(cell, COLOUR_NONE, "keepalive, fires in %s s", SECONDS(seen->timer_us));
}

static void describe_probes(const struct prove_seen *seen, struct cell *cell)
{
	unsigned answered = 0;

	if (seen->acted_us == TCPKEEP_NEVER) {
		put(cell, COLOUR_DIM, "-");
		return;
	}
	if (seen->n_probes == 0) {
		put(cell, COLOUR_NONE, "none");
		return;
	}
	for (unsigned i = 0; i < seen->n_probes; i++) {
		answered += seen->probes[i].answered_us != TCPKEEP_NEVER;
		if (i < PROBES_SHOWN)
			put(cell, COLOUR_NONE, "%s%s", i ? "  " : "",
			    SECONDS(seen->probes[i].sent_us));
	}
	if (seen->n_probes > PROBES_SHOWN)
		put(cell, COLOUR_NONE, " ... %u in all", seen->n_probes);
	if (answered == seen->n_probes)
		put(cell, COLOUR_NONE, " s, %sanswered", answered > 1 ? "all " : "");
	else if (answered == 0)
		put(cell, COLOUR_NONE, " s, unanswered");
	else
		put(cell, COLOUR_NONE, " s, %u answered", answered);
}

/* What keeps a network from a judgement. */
static void describe_odd(const struct prove_seen *seen, struct cell *cell)
{
	switch (seen->outcome) {
	case PROVE_NOT_CONNECTED:
		put(cell, COLOUR_BAD, "the client never connected");
		return;
	case PROVE_EXITED:
		put(cell, COLOUR_BAD, "the client ended too early");
		return;
	case PROVE_CLOSED:
		put(cell, COLOUR_WARN, "the client closed the connection itself");
		if (seen->closed_us != TCPKEEP_NEVER)
			put(cell, COLOUR_WARN, " at %s s", SECONDS(seen->closed_us));
		return;
	case PROVE_RESTLESS:
		put(cell, COLOUR_WARN, "the client was never silent for long enough");
		return;
	case PROVE_NOT_IDLE:
		put(cell, COLOUR_WARN,
		    "the client sent data: retransmission decides then, not keepalive");
		return;
	case PROVE_PENDING:
	case PROVE_ANSWERED:
	case PROVE_LOST:
	case PROVE_NOTICED:
	case PROVE_UNNOTICED:
		break;
	}
	put(cell, COLOUR_DIM, "unknown(%d)", (int)seen->outcome);
}

static void describe_answer(const struct prove_seen *seen, struct cell *cell)
{
	if (seen->outcome == PROVE_ANSWERED)
		put(cell, COLOUR_GOOD, "ARRIVED, %llu us after it was sent",
		    (unsigned long long)(seen->arrived_us - MIN(seen->acted_us, seen->arrived_us)));
	else if (seen->outcome == PROVE_LOST)
		put(cell, COLOUR_BAD, "LOST: sent %u times in %s s, never acknowledged",
		    seen->sends, SECONDS(seen->watched_us - seen->acted_us));
	else
		describe_odd(seen, cell);
}

static void describe_notice(const struct prove_seen *seen, struct cell *cell)
{
	if (seen->outcome == PROVE_NOTICED)
		put(cell, COLOUR_GOOD, "after %s s: reset sent, socket %s", SECONDS(seen->death_us),
		    seen->socket_gone ? "gone" : "still there");
	else if (seen->outcome == PROVE_UNNOTICED && seen->timer_known && seen->timer == 0)
		put(cell, COLOUR_BAD,
		    "NEVER: no timer is armed that could notice it (watched for %s s)",
		    SECONDS(seen->watched_us));
	else if (seen->outcome == PROVE_UNNOTICED)
		put(cell, COLOUR_BAD, "NOT within %s s", SECONDS(seen->watched_us));
	else
		describe_odd(seen, cell);
}

static void describe_program(const struct prove_seen *seen, struct cell *cell)
{
	bool for_ever = (seen->outcome == PROVE_LOST || seen->outcome == PROVE_UNNOTICED) &&
			seen->timer_known && seen->timer == 0;

	if (seen->said[0])
		put(cell, COLOUR_NONE, "says \"%s\", ", seen->said);
	if (!seen->exited)
		put(cell, COLOUR_NONE, for_ever ? "waits, and would for ever" : "runs on");
	else if (WIFEXITED(seen->status))
		put(cell, COLOUR_NONE, "ends with status %d", WEXITSTATUS(seen->status));
	else
		put(cell, COLOUR_NONE, "ended by signal %d (%s)", WTERMSIG(seen->status),
		    strsignal(WTERMSIG(seen->status)));
}

static void describe_connections(const struct prove_seen *seen, struct cell *cell)
{
	put(cell, COLOUR_NONE, "%u%s", seen->connections,
	    seen->connections > 1 ? "; the oldest that stayed open is judged" : "");
}

/* ---------------------------------------------------------------------------- the stories */

static void print_heading(unsigned number, const char *format, ...) PRINTF_LIKE(2, 3);

static void print_heading(unsigned number, const char *format, ...)
{
	va_list args;

	printf("\n%s%u. ", colour(COLOUR_BOLD), number);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("%s\n\n", colour(COLOUR_NONE));
}

typedef void describe_fn(const struct prove_seen *seen, struct cell *cell);

static void print_described(const char *label, const struct prove_seen seen[PROVE_WAYS],
			    describe_fn *describe)
{
	struct cell cells[PROVE_WAYS] = {0};

	for (int way = 0; way < PROVE_WAYS; way++)
		describe(&seen[way], &cells[way]);
	print_row(label, cells);
}

static void print_story(const struct prove_seen seen[PROVE_WAYS], const char *fault,
			describe_fn *describe_fault)
{
	static const struct cell heads[PROVE_WAYS] = {
		[PROVE_WITHOUT] = {"without", COLOUR_BOLD},
		[PROVE_WITH] = {"with tcpkeep run", COLOUR_BOLD},
	};

	print_row("", heads);
	if (seen[PROVE_WITHOUT].connections != 1 || seen[PROVE_WITH].connections != 1)
		print_described("connections", seen, describe_connections);
	print_described("kernel's timer", seen, describe_timer);
	print_described("probes", seen, describe_probes);
	print_described(fault, seen, describe_fault);
	print_described("the program", seen, describe_program);
}

static void print_nat(const struct prove_plan *plan, const struct prove_result *result)
{
	const struct prove_seen *seen = result->seen[PROVE_NAT];

	print_heading(
		1,
		"Behind a NAT that forgets a connection after %u s of silence; the server answers after %u s",
		plan->nat_timeout_s, (unsigned)(plan->answer_after_us / 1000000));
	print_story(seen, "the answer", describe_answer);
	if (seen[PROVE_WITHOUT].outcome == PROVE_LOST && result->kept)
		printf("\n  The NAT forgot the silent connection and dropped the answer without a word. The probes are\n"
		       "  traffic: with them it never forgot.\n");
}

static void print_vanish(const struct prove_plan *plan, const struct prove_result *result)
{
	const struct prove_seen *seen = result->seen[PROVE_VANISH];

	print_heading(2, "The server vanishes after %s s, without a word, as if its power were cut",
		      SECONDS(plan->vanish_after_us));
	print_story(seen, "noticed", describe_notice);
	if (seen[PROVE_WITHOUT].outcome == PROVE_UNNOTICED && result->noticed)
		printf("\n  A connection on which nothing is sent has nothing that could fail. Probes that stay unanswered\n"
		       "  are how the kernel finds out, and how the program gets its error.\n");
}

static void print_time(const struct prove_time *time)
{
	char event[32], predicted[56] = "not at all", measured[28] = "never";

	if (time->kind == TCPKEEP_EVENT_DEATH)
		snprintf(event, sizeof(event), "given up");
	else
		snprintf(event, sizeof(event), "probe %u", time->count);
	if (time->earliest_us != TCPKEEP_NEVER)
		snprintf(predicted, sizeof(predicted), "%s to %s", SECONDS(time->earliest_us),
			 SECONDS(time->latest_us));
	if (time->measured_us != TCPKEEP_NEVER)
		snprintf(measured, sizeof(measured), "%s", SECONDS(time->measured_us));
	printf("  %-18s%-12s%20s%14s   %s%s%s\n",
	       time->scenario == PROVE_NAT ? "NAT" : "server vanished", event, predicted, measured,
	       colour(time->agrees ? COLOUR_GOOD : COLOUR_BAD), time->agrees ? "agrees" : "DIFFERS",
	       colour(COLOUR_NONE));
}

static void print_times(const struct prove_result *result)
{
	if (result->n_times == 0)
		return;
	print_heading(
		3,
		"The model's times and the kernel's, in seconds since the client heard something last");
	printf("  %s%-18s%-12s%20s%14s%s\n", colour(COLOUR_BOLD), "", "", "predicted", "measured",
	       colour(COLOUR_NONE));
	for (unsigned i = 0; i < result->n_times; i++)
		print_time(&result->times[i]);
}

/* -------------------------------------------------------------------------- the verdict */

/* Nothing can be judged of a client that never connects. */
static bool print_unconnected(const struct prove_plan *plan, const struct prove_result *result)
{
	bool waits = false, ends = false;

	for (int scenario = 0; scenario < PROVE_SCENARIOS; scenario++)
		for (int way = 0; way < PROVE_WAYS; way++) {
			const struct prove_seen *seen = &result->seen[scenario][way];

			waits |= seen->outcome == PROVE_NOT_CONNECTED;
			ends |= seen->outcome == PROVE_EXITED && seen->connections == 0;
		}
	if (ends)
		printf("  The client ended before it connected: see what it says.\n");
	if (waits)
		printf("  The client has to connect to %s within 9 s.\n", PROVE_HOST);
	if (plan->command && (ends || waits))
		printf("  Write {host} and {port} where the command takes the server's address.\n");
	return ends || waits;
}

/* Why the settings had no effect on a client of the user's. */
static void print_hint(const struct prove_plan *plan, const struct prove_result *result)
{
	const struct prove_seen *seen = &result->seen[PROVE_VANISH][PROVE_WITH];

	if (seen->timer_known && seen->timer == 0)
		printf("  The settings did not reach the connection: 'tcpkeep run' cannot see into static\n"
		       "  programs, setuid ones and those that call the kernel themselves; see tcpkeep-run(1).\n");
	else if (!plan->enforce)
		printf("  Has the client settings of its own? 'tcpkeep run' leaves them alone; --enforce does not.\n");
}

static void print_doubts(const struct prove_plan *plan, const struct prove_result *result)
{
	if (print_unconnected(plan, result))
		return;
	if (!result->judged)
		printf("  Not everything came to a judgement: see above.\n");
	if (!result->kept)
		printf("  The connection behind the NAT was not kept.\n");
	if (!result->noticed)
		printf("  The vanished server was not noticed.\n");
	if (!result->contrast)
		printf("  Without tcpkeep it should have been lost, unnoticed, and with no timer armed.\n");
	if (result->n_agree < result->n_times)
		printf("  %u of %u times differ from the model's.\n",
		       result->n_times - result->n_agree, result->n_times);
	if (plan->command && result->n_agree < result->n_times)
		print_hint(plan, result);
}

static void print_verdict(const struct prove_plan *plan, const struct prove_result *result)
{
	if (!prove_result_is_good(result)) {
		printf("\n%sNOT PROVEN%s\n", colour(COLOUR_BAD), colour(COLOUR_NONE));
		print_doubts(plan, result);
		return;
	}
	printf("\n%sPROVEN%s on this kernel: kept behind the NAT, the dead peer noticed in %s s, and %u of %u times\n"
	       "as the model predicts (within a bucket of the kernel's timer wheel).\n",
	       colour(COLOUR_GOOD), colour(COLOUR_NONE),
	       SECONDS(result->seen[PROVE_VANISH][PROVE_WITH].death_us), result->n_agree,
	       result->n_times);
}

static const char *program_name(const struct prove_plan *plan)
{
	const char *slash;

	if (!plan->command)
		return "tcpkeep-prove-client";
	slash = strrchr(plan->command[0], '/');
	return slash ? slash + 1 : plan->command[0];
}

void prove_print_text(const struct prove_plan *plan, const struct prove_result *result)
{
	char settings[TCPKEEP_SETTINGS_TEXT_MAX], name[80];
	const char *client = program_name(plan);
	struct utsname system = {0};

	uname(&system);
	escape_text(client, strlen(client), name, sizeof(name));
	tcpkeep_settings_format(&plan->settings, settings, sizeof(settings));
	printf("Linux %s, HZ=%u. Settings: %s\nClient: %s%s\n", system.release, plan->kernel.hz,
	       settings, name,
	       plan->command
		       ? ""
		       : ", which asks a question, waits for the answer, and sets no keepalive");
	print_nat(plan, result);
	print_vanish(plan, result);
	print_times(result);
	print_verdict(plan, result);
	printf("\nNext:  tcpkeep run -- YOURPROGRAM                  keepalive for a program that has none\n"
	       "       tcpkeep prove -- YOURCLIENT {host} {port}   this proof with your own client\n"
	       "       tcpkeep sysctl                              what the kernel uses for those that ask\n"
	       "       man 7 tcpkeep                               the whole story\n");
}
