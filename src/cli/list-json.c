/* SPDX-License-Identifier: MIT */
/* The columns of `tcpkeep list` as members of a JSON object:
 * docs/schema/tcpkeep.list-1.schema.json. */
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/put.h"
#include "list-columns.h"
#include "list-words.h"

/* ----------------------------------------------------------------------------------- identity */

void list_json_netns(struct list_view *view, struct json *json)
{
	const struct snapshot_netns *netns = view->row->netns;

	json_begin_object(json, "netns");
	json_uint(json, "inode", netns->inode);
	json_string(json, "name", netns->name);
	json_bool(json, "own", netns->own);
	json_end_object(json);
}

void list_json_family(struct list_view *view, struct json *json)
{
	json_string(json, "family", list_word_family(&view->row->socket));
}

void list_json_state(struct list_view *view, struct json *json)
{
	char buf[16];

	json_string(json, "state", state_name(view->row->socket.state, buf));
}

static void json_endpoint(struct json *json, const char *key, const struct socket_row *row,
			  const __u32 address[4], uint16_t port)
{
	char text[PUT_ADDRESS_MAX], *end;

	if (row->family == AF_INET)
		end = put_ipv4(text, (const uint8_t *)&address[3]);
	else
		end = put_ipv6(text, (const uint8_t *)address);
	json_begin_object(json, key);
	json_string_n(json, "address", text, (size_t)(end - text));
	json_uint(json, "port", port);
	json_end_object(json);
}

void list_json_local(struct list_view *view, struct json *json)
{
	const struct socket_row *row = &view->row->socket;

	json_endpoint(json, "local", row, row->local, row->local_port);
}

void list_json_peer(struct list_view *view, struct json *json)
{
	const struct socket_row *row = &view->row->socket;

	if (row->state == TCP_LISTEN)
		json_null(json, "peer");
	else
		json_endpoint(json, "peer", row, row->peer, row->peer_port);
}

void list_json_direction(struct list_view *view, struct json *json)
{
	json_string(json, "direction", list_word_direction(&view->row->socket));
}

void list_json_mptcp(struct list_view *view, struct json *json)
{
	json_bool(json, "mptcp", view->row->socket.flags & ROW_MPTCP);
}

/* 0 is none. */
static void json_number(struct json *json, const char *key, uint64_t value)
{
	if (value)
		json_uint(json, key, value);
	else
		json_null(json, key);
}

void list_json_cookie(struct list_view *view, struct json *json)
{
	json_number(json, "cookie", view->row->socket.cookie);
}

void list_json_inode(struct list_view *view, struct json *json)
{
	json_number(json, "inode", view->row->socket.inode);
}

/* ------------------------------------------------------------------------------------- owners */

static void json_program(struct json *json, const char *key, const struct socket_owner *owner)
{
	json_string_n(json, key, owner->program, strnlen(owner->program, sizeof(owner->program)));
}

void list_json_owner(struct list_view *view, struct json *json)
{
	const struct snapshot_row *row = view->row;

	json_begin_array(json, "owners");
	for (size_t i = 0; i < row->n_owners; i++) {
		json_begin_object(json, NULL);
		json_int(json, "pid", row->owners[i].pid);
		json_program(json, "program", &row->owners[i]);
		json_int(json, "fd", row->owners[i].fd);
		json_end_object(json);
	}
	json_end_array(json);
}

/* Of each owner, so that the arrays go together. */
void list_json_pid(struct list_view *view, struct json *json)
{
	json_begin_array(json, "pid");
	for (size_t i = 0; i < view->row->n_owners; i++)
		json_int(json, NULL, view->row->owners[i].pid);
	json_end_array(json);
}

void list_json_program(struct list_view *view, struct json *json)
{
	json_begin_array(json, "program");
	for (size_t i = 0; i < view->row->n_owners; i++)
		json_program(json, NULL, &view->row->owners[i]);
	json_end_array(json);
}

void list_json_fd(struct list_view *view, struct json *json)
{
	json_begin_array(json, "fd");
	for (size_t i = 0; i < view->row->n_owners; i++)
		json_int(json, NULL, view->row->owners[i].fd);
	json_end_array(json);
}

void list_json_processes(struct list_view *view, struct json *json)
{
	json_uint(json, "processes", list_count_processes(view->row));
}

void list_json_user(struct list_view *view, struct json *json)
{
	const struct socket_row *row = &view->row->socket;

	if (!list_has_user(row)) {
		json_null(json, "uid");
		json_null(json, "user");
		return;
	}
	json_uint(json, "uid", row->uid);
	json_string(json, "user", users_name(view->users, row->uid));
}

void list_json_cgroup(struct list_view *view, struct json *json)
{
	if (!(view->row->socket.known & ROW_KNOWN_CGROUP)) {
		json_null(json, "cgroup");
		return;
	}
	json_begin_object(json, "cgroup");
	json_uint(json, "id", view->row->socket.cgroup);
	json_string(json, "path", view->row->cgroup);
	json_end_object(json);
}

void list_json_unit(struct list_view *view, struct json *json)
{
	size_t len;
	const char *unit = view->row->cgroup ? cgroup_unit(view->row->cgroup, &len) : NULL;

	if (unit)
		json_string_n(json, "unit", unit, len);
	else
		json_null(json, "unit");
}

/* ----------------------------------------------------------------------------------- settings */

static void json_value(const struct list_view *view, struct json *json, const char *key,
		       uint32_t field, int value)
{
	if (view->row->effective.settings.fields & field)
		json_int(json, key, value);
	else
		json_null(json, key);
}

