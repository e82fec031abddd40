/* SPDX-License-Identifier: MIT */
/* Keepalive of one descriptor: read it, make settings hold. Allocation-free: the preload library
 * uses it. */
#include "socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/macro.h"

/* Newer than the C library may be: include/uapi/asm-generic/socket.h (5.14), linux/in.h (5.6). */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

const struct socket_option socket_options[SOCKET_OPTIONS] = {
	{TCPKEEP_TIME, IPPROTO_TCP, TCP_KEEPIDLE},
	{TCPKEEP_INTVL, IPPROTO_TCP, TCP_KEEPINTVL},
	{TCPKEEP_PROBES, IPPROTO_TCP, TCP_KEEPCNT},
	{TCPKEEP_USER_TIMEOUT, IPPROTO_TCP, TCP_USER_TIMEOUT},
	{TCPKEEP_ON, SOL_SOCKET, SO_KEEPALIVE},
};

int socket_option_value(const struct tcpkeep_settings *settings, uint32_t field)
{
	switch (field) {
	case TCPKEEP_ON:
		return settings->on;
	case TCPKEEP_TIME:
		return settings->time_s;
	case TCPKEEP_INTVL:
		return settings->intvl_s;
	case TCPKEEP_PROBES:
		return settings->probes;
	default:
		return settings->user_timeout_ms;
	}
}

void socket_option_store(struct tcpkeep_settings *settings, uint32_t field, int value)
{
	switch (field) {
	case TCPKEEP_ON:
		settings->on = value != 0;
		break;
	case TCPKEEP_TIME:
		settings->time_s = value;
		break;
	case TCPKEEP_INTVL:
		settings->intvl_s = value;
		break;
	case TCPKEEP_PROBES:
		settings->probes = value;
		break;
	default:
		settings->user_timeout_ms = value;
		break;
	}
	settings->fields |= field;
}

static int get_int(int fd, int level, int name, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, level, name, ret, &len) < 0 ? -errno : 0;
}

static int set_option(int fd, const struct socket_option *option, int value)
{
	int r = setsockopt(fd, option->level, option->name, &value, sizeof(value));

	return r < 0 ? -errno : 0;
}

/* 0 for TCP and MPTCP. A raw socket can carry protocol 6 as well, so the type counts, too. */
static int check_is_tcp(int fd)
{
	int protocol, type, r;

	r = get_int(fd, SOL_SOCKET, SO_PROTOCOL, &protocol);
	if (r < 0)
		return r;
	r = get_int(fd, SOL_SOCKET, SO_TYPE, &type);
	if (r < 0)
		return r;
	if (type != SOCK_STREAM || (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP))
		return -EPROTOTYPE;
	return 0;
}

/* What of the five can be read; an option that the kernel lacks (MPTCP before 6.10) is left out. */
static int read_options(int fd, struct tcpkeep_settings *ret)
{
	*ret = (struct tcpkeep_settings){0};
	for (size_t i = 0; i < SOCKET_OPTIONS; i++) {
		int value, r;

		r = get_int(fd, socket_options[i].level, socket_options[i].name, &value);
		if (r == -ENOPROTOOPT || r == -EOPNOTSUPP)
			continue;
		if (r < 0)
			return r;
		socket_option_store(ret, socket_options[i].field, value);
	}
	return 0;
}

static bool same_netns(int a, int b)
{
	uint64_t cookie_a, cookie_b;
	socklen_t len = sizeof(cookie_a);

	return getsockopt(a, SOL_SOCKET, SO_NETNS_COOKIE, &cookie_a, &len) == 0 &&
	       getsockopt(b, SOL_SOCKET, SO_NETNS_COOKIE, &cookie_b, &len) == 0 &&
	       cookie_a == cookie_b;
}

/*
 * The values that a socket without its own would show: those of a fresh one. False when the socket
 * is in another network namespace, or the kernel (before 5.14) does not tell.
 */
static bool read_sysctls_of(int fd, struct tcpkeep_settings *ret)
{
	_cleanup_close_ int fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	if (fresh < 0)
		fresh = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	return fresh >= 0 && same_netns(fd, fresh) && read_options(fresh, ret) == 0;
}

static enum tcpkeep_origin origin_of(int value, int sysctl, int socket_max)
{
	if (value != sysctl)
		return TCPKEEP_ORIGIN_SOCKET;
	return value < 1 || value > socket_max ? TCPKEEP_ORIGIN_SYSCTL : TCPKEEP_ORIGIN_EITHER;
}

EXPORT int tcpkeep_socket_read(int fd, struct tcpkeep_effective *ret)
{
	struct tcpkeep_effective effective = {0};
	struct tcpkeep_settings sysctls;
	int r;

	r = check_is_tcp(fd);
	if (r < 0)
		return r;
	r = read_options(fd, &effective.settings);
	if (r < 0)
		return r;
	if (read_sysctls_of(fd, &sysctls)) {
		const struct tcpkeep_settings *s = &effective.settings;

		if (s->fields & TCPKEEP_TIME)
			effective.time_origin =
				origin_of(s->time_s, sysctls.time_s, TCPKEEP_TIME_MAX_S);
		if (s->fields & TCPKEEP_INTVL)
			effective.intvl_origin =
				origin_of(s->intvl_s, sysctls.intvl_s, TCPKEEP_INTVL_MAX_S);
		if (s->fields & TCPKEEP_PROBES)
			effective.probes_origin =
				origin_of(s->probes, sysctls.probes, TCPKEEP_PROBES_MAX);
	}
	*ret = effective;
	return 0;
}

