/* SPDX-License-Identifier: MIT */
#include "list-columns.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/nearest.h"
#include "cli.h"

/* net/tcp_states.h, which the C library's header lacks. */
#define TCP_NEW_SYN_RECV 12

bool list_is_connected(const struct socket_row *row)
{
	switch (row->state) {
	case TCP_LISTEN:
	case TCP_CLOSE:
	case TCP_TIME_WAIT:
	case TCP_SYN_RECV:
	case TCP_NEW_SYN_RECV:
		return false;
	}
	return !(row->flags & ROW_ORPHAN) && row->timer != ROW_TIMER_TIME_WAIT;
}

void list_view_take(struct list_view *view, const struct snapshot_row *row, unsigned needs)
{
	const struct tcpkeep_settings *settings = &row->effective.settings;

	view->row = row;
	view->detection = NULL;
	if (needs & NEEDS_OUTLOOK)
		outlook_of(&row->socket, settings, &row->netns->kernel, &view->outlook);
	if (needs & NEEDS_DETECTION && list_is_connected(&row->socket) && detection_known(settings))
		detection_of(&view->detections, settings, &row->netns->kernel, &view->detection);
}

/* ------------------------------------------------------------------------------- the colours */

static enum colour colour_of_next(const struct list_view *view)
{
	switch (view->outlook.kind) {
	case OUTLOOK_NEVER:
		return COLOUR_BAD;
	case OUTLOOK_DEAD_UNLESS:
	case OUTLOOK_RETRANSMITS:
		return COLOUR_WARN;
	case OUTLOOK_NONE:
	case OUTLOOK_UNKNOWN:
	case OUTLOOK_CONNECTING:
	case OUTLOOK_GOES_AWAY:
		return COLOUR_DIM;
	case OUTLOOK_FIRST_PROBE:
	case OUTLOOK_WINDOW:
	case OUTLOOK_PEER_CLOSED:
		break;
	}
	return COLOUR_NONE;
}

static enum colour colour_of_keepalive(const struct list_view *view)
{
	const struct tcpkeep_settings *settings = &view->row->effective.settings;

	if (!list_is_connected(&view->row->socket) || !(settings->fields & TCPKEEP_ON))
		return COLOUR_NONE;
	return settings->on ? COLOUR_GOOD : COLOUR_BAD;
}

static enum colour colour_of_detection(const struct list_view *view)
{
	return view->detection && view->detection->idle_us == TCPKEEP_NEVER ? COLOUR_BAD
									    : COLOUR_NONE;
}

/* --------------------------------------------------------------------------------- the table */

/*
 * IPv4 always fits, and most owners. The rare IPv6 address with all its digits takes twice as much:
 * with the column as wide, no row would fit 100 columns.
 */
#define ENDPOINT_WIDEST 23
#define OWNER_WIDEST    20

#define WRITERS(name) list_text_##name, list_json_##name, list_key_##name

const struct list_column list_columns[] = {
	{"netns", "network namespace: its name, or net:[INODE]", false, 0, WRITERS(netns), NULL},
	{"family", "ipv4, ipv6", false, 0, WRITERS(family), NULL},
	{"state", "the TCP state, as ss(8) writes it", false, 0, WRITERS(state), NULL},
	{"local", "local address and port", false, 0, WRITERS(local), NULL, ENDPOINT_WIDEST},
	{"peer", "the peer's address and port; LISTEN for a listener", false, 0, WRITERS(peer),
	 NULL, ENDPOINT_WIDEST},
	{"direction", "in: accepted, out: connected, listen", false, 0, WRITERS(direction), NULL},
	{"owner", "who holds it: program:pid, and how many more processes", false, NEEDS_OWNERS,
	 WRITERS(owner), NULL, OWNER_WIDEST},
	{"pid", "process, and how many more", true, NEEDS_OWNERS, WRITERS(pid), NULL},
	{"program", "name of the process", false, NEEDS_OWNERS, WRITERS(program), NULL},
	{"fd", "its descriptor in that process", true, NEEDS_OWNERS, WRITERS(fd), NULL},
	{"processes", "how many hold it", true, NEEDS_OWNERS, WRITERS(processes), NULL},
	{"user", "the user who made it", false, 0, WRITERS(user), NULL},
	{"cgroup", "cgroup in which it was made", false, NEEDS_CGROUP, WRITERS(cgroup), NULL},
	{"unit", "systemd unit in which it was made", false, NEEDS_CGROUP, WRITERS(unit), NULL},
	{"keepalive", "off, or time/intvl/probes, and the user timeout (ut=)", false, 0,
	 WRITERS(keepalive), colour_of_keepalive},
	{"time", "seconds of silence until the first probe", true, 0, WRITERS(time), NULL},
	{"intvl", "seconds between probes", true, 0, WRITERS(intvl), NULL},
	{"probes", "unanswered probes until death", true, 0, WRITERS(probes), NULL},
	{"user-timeout", "TCP_USER_TIMEOUT", true, 0, WRITERS(user_timeout), NULL},
	{"time-origin", "where time comes from: socket, sysctl", false, 0, WRITERS(time_origin),
	 NULL},
	{"intvl-origin", "where intvl comes from", false, 0, WRITERS(intvl_origin), NULL},
	{"probes-origin", "where probes comes from", false, 0, WRITERS(probes_origin), NULL},
	{"timer", "the timer that runs, when it fires, probes or retransmissions out", false, 0,
	 WRITERS(timer), NULL},
	{"timer-in", "until it fires", true, 0, WRITERS(timer_in), NULL},
	{"probes-out", "keepalive or window probes without an answer", true, 0, WRITERS(probes_out),
	 NULL},
	{"retransmits", "of the oldest data", true, 0, WRITERS(retransmits), NULL},
	{"in-flight", "bytes sent and not acknowledged", true, 0, WRITERS(in_flight), NULL},
	{"unsent", "bytes queued and not sent; a listener: connections not accepted", true, 0,
	 WRITERS(unsent), NULL},
	{"silence", "since anything was heard from the peer", true, 0, WRITERS(silence), NULL},
	{"detection", "idle, a dead peer is noticed after, at the latest", true, NEEDS_DETECTION,
	 WRITERS(detection), colour_of_detection},
	{"next", "what will happen next if the peer stays silent", false, NEEDS_OUTLOOK,
	 WRITERS(next), colour_of_next},
	{"next-in", "until then", true, NEEDS_OUTLOOK, WRITERS(next_in), NULL},
	{"mptcp", "yes: a subflow of an MPTCP connection", false, 0, WRITERS(mptcp), NULL},
	{"cookie", "the kernel's number of the socket (ss -e: sk)", true, 0, WRITERS(cookie), NULL},
	{"inode", "of the socket's file: socket:[INODE]", true, 0, WRITERS(inode), NULL},
};
const size_t n_list_columns = ARRAY_SIZE(list_columns);

