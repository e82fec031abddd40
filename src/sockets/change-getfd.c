/* SPDX-License-Identifier: MIT */
#include "change-getfd.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "keepalive/socket.h"

/* net/tcp_states.h */
#define STATE_CLOSE  7
#define STATE_LISTEN 10

/*
 * What is left to do, as settings; -ESTALE when a field has neither the value that is wanted nor
 * the one with which it was seen.
 */
static int compare(const struct tcpkeep_settings *now, const struct change_kind *kind,
		   struct tcpkeep_settings *ret)
{
	struct tcpkeep_settings wanted, seen;

	change_values_settings(&kind->wanted, &wanted);
	change_values_settings(&kind->effective, &seen);
	*ret = (struct tcpkeep_settings){0};
	for (size_t i = 0; i < SOCKET_OPTIONS; i++) {
		uint32_t field = socket_options[i].field;
		int value = socket_option_value(&wanted, field);

		if (!(wanted.fields & field))
			continue;
		/* What cannot be read cannot be written: tcpkeep_socket_apply() says so. */
		if (now->fields & field) {
			int found = socket_option_value(now, field);

			if (found == value)
				continue;
			if (found != socket_option_value(&seen, field))
				return -ESTALE;
		}
		socket_option_store(ret, field, value);
	}
	return 0;
}

static void stand(const struct tcp_info *info, const struct tcpkeep_settings *now,
		  struct change_standing *ret)
{
	*ret = (struct change_standing){
		.silence_ms = MIN(info->tcpi_last_data_recv, info->tcpi_last_ack_recv),
		/* The timer itself is not told: at the latest then. */
		.due_ms = (uint32_t)now->intvl_s * 1000,
		.probes_out = info->tcpi_probes,
		.on = now->on,
	};
	if (info->tcpi_retransmits > 0) {
		ret->waits = CHANGE_WAIT_RETRANSMIT;
		ret->stalled_ms = ret->silence_ms;
		ret->due_ms = info->tcpi_rto / 1000;
	} else if (info->tcpi_notsent_bytes > 0 && info->tcpi_unacked == 0) {
		ret->waits = CHANGE_WAIT_WINDOW;
		ret->stalled_ms = info->tcpi_last_data_sent;
		ret->due_ms = info->tcpi_rto / 1000 << MIN(info->tcpi_backoff, 10);
	}
}

static void fill_after(const struct tcpkeep_settings *now, const struct tcpkeep_settings *todo,
		       struct change_values *ret)
{
	struct tcpkeep_settings after = *now;

	tcpkeep_settings_merge(&after, todo);
	*ret = (struct change_values){
		.user_timeout_ms = (uint32_t)after.user_timeout_ms,
		.time_s = (uint16_t)MAX(0, MIN(after.time_s, (int)UINT16_MAX)),
		.intvl_s = (uint16_t)MAX(0, MIN(after.intvl_s, (int)UINT16_MAX)),
		.probes = (uint8_t)after.probes,
		.on = after.on,
	};
}

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static void set_on(int fd, int on)
{
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, on);
}

/* A socket while it is changed. */
struct changing {
	int fd;
	struct tcpkeep_settings now, todo;
	struct change_standing standing;
	struct change_values after;
	bool listens;
	bool credits;     /* the silence so far: to be probed now */
	bool writes_time; /* planned, even if it has it */
	uint32_t mode;
};

/*
 * What tcpkeep_socket_apply() does not do by itself: a full time for what is on and not silent for
 * long, so that its timer starts with this change; the credit for what is turned on to be probed
 * now. Off for a moment would be inherited from a listener.
 */
static int write_todo(const struct changing *change)
{
	struct tcpkeep_settings todo = change->todo;
	bool turns = todo.fields & TCPKEEP_ON;
	unsigned flags = change->credits ? TCPKEEP_APPLY_PROBE_NOW : 0;
	int r;

	if (change->credits && turns && todo.on) {
		set_on(change->fd, 1);
	} else if (!change->listens &&
		   change_pauses(&change->standing, &change->after, todo.fields, change->mode)) {
		set_on(change->fd, 0);
		todo.fields |= TCPKEEP_ON;
		todo.on = true;
	}
	r = tcpkeep_socket_apply(change->fd, &todo, flags, NULL);
	/* It has the time already, but only a time that is written counts from the last word. */
	if (r >= 0 && change->credits && turns && todo.on && !(todo.fields & TCPKEEP_TIME) &&
	    change->writes_time)
		r = set_int(change->fd, IPPROTO_TCP, TCP_KEEPIDLE, change->after.time_s);
	if (r < 0)
		set_on(change->fd, change->now.on);
	return r;
}

