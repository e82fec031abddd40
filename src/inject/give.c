/* SPDX-License-Identifier: MIT */
#include "give.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "keepalive/socket.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262 /* linux/in.h, 5.6 */
#endif

static int get_int(int fd, int level, int name, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, level, name, ret, &len) < 0 ? -errno : 0;
}

bool give_is_tcp(int fd)
{
	int protocol, type;

	return get_int(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) == 0 &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP) &&
	       get_int(fd, SOL_SOCKET, SO_TYPE, &type) == 0 && type == SOCK_STREAM;
}

bool give_holds(int fd, const struct tcpkeep_settings *wanted, uint32_t except)
{
	for (size_t i = 0; i < SOCKET_OPTIONS; i++) {
		const struct socket_option *option = &socket_options[i];
		int value;

		if (!(wanted->fields & ~except & option->field))
			continue;
		if (get_int(fd, option->level, option->name, &value) < 0 ||
		    value != socket_option_value(wanted, option->field))
			return false;
	}
	return true;
}

static bool is_own(enum tcpkeep_origin origin, int value, int kernel_default)
{
	/* Where the sysctls cannot be seen, their usual values stand for them. */
	if (origin == TCPKEEP_ORIGIN_UNKNOWN)
		return value != kernel_default;
	return origin == TCPKEEP_ORIGIN_SOCKET;
}

/* Which fields somebody chose on this socket: what a fresh one would not show. */
static uint32_t own_fields(const struct tcpkeep_effective *effective)
{
	static const struct tcpkeep_sysctls usual = TCPKEEP_SYSCTLS_DEFAULT;
	const struct tcpkeep_settings *s = &effective->settings;
	uint32_t own = 0;

	if (is_own(effective->time_origin, s->time_s, usual.time_s))
		own |= TCPKEEP_TIME;
	if (is_own(effective->intvl_origin, s->intvl_s, usual.intvl_s))
		own |= TCPKEEP_INTVL;
	if (is_own(effective->probes_origin, s->probes, usual.probes))
		own |= TCPKEEP_PROBES;
	if (s->fields & TCPKEEP_USER_TIMEOUT && s->user_timeout_ms)
		own |= TCPKEEP_USER_TIMEOUT;
	if (s->fields & TCPKEEP_ON && s->on)
		own |= TCPKEEP_ON;
	return own;
}

enum give_outcome give(int fd, const struct give *give, int *ret_refused)
{
	struct tcpkeep_settings wanted = *give->wanted;
	struct tcpkeep_effective effective;
	struct tcpkeep_applied applied;
	uint32_t own = 0;
	int r;

	*ret_refused = 0;
	if (give_holds(fd, &wanted, 0))
		return give_is_tcp(fd) ? GIVE_HELD : GIVE_NOT_TCP;
	r = tcpkeep_socket_read(fd, &effective);
	if (r < 0)
		return GIVE_NOT_TCP;
	if (give->respect)
		own = give->chosen | own_fields(&effective);
	wanted.fields &= ~own;
	if (wanted.fields == 0)
		return GIVE_LEFT_ALONE;
	r = tcpkeep_socket_apply(fd, &wanted, 0, &applied);
	if (r == -EOPNOTSUPP) {
		/* MPTCP before Linux 6.10 has the switch and not the values. */
		*ret_refused = -r;
		wanted.fields &= effective.settings.fields;
		r = tcpkeep_socket_apply(fd, &wanted, 0, &applied);
	}
	if (r < 0) {
		*ret_refused = -r;
		return GIVE_REFUSED;
	}
	if (give->verify && !give_holds(fd, &wanted, 0)) {
		*ret_refused = EIO;
		return GIVE_REFUSED;
	}
	return give_holds(fd, give->wanted, ~own) ? GIVE_SET : GIVE_IN_PART;
}

/* ---------------------------------------------------------------------------------- quickly */

#define ALL_FIELDS                                                                                 \
	((uint32_t)(TCPKEEP_ON | TCPKEEP_TIME | TCPKEEP_INTVL | TCPKEEP_PROBES |                   \
		    TCPKEEP_USER_TIMEOUT))

/* False when one of the fields cannot be read. */
static bool read_fields(int fd, uint32_t fields, struct tcpkeep_settings *ret)
{
	struct tcpkeep_settings settings = {0};

	for (size_t i = 0; i < SOCKET_OPTIONS; i++) {
		const struct socket_option *option = &socket_options[i];
		int value;

		if (!(fields & option->field))
			continue;
		if (get_int(fd, option->level, option->name, &value) < 0)
			return false;
		socket_option_store(&settings, option->field, value);
	}
	*ret = settings;
	return true;
}

/* False when the kernel refuses one: the others may be written by then. */
static bool write_fields(int fd, const struct tcpkeep_settings *wanted)
{
	for (size_t i = 0; i < SOCKET_OPTIONS; i++) {
		const struct socket_option *option = &socket_options[i];
		int value = socket_option_value(wanted, option->field);

		if (wanted->fields & option->field &&
		    setsockopt(fd, option->level, option->name, &value, sizeof(value)) < 0)
			return false;
	}
	return true;
}

static bool same_values(const struct tcpkeep_settings *a, const struct tcpkeep_settings *b,
			uint32_t fields)
{
	for (size_t i = 0; i < SOCKET_OPTIONS; i++) {
		uint32_t field = socket_options[i].field;

		if (fields & field &&
		    (!(a->fields & b->fields & field) ||
		     socket_option_value(a, field) != socket_option_value(b, field)))
			return false;
	}
	return true;
}

static void learn_fresh(struct give_memory *memory)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	if (fd < 0 || !read_fields(fd, ALL_FIELDS, &memory->fresh))
		memory->fresh.fields = 0;
}

/* True when that was all. */
static bool try_quickly(int fd, const struct give *give, const struct give_memory *memory,
			enum give_outcome *ret)
{
	const struct tcpkeep_settings *wanted = give->wanted;
	struct tcpkeep_settings now;

	if (give->chosen || !read_fields(fd, wanted->fields, &now))
		return false;
	if (same_values(&now, wanted, wanted->fields)) {
		*ret = GIVE_HELD;
		return true;
	}
	if (!same_values(&now, &memory->fresh, wanted->fields) || !write_fields(fd, wanted) ||
	    (give->verify && !give_holds(fd, wanted, 0)))
		return false;
	*ret = GIVE_SET;
	return true;
}

enum give_outcome give_quickly(int fd, const struct give *give_, struct give_memory *memory,
			       int *ret_refused)
{
	enum give_outcome outcome;

	*ret_refused = 0;
	if (try_quickly(fd, give_, memory, &outcome))
		return outcome;
	/* Not again because of a sysctl that was changed. */
	learn_fresh(memory);
	return give(fd, give_, ret_refused);
}
