/* SPDX-License-Identifier: MIT */
/* The functions that the preload library puts before those of the C library: all that it exports.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/macro.h"
#include "shim.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262 /* linux/in.h, 5.6 */
#endif

uint8_t shim_table[SHIM_TABLE_SIZE];

/* A socket from socket(): the setsockopt() calls and nothing else. */
static inline void set_fresh(int fd, uint8_t entry, enum shim_kind kind)
{
	uint8_t own = entry & shim.respected;
	unsigned n_options = __atomic_load_n(&shim.n_options, __ATOMIC_ACQUIRE);
	const struct shim_option *end = shim.options + n_options;
	int saved = errno;

	/* Nothing to do, or another thread is still in shim_init(): then it stays as it is. */
	if (unlikely(n_options == 0))
		return;
	/* First, so that in enforce mode no other thread slips in a value between here and the
	 * call. */
	shim_mark(fd, (unsigned)kind | (entry & SHIM_FIELDS_MASK));
	for (const struct shim_option *option = shim.options; option < end; option++) {
		if (unlikely(own & option->field))
			continue;
		if (unlikely(shim_real.setsockopt(fd, option->level, option->name, &option->value,
						  sizeof(option->value)) < 0)) {
			shim_refused(fd, errno);
			errno = saved;
			if (shim_kind(shim_entry(fd)) == SHIM_OTHER)
				return;
		}
	}
}

/* The socket is about to connect or to listen. */
static inline void prepare(int fd, enum shim_kind kind)
{
	uint8_t entry = shim_entry(fd);

	switch (shim_kind(entry)) {
	case SHIM_FRESH:
		set_fresh(fd, entry, kind);
		if (unlikely(shim.report != NULL))
			shim_report_fresh(fd, entry, kind);
		break;
	case SHIM_LEFT_ALONE:
		shim_count(left_alone);
		break;
	case SHIM_OTHER:
		shim_meet_other(fd, kind);
		break;
	case SHIM_GIVEN:
		break;
	default:
		if (kind == SHIM_LISTENER)
			shim_meet_listener(fd);
		else
			shim_meet(fd, kind);
	}
}

EXPORT int socket(int domain, int type, int protocol)
{
	int fd = shim_real.socket(domain, type, protocol);

	if (unlikely(fd < 0))
		return fd;
	if ((domain == AF_INET || domain == AF_INET6) &&
	    (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM &&
	    (protocol == 0 || protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)) {
		shim_mark(fd, SHIM_FRESH);
		if (unlikely(shim.reread))
			shim_set_reread(fd);
	} else {
		shim_mark(fd, SHIM_OTHER);
	}
	return fd;
}

EXPORT int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	prepare(fd, SHIM_DONE);
	if (unlikely(shim.report != NULL))
		return shim_report_connect(fd, shim_real.connect(fd, addr, len));
	return shim_real.connect(fd, addr, len);
}

EXPORT int listen(int fd, int backlog)
{
	prepare(fd, SHIM_LISTENER);
	return shim_real.listen(fd, backlog);
}

/* A listener hands its settings down when the handshake ends: most often nothing is left to do. */
static inline int accepted(int listener, int fd)
{
	uint8_t entry = shim_entry(listener);
	unsigned kind = shim_kind(entry);

	if (unlikely(fd < 0)) {
		/* The queue has been emptied: what comes from now on was born with the settings. */
		if (kind == SHIM_OLD_LISTENER && errno == EAGAIN)
			shim_mark(listener, SHIM_LISTENER | (entry & SHIM_FIELDS_MASK));
		return fd;
	}
	if (likely(kind == SHIM_LISTENER)) {
		shim_mark(fd, SHIM_DONE);
		if (unlikely(shim.report != NULL))
			shim_report_accepted(fd, entry);
	} else if (kind == SHIM_OTHER || kind == SHIM_LEFT_ALONE || kind == SHIM_GIVEN) {
		shim_mark(fd, kind);
		if (kind == SHIM_LEFT_ALONE)
			shim_count(left_alone);
	} else {
		shim_meet_accepted(listener, fd);
	}
	return fd;
}

EXPORT int accept(int fd, struct sockaddr *restrict addr, socklen_t *restrict len)
{
	return accepted(fd, shim_real.accept(fd, addr, len));
}