/* ---------------------------------------------------------------------------------- change */

struct change {
	int fd;
	struct tcpkeep_settings before;
	const struct tcpkeep_settings *wanted;
	struct tcpkeep_applied *applied;
	bool paused; /* turned off for the time of the writes */
};

static const struct socket_option option_on = {TCPKEEP_ON, SOL_SOCKET, SO_KEEPALIVE};

/* Would writing TCP_KEEPIDLE send a probe at once? The kernel's own arithmetic,
 * keepalive_time_elapsed(). */
static bool would_probe_at_once(const struct change *change)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	uint32_t silence_ms;

	if (!change->before.on || getsockopt(change->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return false;
	if (info.tcpi_state == TCP_LISTEN || info.tcpi_state == TCP_CLOSE)
		return false;
	silence_ms = MIN(info.tcpi_last_data_recv, info.tcpi_last_ack_recv);
	return silence_ms / 1000 >= (uint32_t)change->wanted->time_s;
}

static void compare(struct change *change)
{
	struct tcpkeep_applied *applied = change->applied;

	for (size_t i = 0; i < SOCKET_OPTIONS; i++) {
		uint32_t field = socket_options[i].field;

		if (change->wanted->fields & field &&
		    socket_option_value(&change->before, field) ==
			    socket_option_value(change->wanted, field))
			applied->held |= field;
	}
}

/* Puts back what was written, quietly: off meanwhile, so that no probe goes out. */
static void restore(struct change *change)
{
	uint32_t written = change->applied->written;

	if (written & TCPKEEP_TIME)
		set_option(change->fd, &option_on, 0);
	for (size_t i = 0; i < SOCKET_OPTIONS; i++) {
		const struct socket_option *option = &socket_options[i];
		int value = socket_option_value(&change->before, option->field);

		if (written & option->field && set_option(change->fd, option, value) == 0)
			change->applied->restored |= option->field;
	}
	if (written & TCPKEEP_TIME || change->paused)
		set_option(change->fd, &option_on, change->before.on);
	change->applied->written = 0;
}

static int write_option(struct change *change, const struct socket_option *option)
{
	uint32_t todo = change->wanted->fields & ~change->applied->held & ~change->applied->written;
	int r;

	if (!(todo & option->field))
		return 0;
	r = set_option(change->fd, option, socket_option_value(change->wanted, option->field));
	if (r < 0) {
		change->applied->failed = option->field;
		return r;
	}
	change->applied->written |= option->field;
	return 0;
}

static int write_all(struct change *change, unsigned flags)
{
	bool turns_off = change->wanted->fields & TCPKEEP_ON && !change->wanted->on;
	bool writes_time = change->wanted->fields & ~change->applied->held & TCPKEEP_TIME;
	int r = 0;

	/* Off comes first: what is written after it moves no timer. */
	if (turns_off)
		r = write_option(change, &option_on);
	if (r == 0 && !turns_off && writes_time && !(flags & TCPKEEP_APPLY_PROBE_NOW) &&
	    would_probe_at_once(change)) {
		r = set_option(change->fd, &option_on, 0);
		change->paused = r == 0;
	}
	for (size_t i = 0; r == 0 && i < SOCKET_OPTIONS; i++)
		r = write_option(change, &socket_options[i]);
	if (r == 0 && change->paused)
		r = set_option(change->fd, &option_on, 1);
	if (r < 0)
		restore(change);
	return r;
}

EXPORT int tcpkeep_socket_apply(int fd, const struct tcpkeep_settings *settings, unsigned flags,
				struct tcpkeep_applied *ret)
{
	struct tcpkeep_applied applied = {0};
	struct change change = {.fd = fd, .wanted = settings, .applied = &applied};
	uint32_t missing;
	int r;

	if (ret)
		*ret = applied;
	if (flags & ~(unsigned)TCPKEEP_APPLY_PROBE_NOW)
		return -EINVAL;
	r = tcpkeep_settings_validate(settings, TCPKEEP_SCOPE_SOCKET, NULL);
	if (r < 0)
		return r;
	r = check_is_tcp(fd);
	if (r < 0)
		return r;
	r = read_options(fd, &change.before);
	if (r < 0)
		return r;

	missing = settings->fields & ~change.before.fields;
	if (missing) {
		applied.failed = missing & -missing;
		r = -EOPNOTSUPP;
	} else {
		compare(&change);
		r = write_all(&change, flags);
	}
	if (ret)
		*ret = applied;
	return r < 0 ? r : __builtin_popcount(applied.written);
}

EXPORT const char *tcpkeep_origin_name(enum tcpkeep_origin origin)
{
	switch (origin) {
	case TCPKEEP_ORIGIN_SOCKET:
		return "socket";
	case TCPKEEP_ORIGIN_SYSCTL:
		return "sysctl";
	case TCPKEEP_ORIGIN_EITHER:
		return "either";
	case TCPKEEP_ORIGIN_UNKNOWN:
		break;
	}
	return "unknown";
}
