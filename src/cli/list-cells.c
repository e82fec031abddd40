/* SPDX-License-Identifier: MIT */
/* The columns of `tcpkeep list` as text. A million rows: nothing here calls printf. */
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/put.h"
#include "list-columns.h"
#include "list-words.h"
#include "sockets/match.h"

/* What escape_text() may take of a cell for a name and for a path. */
#define NAME_SHOWN 80
#define PATH_SHOWN 1024

/* What cannot be seen, and what is not there: apart in a table; both nothing in a CSV. */
static char *put_unknown(const struct list_view *view, char *at)
{
	return view->csv ? at : put_char(at, '?');
}

static char *put_none(const struct list_view *view, char *at)
{
	return view->csv ? at : put_char(at, '-');
}

/* A name from elsewhere. */
static char *put_name(const struct list_view *view, char *at, const char *text, size_t len,
		      size_t room)
{
	return list_put_name(at, text, len, room, view->csv);
}

static char *put_ms(const struct list_view *view, char *at, uint64_t ms)
{
	return view->csv ? put_seconds(at, ms) : put_span(at, ms / 100, PUT_SPAN_UNITS);
}

/* ----------------------------------------------------------------------------------- identity */

char *list_text_netns(struct list_view *view, char *at)
{
	const struct snapshot_netns *netns = view->row->netns;

	if (netns->name)
		return put_name(view, at, netns->name, strlen(netns->name), PATH_SHOWN);
	at = put_uint(put_text(at, "net:["), netns->inode);
	return put_char(at, ']');
}

char *list_text_family(struct list_view *view, char *at)
{
	return put_text(at, list_word_family(&view->row->socket));
}

char *list_text_state(struct list_view *view, char *at)
{
	char buf[16];

	return put_text(at, state_name(view->row->socket.state, buf));
}

/* IPv4 in an IPv6 socket looks like what ss and the selectors call it; programs get it as it is. */
static char *put_endpoint(const struct list_view *view, char *at, const __u32 address[4],
			  uint16_t port)
{
	if (view->row->socket.family == AF_INET || (!view->csv && match_is_ipv4(address))) {
		at = put_ipv4(at, (const uint8_t *)&address[3]);
	} else {
		at = put_ipv6(put_char(at, '['), (const uint8_t *)address);
		at = put_char(at, ']');
	}
	return put_uint(put_char(at, ':'), port);
}

char *list_text_local(struct list_view *view, char *at)
{
	const struct socket_row *row = &view->row->socket;

	return put_endpoint(view, at, row->local, row->local_port);
}

char *list_text_peer(struct list_view *view, char *at)
{
	const struct socket_row *row = &view->row->socket;

	if (row->state == TCP_LISTEN)
		return view->csv ? at : put_text(at, "LISTEN");
	return put_endpoint(view, at, row->peer, row->peer_port);
}

char *list_text_direction(struct list_view *view, char *at)
{
	const char *word = list_word_direction(&view->row->socket);

	return word ? put_text(at, word) : put_unknown(view, at);
}

char *list_text_mptcp(struct list_view *view, char *at)
{
	if (view->row->socket.flags & ROW_MPTCP)
		return put_text(at, "yes");
	return put_none(view, at);
}

char *list_text_cookie(struct list_view *view, char *at)
{
	if (view->row->socket.cookie == 0)
		return put_none(view, at);
	return put_uint(at, view->row->socket.cookie);
}

char *list_text_inode(struct list_view *view, char *at)
{
	if (view->row->socket.inode == 0)
		return put_none(view, at);
	return put_uint(at, view->row->socket.inode);
}

/* ------------------------------------------------------------------------------------- owners */

/* Nobody is there to be seen: somebody holds the file all the same, or nobody does. */
static char *put_nobody(const struct list_view *view, char *at)
{
	return view->row->socket.inode ? put_unknown(view, at) : put_none(view, at);
}

/* Owners are ordered by pid. */
size_t list_count_processes(const struct snapshot_row *row)
{
	size_t n = 0;

	for (size_t i = 0; i < row->n_owners; i++)
		n += i == 0 || row->owners[i].pid != row->owners[i - 1].pid;
	return n;
}

static char *put_more(char *at, size_t n)
{
	if (n <= 1)
		return at;
	return put_uint(put_text(at, ",+"), n - 1);
}

static char *put_program(const struct list_view *view, char *at, const struct socket_owner *owner)
{
	return put_name(view, at, owner->program, strnlen(owner->program, sizeof(owner->program)),
			NAME_SHOWN);
}

char *list_text_owner(struct list_view *view, char *at)
{
	const struct snapshot_row *row = view->row;

	if (row->n_owners == 0)
		return put_nobody(view, at);
	at = put_char(put_program(view, at, &row->owners[0]), ':');
	return put_more(put_int(at, row->owners[0].pid), list_count_processes(row));
}