EXPORT int accept4(int fd, struct sockaddr *restrict addr, socklen_t *restrict len, int flags)
{
	return accepted(fd, shim_real.accept4(fd, addr, len, flags));
}

/* Which of the five options it is, 0 for any other. */
static inline uint32_t field_of(int level, int name)
{
	if (level == SOL_SOCKET)
		return name == SO_KEEPALIVE ? TCPKEEP_ON : 0;
	if (level != IPPROTO_TCP)
		return 0;
	switch (name) {
	case TCP_KEEPIDLE:
		return TCPKEEP_TIME;
	case TCP_KEEPINTVL:
		return TCPKEEP_INTVL;
	case TCP_KEEPCNT:
		return TCPKEEP_PROBES;
	case TCP_USER_TIMEOUT:
		return TCPKEEP_USER_TIMEOUT;
	default:
		return 0;
	}
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	uint32_t field = field_of(level, name);

	if (unlikely(field))
		return shim_program_sets(fd, level, name, value, len, field);
	return shim_real.setsockopt(fd, level, name, value, len);
}

/* What the kernel cannot tell again: a choice (off looks the same as never asked), and that a
 * listener's queue has nothing in it that was born before it was set. */
static inline bool is_worth_keeping(uint8_t entry)
{
	return entry & SHIM_FIELDS_MASK || shim_kind(entry) == SHIM_LEFT_ALONE ||
	       shim_kind(entry) == SHIM_LISTENER;
}

/* A child of vfork() that closes descriptors writes into its parent's table, whose sockets stay
 * open: what would be lost for good is kept. */
static inline void forget(int fd)
{
	uint8_t entry = shim_entry(fd);

	/* Our parent's thread may make a choice while we look: then look again. */
	while (entry && likely(!is_worth_keeping(entry) || !shim_in_vfork()))
		if (likely(shim_replace(fd, &entry, SHIM_UNKNOWN)))
			return;
}

/*
 * A copy is the same socket: a choice holds for it as well. FRESH would not stay true when the
 * other one connects. After vfork() the table is the parent's, whose descriptors are others.
 */
static inline void copy_known(int fd, int to)
{
	uint8_t entry = shim_entry(fd), unknown = SHIM_UNKNOWN;

	if (shim_kind(entry) == SHIM_FRESH)
		entry &= SHIM_FIELDS_MASK;
	if (entry && !shim_in_vfork())
		shim_replace(to, &unknown, entry);
}

static inline void report_close(int fd)
{
	if (unlikely(shim.report != NULL))
		shim_report_close(fd);
}

EXPORT int close(int fd)
{
	report_close(fd);
	/* Before: afterwards another thread may have got the same number. */
	forget(fd);
	return shim_real.close(fd);
}

EXPORT int dup2(int fd, int to)
{
	int r;

	if (fd != to)
		report_close(to);
	r = shim_real.dup2(fd, to);
	/* After: it may fail, and the number stays taken. */
	if (r >= 0 && fd != to) {
		forget(to);
		copy_known(fd, to);
	}
	return r;
}

EXPORT int dup3(int fd, int to, int flags)
{
	int r;

	report_close(to);
	r = shim_real.dup3(fd, to, flags);
	if (r >= 0) {
		forget(to);
		copy_known(fd, to);
	}
	return r;
}

/*
 * TCP Fast Open: data and an address on a socket that is not connected yet is a connect(). Whether
 * there is an address is not looked at: the message may be no memory at all, which is the kernel's
 * to say.
 */
static inline void prepare_fastopen(int fd)
{
	unsigned kind = shim_kind(shim_entry(fd));

	if (kind == SHIM_FRESH || kind == SHIM_UNKNOWN)
		prepare(fd, SHIM_DONE);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t size, int flags, const struct sockaddr *addr,
		      socklen_t len)
{
	if (unlikely(flags & MSG_FASTOPEN) && addr)
		prepare_fastopen(fd);
	return shim_real.sendto(fd, buf, size, flags, addr, len);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (unlikely(flags & MSG_FASTOPEN))
		prepare_fastopen(fd);
	return shim_real.sendmsg(fd, message, flags);
}