_Static_assert(ARRAY_SIZE(list_columns) <= LIST_COLUMNS_MAX, "a choice holds every column");

static const struct list_column *find_column(const char *name, size_t len)
{
	for (size_t i = 0; i < n_list_columns; i++)
		if (strlen(list_columns[i].name) == len &&
		    memcmp(list_columns[i].name, name, len) == 0)
			return &list_columns[i];
	return NULL;
}

/* -------------------------------------------------------------------------------- the choice */

static int fail_unknown(const char *option, const char *word, size_t len)
{
	const char *names[LIST_COLUMNS_MAX], *hint;
	char shown[64];

	for (size_t i = 0; i < n_list_columns; i++)
		names[i] = list_columns[i].name;
	escape_text(word, len, shown, sizeof(shown));
	hint = nearest(word, len, names, n_list_columns);
	if (hint)
		say_error("list: %s: no column '%s'; did you mean '%s'?", option, shown, hint);
	else
		say_error("list: %s: no column '%s'; 'tcpkeep list --columns' tells them", option,
			  shown);
	return EXIT_USAGE;
}

static bool has(const struct list_choice *choice, const struct list_column *column)
{
	for (size_t i = 0; i < choice->n; i++)
		if (choice->columns[i] == column)
			return true;
	return false;
}

/* A column that is there already stays where it is: adding it asks for nothing more. */
static void add(struct list_choice *choice, const struct list_column *column, bool descending)
{
	if (has(choice, column))
		return;
	choice->columns[choice->n] = column;
	choice->descending[choice->n++] = descending;
	choice->needs |= column->needs;
}

int list_choice_parse(struct list_choice *choice, const char *option, const char *text,
		      bool with_order)
{
	struct list_choice chosen = {0};

	if (text[0] == '+' && !with_order) {
		chosen = *choice;
		text++;
	}
	for (;;) {
		size_t len = strcspn(text, ",");
		bool descending = with_order && text[0] == '-';
		const struct list_column *column = find_column(text + descending, len - descending);

		if (!column)
			return fail_unknown(option, text + descending, len - descending);
		add(&chosen, column, descending);
		text += len;
		if (*text++ == '\0')
			break;
	}
	*choice = chosen;
	return EXIT_DONE;
}

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

void list_choice_default(struct list_choice *choice, enum list_form form, bool all_netns)
{
	static const char *const shown[] = {"local", "peer", "owner", "keepalive", "next"};
	/* In a cell of CSV goes one thing; the objects and arrays of JSON have several. */
	static const char *const together[] = {"owner"};
	static const char *const apart[] = {"pid",      "program",    "fd",          "processes",
					    "timer-in", "probes-out", "retransmits", "next-in"};

	*choice = (struct list_choice){0};
	if (form == LIST_TABLE) {
		if (all_netns)
			add(choice, find_column("netns", 5), false);
		for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
			add(choice, find_column(shown[i], strlen(shown[i])), false);
		return;
	}
	for (size_t i = 0; i < n_list_columns; i++) {
		const char *name = list_columns[i].name;

		if (form == LIST_CSV ? !is_one_of(name, together, ARRAY_SIZE(together))
				     : !is_one_of(name, apart, ARRAY_SIZE(apart)))
			add(choice, &list_columns[i], false);
	}
}

void list_columns_print(void)
{
	for (size_t i = 0; i < n_list_columns; i++)
		printf("%-13s  %s\n", list_columns[i].name, list_columns[i].help);
}