char *list_text_pid(struct list_view *view, char *at)
{
	const struct snapshot_row *row = view->row;

	if (row->n_owners == 0)
		return put_nobody(view, at);
	at = put_int(at, row->owners[0].pid);
	return view->csv ? at : put_more(at, list_count_processes(row));
}

char *list_text_processes(struct list_view *view, char *at)
{
	if (view->row->n_owners == 0)
		return put_nobody(view, at);
	return put_uint(at, list_count_processes(view->row));
}

char *list_text_program(struct list_view *view, char *at)
{
	if (view->row->n_owners == 0)
		return put_nobody(view, at);
	return put_program(view, at, &view->row->owners[0]);
}

char *list_text_fd(struct list_view *view, char *at)
{
	if (view->row->n_owners == 0)
		return put_nobody(view, at);
	return put_int(at, view->row->owners[0].fd);
}

char *list_text_user(struct list_view *view, char *at)
{
	const char *name;

	if (!list_has_user(&view->row->socket))
		return put_none(view, at);
	name = users_name(view->users, view->row->socket.uid);
	return put_name(view, at, name, strlen(name), NAME_SHOWN);
}

char *list_text_cgroup(struct list_view *view, char *at)
{
	const char *path = view->row->cgroup;

	return path ? put_name(view, at, path, strlen(path), PATH_SHOWN) : put_unknown(view, at);
}

char *list_text_unit(struct list_view *view, char *at)
{
	const char *path = view->row->cgroup, *unit;
	size_t len;

	if (!path)
		return put_unknown(view, at);
	unit = cgroup_unit(path, &len);
	return unit ? put_name(view, at, unit, len, PATH_SHOWN) : put_none(view, at);
}

/* ----------------------------------------------------------------------------------- settings */

/* What is left of a connection in TIME_WAIT has no settings; those of a whole socket cannot be
 * seen. */
static char *put_missing(const struct list_view *view, char *at)
{
	return list_has_user(&view->row->socket) ? put_unknown(view, at) : put_none(view, at);
}

static const struct tcpkeep_settings *settings_of(const struct list_view *view)
{
	return &view->row->effective.settings;
}

static char *put_user_timeout(const struct list_view *view, char *at, uint64_t ms)
{
	if (view->csv || ms % 1000 == 0)
		return view->csv ? put_seconds(at, ms) : put_duration(at, ms / 1000);
	if (ms >= 1000)
		at = put_duration(at, ms / 1000);
	return put_text(put_uint(at, ms % 1000), "ms");
}

char *list_text_keepalive(struct list_view *view, char *at)
{
	const struct tcpkeep_settings *s = settings_of(view);

	if (!(s->fields & TCPKEEP_ON))
		return put_missing(view, at);
	/* The values have columns of their own, and a spreadsheet reads 15/5/3 as a date. */
	if (view->csv)
		return put_text(at, s->on ? "on" : "off");
	if (!s->on) {
		at = put_text(at, "off");
	} else if ((s->fields & TCPKEEP_THREE) == TCPKEEP_THREE) {
		at = put_char(put_int(at, s->time_s), '/');
		at = put_char(put_int(at, s->intvl_s), '/');
		at = put_int(at, s->probes);
	} else {
		at = put_text(at, "on");
	}
	if (s->fields & TCPKEEP_USER_TIMEOUT && s->user_timeout_ms > 0)
		at = put_user_timeout(view, put_text(at, " ut="), (uint64_t)s->user_timeout_ms);
	return at;
}

static char *put_value(const struct list_view *view, char *at, uint32_t field, int value)
{
	return settings_of(view)->fields & field ? put_int(at, value) : put_missing(view, at);
}

char *list_text_time(struct list_view *view, char *at)
{
	return put_value(view, at, TCPKEEP_TIME, settings_of(view)->time_s);
}

char *list_text_intvl(struct list_view *view, char *at)
{
	return put_value(view, at, TCPKEEP_INTVL, settings_of(view)->intvl_s);
}

char *list_text_probes(struct list_view *view, char *at)
{
	return put_value(view, at, TCPKEEP_PROBES, settings_of(view)->probes);
}

char *list_text_user_timeout(struct list_view *view, char *at)
{
	const struct tcpkeep_settings *s = settings_of(view);

	if (!(s->fields & TCPKEEP_USER_TIMEOUT))
		return put_missing(view, at);
	if (s->user_timeout_ms <= 0)
		return view->csv ? put_seconds(at, 0) : put_char(at, '-');
	return put_user_timeout(view, at, (uint64_t)s->user_timeout_ms);
}