void list_json_keepalive(struct list_view *view, struct json *json)
{
	const struct tcpkeep_settings *s = &view->row->effective.settings;

	if (s->fields & TCPKEEP_ON)
		json_bool(json, "keepalive", s->on);
	else
		json_null(json, "keepalive");
}

void list_json_time(struct list_view *view, struct json *json)
{
	json_value(view, json, "time_s", TCPKEEP_TIME, view->row->effective.settings.time_s);
}

void list_json_intvl(struct list_view *view, struct json *json)
{
	json_value(view, json, "intvl_s", TCPKEEP_INTVL, view->row->effective.settings.intvl_s);
}

void list_json_probes(struct list_view *view, struct json *json)
{
	json_value(view, json, "probes", TCPKEEP_PROBES, view->row->effective.settings.probes);
}

void list_json_user_timeout(struct list_view *view, struct json *json)
{
	json_value(view, json, "user_timeout_ms", TCPKEEP_USER_TIMEOUT,
		   view->row->effective.settings.user_timeout_ms);
}

static void json_origin(struct json *json, const char *key, enum tcpkeep_origin origin)
{
	json_string(json, key,
		    origin == TCPKEEP_ORIGIN_UNKNOWN ? NULL : tcpkeep_origin_name(origin));
}

void list_json_time_origin(struct list_view *view, struct json *json)
{
	json_origin(json, "time_origin", view->row->effective.time_origin);
}

void list_json_intvl_origin(struct list_view *view, struct json *json)
{
	json_origin(json, "intvl_origin", view->row->effective.intvl_origin);
}

void list_json_probes_origin(struct list_view *view, struct json *json)
{
	json_origin(json, "probes_origin", view->row->effective.probes_origin);
}

/* ------------------------------------------------------------------------- timer and outlook */

static void json_timer_in(struct json *json, const char *key, const struct socket_row *row)
{
	if (!(row->known & ROW_KNOWN_TIMER) || row->timer == ROW_TIMER_NONE ||
	    row->timer == ROW_TIMER_HIDDEN)
		json_null(json, key);
	else
		json_seconds(json, key, row->timer_ms > 0 ? (uint64_t)row->timer_ms * 1000 : 0);
}

void list_json_timer(struct list_view *view, struct json *json)
{
	const struct socket_row *row = &view->row->socket;

	if (!(row->known & ROW_KNOWN_TIMER)) {
		json_null(json, "timer");
		return;
	}
	json_begin_object(json, "timer");
	json_string(json, "kind", list_word_timer(row));
	json_timer_in(json, "in_s", row);
	json_uint(json, "probes_out", row->probes_out);
	json_uint(json, "retransmits", row->retransmits);
	json_end_object(json);
}

void list_json_timer_in(struct list_view *view, struct json *json)
{
	json_timer_in(json, "timer_in_s", &view->row->socket);
}

static void json_count(struct list_view *view, struct json *json, const char *key, uint8_t count)
{
	if (view->row->socket.known & ROW_KNOWN_TIMER)
		json_uint(json, key, count);
	else
		json_null(json, key);
}

void list_json_probes_out(struct list_view *view, struct json *json)
{
	json_count(view, json, "probes_out", view->row->socket.probes_out);
}

void list_json_retransmits(struct list_view *view, struct json *json)
{
	json_count(view, json, "retransmits", view->row->socket.retransmits);
}

void list_json_in_flight(struct list_view *view, struct json *json)
{
	if (list_has_transfer(&view->row->socket))
		json_uint(json, "in_flight_bytes", view->row->socket.unacked);
	else
		json_null(json, "in_flight_bytes");
}

/* A listener's queue has connections in it, not bytes. */
void list_json_unsent(struct list_view *view, struct json *json)
{
	const struct socket_row *row = &view->row->socket;

	if (list_has_transfer(row))
		json_uint(json, "unsent_bytes", row->unsent);
	else
		json_null(json, "unsent_bytes");
	if (row->state == TCP_LISTEN)
		json_uint(json, "not_accepted", row->unsent);
	else
		json_null(json, "not_accepted");
}

void list_json_silence(struct list_view *view, struct json *json)
{
	if (view->row->socket.known & ROW_KNOWN_SILENCE)
		json_seconds(json, "silence_s", (uint64_t)view->row->socket.silence_ms * 1000);
	else
		json_null(json, "silence_s");
}

void list_json_detection(struct list_view *view, struct json *json)
{
	const struct tcpkeep_detection *d = view->detection;

	if (!d) {
		json_null(json, "detection");
		return;
	}
	json_begin_object(json, "detection");
	json_seconds(json, "idle_s", d->idle_us);
	json_seconds(json, "in_flight_s", d->in_flight_us);
	json_seconds(json, "zero_window_s", d->zero_window_us);
	json_end_object(json);
}

static void json_next_in(const struct outlook *outlook, struct json *json, const char *key)
{
	json_seconds(json, key, outlook_is_timed(outlook) ? outlook->in_us : TCPKEEP_NEVER);
}

void list_json_next(struct list_view *view, struct json *json)
{
	const struct outlook *outlook = &view->outlook;

	json_begin_object(json, "next");
	json_string(json, "event", outlook_name(outlook->kind));
	json_next_in(outlook, json, "in_s");
	json_seconds(json, "if_gone_s",
		     outlook->kind == OUTLOOK_WINDOW ? outlook->if_gone_us : TCPKEEP_NEVER);
	json_end_object(json);
}

void list_json_next_in(struct list_view *view, struct json *json)
{
	json_next_in(&view->outlook, json, "next_in_s");
}