static void refuse(enum change_reason reason, int error, struct change_outcome *ret)
{
	ret->result = CHANGE_REFUSED;
	ret->reason = reason;
	ret->error = error;
}

static bool read_info(int fd, struct tcp_info *ret)
{
	socklen_t len = sizeof(*ret);

	*ret = (struct tcp_info){0};
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret, &len) == 0;
}

/* How it stands, and what is left to do: false when that is nothing, with *ret saying why. */
static bool look(struct changing *change, const struct change_kind *kind,
		 const struct change_options *options, struct change_outcome *ret)
{
	struct tcpkeep_effective now;
	struct tcp_info info;
	int r;

	r = tcpkeep_socket_read(change->fd, &now);
	if (r < 0) {
		refuse(CHANGE_REASON_ERROR, r, ret);
		return false;
	}
	change->now = now.settings;
	if (read_info(change->fd, &info) && info.tcpi_state == STATE_CLOSE) {
		ret->result = CHANGE_VANISHED;
		return false;
	}
	if (compare(&change->now, kind, &change->todo) < 0) {
		refuse(CHANGE_REASON_SINCE, 0, ret);
		return false;
	}
	ret->result = CHANGE_HELD;
	if (change->todo.fields == 0)
		return false;
	fill_after(&change->now, &change->todo, &change->after);
	stand(&info, &change->now, &change->standing);
	change->listens = info.tcpi_state == STATE_LISTEN;
	change->credits =
		!change->listens && change_credits(&change->standing, &change->after, change->mode);
	change->writes_time = kind->wanted.fields & TCPKEEP_TIME;
	if (!options->force && !change->listens &&
	    change_kills(&change->standing, &change->after, change->todo.fields, change->mode)) {
		refuse(CHANGE_REASON_KILLS, 0, ret);
		return false;
	}
	return true;
}

static void change(int fd, const struct change_kind *kind, const struct change_options *options,
		   struct change_outcome *ret)
{
	struct changing change = {.fd = fd, .mode = change_options_mode(options)};
	int r;

	if (!look(&change, kind, options, ret))
		return;
	r = write_todo(&change);
	if (r < 0) {
		refuse(CHANGE_REASON_ERROR, r, ret);
		return;
	}
	ret->result = CHANGE_DONE;
	ret->written = change.todo.fields;
}

/* A long idle socket is off for the time of the writes: no signal of a terminal may end us there.
 */
static void change_undisturbed(int fd, const struct change_kind *kind,
			       const struct change_options *options, struct change_outcome *ret)
{
	sigset_t all, saved;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	change(fd, kind, options, ret);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
}

void change_by_getfd(struct getfd *getfd, const struct change_set *set, size_t item,
		     const struct change_options *options, struct change_outcome *ret)
{
	size_t n;
	const struct change_owner *owners = change_set_owners(set, item, &n);

	*ret = (struct change_outcome){.item = item};
	ret->result = n > 0 ? CHANGE_VANISHED : CHANGE_DENIED;
	ret->reason = n > 0 ? CHANGE_REASON_NONE : CHANGE_REASON_NOBODY;
	for (size_t i = 0; i < n; i++) {
		const struct socket_owner owner = {.pid = owners[i].pid, .fd = owners[i].fd};
		_cleanup_close_ int fd = getfd_open(getfd, &owner, set->items[item].cookie);

		if (fd == -EPERM) {
			ret->result = CHANGE_DENIED;
			ret->reason = CHANGE_REASON_OWNER;
		}
		if (fd < 0)
			continue;
		change_undisturbed(fd, &set->kinds[set->items[item].kind], options, ret);
		return;
	}
}