static char *put_origin(const struct list_view *view, char *at, enum tcpkeep_origin origin)
{
	if (origin == TCPKEEP_ORIGIN_UNKNOWN)
		return put_missing(view, at);
	return put_text(at, tcpkeep_origin_name(origin));
}

char *list_text_time_origin(struct list_view *view, char *at)
{
	return put_origin(view, at, view->row->effective.time_origin);
}

char *list_text_intvl_origin(struct list_view *view, char *at)
{
	return put_origin(view, at, view->row->effective.intvl_origin);
}

char *list_text_probes_origin(struct list_view *view, char *at)
{
	return put_origin(view, at, view->row->effective.probes_origin);
}

/* ------------------------------------------------------------------------- timer and outlook */

/* Which one runs, and when it is due: not of one that is hidden. */
static bool sees_timer(const struct socket_row *row)
{
	return row->known & ROW_KNOWN_TIMER && row->timer != ROW_TIMER_HIDDEN;
}

char *list_text_timer(struct list_view *view, char *at)
{
	const struct socket_row *row = &view->row->socket;
	const char *word = row->known & ROW_KNOWN_TIMER ? list_word_timer(row) : NULL;

	if (view->csv)
		return word ? put_text(at, word) : at;
	if (!sees_timer(row) || !word)
		return put_unknown(view, at);
	if (row->timer == ROW_TIMER_NONE)
		return put_none(view, at);
	at = list_text_timer_in(view, put_char(put_text(at, word), ' '));
	if (row->timer == ROW_TIMER_RETRANSMIT && row->retransmits)
		at = put_text(put_uint(put_text(at, ", "), row->retransmits), " sent");
	else if (row->timer != ROW_TIMER_RETRANSMIT && row->probes_out)
		at = put_text(put_uint(put_text(at, ", "), row->probes_out), " out");
	return at;
}

char *list_text_timer_in(struct list_view *view, char *at)
{
	const struct socket_row *row = &view->row->socket;

	if (!sees_timer(row))
		return put_unknown(view, at);
	if (row->timer == ROW_TIMER_NONE)
		return put_none(view, at);
	return put_ms(view, at, row->timer_ms > 0 ? (uint64_t)row->timer_ms : 0);
}

char *list_text_probes_out(struct list_view *view, char *at)
{
	const struct socket_row *row = &view->row->socket;

	return row->known & ROW_KNOWN_TIMER ? put_uint(at, row->probes_out) : put_unknown(view, at);
}

char *list_text_retransmits(struct list_view *view, char *at)
{
	const struct socket_row *row = &view->row->socket;

	return row->known & ROW_KNOWN_TIMER ? put_uint(at, row->retransmits)
					    : put_unknown(view, at);
}

char *list_text_in_flight(struct list_view *view, char *at)
{
	if (!list_has_transfer(&view->row->socket))
		return put_none(view, at);
	return put_uint(at, view->row->socket.unacked);
}

char *list_text_unsent(struct list_view *view, char *at)
{
	return put_uint(at, view->row->socket.unsent);
}

char *list_text_silence(struct list_view *view, char *at)
{
	if (!(view->row->socket.known & ROW_KNOWN_SILENCE))
		return list_is_connected(&view->row->socket) ? put_unknown(view, at)
							     : put_none(view, at);
	return put_ms(view, at, view->row->socket.silence_ms);
}

char *list_text_detection(struct list_view *view, char *at)
{
	uint64_t us;

	if (!view->detection)
		return list_is_connected(&view->row->socket) ? put_unknown(view, at)
							     : put_none(view, at);
	us = view->detection->idle_us;
	return list_put_latest(at, us, view->csv);
}

char *list_put_latest(char *at, uint64_t us, bool csv)
{
	/* A number to whoever compares numbers: strtod(3), Python, R, SQL. */
	if (us == TCPKEEP_NEVER)
		return put_text(at, csv ? "inf" : "never");
	if (csv)
		return put_seconds(at, (us + 999) / 1000);
	return put_span(at, (us + 999999) / 1000000 * 10, PUT_SPAN_UNITS);
}

char *list_text_next(struct list_view *view, char *at)
{
	if (view->csv)
		return put_text(at, outlook_name(view->outlook.kind));
	/* A mark that needs no colour. */
	if (view->outlook.kind == OUTLOOK_NEVER)
		at = put_text(at, "! ");
	return outlook_put(&view->outlook, at);
}

char *list_text_next_in(struct list_view *view, char *at)
{
	const struct outlook *outlook = &view->outlook;

	if (!outlook_is_timed(outlook) || outlook->in_us == TCPKEEP_NEVER)
		return put_none(view, at);
	return put_ms(view, at, outlook->in_us / 1000);
}
