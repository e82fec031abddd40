/* SPDX-License-Identifier: MIT */
/* setsockopt() of the program on one of our five options: remembered, or withheld in enforce mode.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "shim.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262 /* linux/in.h, 5.6 */
#endif

static int protocol_of(int fd)
{
	socklen_t len = sizeof(int);
	int protocol, type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM)
		return -1;
	len = sizeof(protocol);
	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0 ? -1 : protocol;
}

/* The kernel's ranges, net/ipv4/tcp.c tcp_sock_set_keepidle() and its neighbours. */
static bool in_range(uint32_t field, int value)
{
	switch (field) {
	case TCPKEEP_TIME:
		return value >= 1 && value <= TCPKEEP_TIME_MAX_S;
	case TCPKEEP_INTVL:
		return value >= 1 && value <= TCPKEEP_INTVL_MAX_S;
	case TCPKEEP_PROBES:
		return value >= 1 && value <= TCPKEEP_PROBES_MAX;
	case TCPKEEP_USER_TIMEOUT:
		return value >= 0;
	default:
		return true;
	}
}

/*
 * Would the kernel take this call? Asked with an option that it never sets (SO_TYPE): it looks at
 * the length and the memory first and says ENOPROTOOPT only when both are good (net/core/sock.c
 * sk_setsockopt()). MPTCP looks at the name first, so a plain socket is asked for it.
 */
static int judge(int fd, int protocol, const void *value, socklen_t len, uint32_t field)
{
	int asked = fd, number, error;

	if (protocol == IPPROTO_MPTCP) {
		asked = shim_real.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
		if (asked < 0)
			return 0;
	}
	error = shim_real.setsockopt(asked, SOL_SOCKET, SO_TYPE, value, len) < 0 ? errno : 0;
	if (asked != fd)
		shim_real.close(asked);
	if (error != ENOPROTOOPT)
		return error;
	memcpy(&number, value, sizeof(number));
	return in_range(field, number) ? 0 : EINVAL;
}

/* True when the call is withheld; *ret is what the program is told. */
static bool withhold(int fd, const void *value, socklen_t len, uint32_t field, int *ret)
{
	int saved = errno;
	int protocol = protocol_of(fd);
	int error;

	errno = saved;
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
		return false;
	/* MPTCP has no user timeout: the kernel says so. */
	if (protocol == IPPROTO_MPTCP && field == TCPKEEP_USER_TIMEOUT)
		return false;
	if (shim_kind(shim_entry(fd)) == SHIM_UNKNOWN)
		shim_meet(fd, SHIM_DONE);
	error = judge(fd, protocol, value, len, field);
	errno = error ? error : saved;
	*ret = error ? -1 : 0;
	if (!error)
		shim_count(withheld);
	return true;
}

/* Default mode: the program's choice stands, and is remembered. */
static void remember(int fd, const void *value, uint32_t field)
{
	uint8_t entry = shim_entry(fd);
	unsigned kind, now;
	int number = 1;

	if (field == TCPKEEP_ON)
		memcpy(&number, value, sizeof(number));
	do {
		kind = now = shim_kind(entry);
		if (kind == SHIM_OTHER)
			return;
		if (number == 0)
			now = SHIM_LEFT_ALONE;
		else if (kind == SHIM_LEFT_ALONE && field == TCPKEEP_ON)
			now = SHIM_UNKNOWN;
	} while (!shim_replace(fd, &entry, now | (entry & SHIM_FIELDS_MASK) | field));
	/* On after all, perhaps long after it connected: what the program left open is filled in.
	 */
	if (kind == SHIM_LEFT_ALONE && now == SHIM_UNKNOWN)
		shim_meet(fd, SHIM_DONE);
}

int shim_program_sets(int fd, int level, int name, const void *value, socklen_t len, uint32_t field)
{
	bool ours, held;
	int r;

	shim_init();
	ours = shim.plan.settings.fields & field;
	/* Before connect() and listen() a value does no harm: they set ours over it. */
	if (shim.plan.enforce && ours && shim_kind(shim_entry(fd)) != SHIM_FRESH &&
	    withhold(fd, value, len, field, &r))
		return r;
	held = shim_report_holds(fd);
	r = shim_real.setsockopt(fd, level, name, value, len);
	shim_report_changed(fd, held);
	if (r == 0 && !shim.plan.enforce && shim.n_options)
		remember(fd, value, field);
	return r;
}
