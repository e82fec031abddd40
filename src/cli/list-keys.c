/* SPDX-License-Identifier: MIT */
/* Where a row stands in the order of each column of `tcpkeep list`, for --sort. */
#include <endian.h>
#include <netinet/tcp.h>
#include <string.h>

#include "list-columns.h"
#include "list-words.h"

#define KEY(name) void list_key_##name(struct list_view *view, struct list_key *ret)

static void number(struct list_key *ret, bool known, uint64_t value)
{
	ret->known = known;
	ret->numbers[0] = value;
}

static void text(struct list_key *ret, const char *value)
{
	ret->known = value != NULL;
	ret->text = value;
}

static void endpoint(struct list_key *ret, const __u32 address[4], uint16_t port)
{
	uint64_t halves[2];

	memcpy(halves, address, sizeof(halves));
	ret->numbers[0] = be64toh(halves[0]);
	ret->numbers[1] = be64toh(halves[1]);
	ret->numbers[2] = port;
}

/* Negative values, which the sysctls may have, come first. */
static void setting(const struct list_view *view, struct list_key *ret, uint32_t field, int value)
{
	number(ret, view->row->effective.settings.fields & field,
	       (uint64_t)((int64_t)value - INT32_MIN));
}

/* ----------------------------------------------------------------------------------- identity */

/* The own one first, then as names are, then those without one. */
KEY(netns)
{
	const struct snapshot_netns *netns = view->row->netns;

	ret->numbers[0] = netns->own ? 1 : 2;
	ret->numbers[1] = netns->name ? 0 : netns->inode;
	ret->text = netns->name;
}

KEY(family)
{
	text(ret, list_word_family(&view->row->socket));
}

KEY(state)
{
	number(ret, true, view->row->socket.state);
}

KEY(local)
{
	endpoint(ret, view->row->socket.local, view->row->socket.local_port);
}

KEY(peer)
{
	endpoint(ret, view->row->socket.peer, view->row->socket.peer_port);
	ret->known = view->row->socket.state != TCP_LISTEN;
}

KEY(direction)
{
	text(ret, list_word_direction(&view->row->socket));
}

KEY(mptcp)
{
	number(ret, true, !!(view->row->socket.flags & ROW_MPTCP));
}

KEY(cookie)
{
	number(ret, view->row->socket.cookie != 0, view->row->socket.cookie);
}

KEY(inode)
{
	number(ret, view->row->socket.inode != 0, view->row->socket.inode);
}

/* ------------------------------------------------------------------------------------- owners */

KEY(owner)
{
	list_key_program(view, ret);
	if (ret->known)
		ret->numbers[2] = (uint64_t)view->row->owners[0].pid;
}

KEY(pid)
{
	number(ret, view->row->n_owners > 0,
	       view->row->n_owners > 0 ? (uint64_t)view->row->owners[0].pid : 0);
}

/* A name is at most 15 bytes: as two numbers they are compared like strings. */
KEY(program)
{
	const struct snapshot_row *row = view->row;
	char name[sizeof(row->owners->program)] = "";
	uint64_t halves[2];

	ret->known = row->n_owners > 0;
	if (!ret->known)
		return;
	memcpy(name, row->owners[0].program, strnlen(row->owners[0].program, sizeof(name)));
	memcpy(halves, name, sizeof(halves));
	ret->numbers[0] = be64toh(halves[0]);
	ret->numbers[1] = be64toh(halves[1]);
}

KEY(fd)
{
	number(ret, view->row->n_owners > 0,
	       view->row->n_owners > 0 ? (uint64_t)view->row->owners[0].fd : 0);
}

KEY(user)
{
	if (list_has_user(&view->row->socket))
		text(ret, users_name(view->users, view->row->socket.uid));
	else
		ret->known = false;
}

KEY(cgroup)
{
	text(ret, view->row->cgroup);
}

/* To the end of the path: what lies below a unit stays with it. */
KEY(unit)
{
	size_t len;

	text(ret, view->row->cgroup ? cgroup_unit(view->row->cgroup, &len) : NULL);
}

/* ----------------------------------------------------------------------------------- settings */

/* Off first: it is what is looked for. */
KEY(keepalive)
{
	const struct tcpkeep_settings *s = &view->row->effective.settings;

	number(ret, s->fields & TCPKEEP_ON, s->on);
	if (s->on)
		ret->numbers[1] = (uint64_t)((int64_t)s->time_s - INT32_MIN);
}

KEY(time)
{
	setting(view, ret, TCPKEEP_TIME, view->row->effective.settings.time_s);
}

KEY(intvl)
{
	setting(view, ret, TCPKEEP_INTVL, view->row->effective.settings.intvl_s);
}

KEY(probes)
{
	setting(view, ret, TCPKEEP_PROBES, view->row->effective.settings.probes);
}

KEY(user_timeout)
{
	setting(view, ret, TCPKEEP_USER_TIMEOUT, view->row->effective.settings.user_timeout_ms);
}

static void origin(struct list_key *ret, enum tcpkeep_origin value)
{
	text(ret, value == TCPKEEP_ORIGIN_UNKNOWN ? NULL : tcpkeep_origin_name(value));
}

KEY(time_origin)
{
	origin(ret, view->row->effective.time_origin);
}

KEY(intvl_origin)
{
	origin(ret, view->row->effective.intvl_origin);
}

KEY(probes_origin)
{
	origin(ret, view->row->effective.probes_origin);
}

/* ------------------------------------------------------------------------- timer and outlook */

KEY(timer)
{
	const struct socket_row *row = &view->row->socket;

	number(ret, row->known & ROW_KNOWN_TIMER && row->timer != ROW_TIMER_NONE, row->timer);
	ret->numbers[1] = (uint64_t)((int64_t)row->timer_ms - INT32_MIN);
}

KEY(in_flight)
{
	number(ret, list_has_transfer(&view->row->socket), view->row->socket.unacked);
}

KEY(unsent)
{
	number(ret, list_has_user(&view->row->socket), view->row->socket.unsent);
}

KEY(silence)
{
	number(ret, view->row->socket.known & ROW_KNOWN_SILENCE, view->row->socket.silence_ms);
}

/* TCPKEEP_NEVER is the largest number there is. */
KEY(detection)
{
	number(ret, view->detection != NULL, view->detection ? view->detection->idle_us : 0);
}

/* By when it happens: what never notices is the last of those that are known. */
KEY(next)
{
	switch (view->outlook.kind) {
	case OUTLOOK_NONE:
	case OUTLOOK_UNKNOWN:
	case OUTLOOK_CONNECTING:
		ret->known = false;
		return;
	case OUTLOOK_NEVER:
		ret->numbers[0] = TCPKEEP_NEVER;
		return;
	case OUTLOOK_FIRST_PROBE:
	case OUTLOOK_DEAD_UNLESS:
	case OUTLOOK_RETRANSMITS:
	case OUTLOOK_WINDOW:
	case OUTLOOK_GOES_AWAY:
		ret->numbers[0] = view->outlook.in_us;
	}
}
