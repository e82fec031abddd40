/* SPDX-License-Identifier: MIT */
/*
 * The preload library's own inside. The rules of a hook: no allocation, no stdio, no lock; errno is
 * kept on success; nothing that happens here may fail or end the program that called.
 *
 * What is known about a descriptor is one byte, so that the common ways cost the setsockopt() calls
 * and nothing else. A byte may be stale (a C library closes descriptors of its own without our
 * close()): every kind but FRESH, OTHER and LEFT_ALONE is looked at again before something is
 * written. A child of vfork() writes into its parent's table: no entry is replaced without a look
 * at what it holds by then.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <tcpkeep.h>

#include "plan.h"
#include "report.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Inside, no symbol goes through the GOT: a hook costs what it does. */
#pragma GCC visibility push(hidden)

/* ------------------------------------------------------------------- the functions behind us */

/* What we hook: name, result, parameters, arguments. */
#define SHIM_HOOKS(HOOK)                                                                           \
	HOOK(socket, (int domain, int type, int protocol), (domain, type, protocol))               \
	HOOK(connect, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len))       \
	HOOK(listen, (int fd, int backlog), (fd, backlog))                                         \
	HOOK(accept, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len))             \
	HOOK(accept4, (int fd, struct sockaddr *addr, socklen_t *len, int flags),                  \
	     (fd, addr, len, flags))                                                               \
	HOOK(setsockopt, (int fd, int level, int name, const void *value, socklen_t len),          \
	     (fd, level, name, value, len))                                                        \
	HOOK(close, (int fd), (fd))                                                                \
	HOOK(dup2, (int fd, int to), (fd, to))                                                     \
	HOOK(dup3, (int fd, int to, int flags), (fd, to, flags))

/*
 * The next definition of each: the C library's or that of another preloaded library. Until the
 * first call each points to a function that looks it up, so that a hook that runs before our
 * constructor works and one that runs after it does not have to ask.
 */
struct shim_real {
#define HOOK(name, parameters, arguments) int(*name) parameters;
	SHIM_HOOKS(HOOK)
#undef HOOK
	ssize_t (*sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
	ssize_t (*sendmsg)(int, const struct msghdr *, int);
};
extern struct shim_real shim_real;

void shim_resolve(void);

/* ------------------------------------------------------------------------- what is to be done */

/* One setsockopt() of the plan. */
struct shim_option {
	uint32_t field;
	int level;
	int name;
	int value;
};

#define SHIM_OPTIONS_MAX 5

struct shim {
	struct shim_option options[SHIM_OPTIONS_MAX]; /* SO_KEEPALIVE last: it starts a full time */
	unsigned n_options; /* 0: nothing is to be done; published after all the others */
	uint8_t respected;  /* fields in which the program's own choice stands */
	bool reread;
	struct report *report; /* NULL: nobody counts */
	struct plan plan;
};
extern struct shim shim;

/* Does this thread run on the memory of its parent process? Asks the kernel: for rare ways only. */
bool shim_in_vfork(void);

/* Once; called by the constructor or by the first hook that runs before it. */
void shim_init(void);

/* The options of settings in the order in which they are written; returns their number. */
unsigned shim_options(const struct tcpkeep_settings *settings,
		      struct shim_option options[SHIM_OPTIONS_MAX]);

/* DD_EVAL_ENVIRONMENT_ONCE=0: the plan that the environment asks for now. */
void shim_read_plan_again(struct plan *ret);

#define shim_count(counter)                                                                        \
	do {                                                                                       \
		if (unlikely(shim.report != NULL))                                                 \
			__atomic_fetch_add(&shim.report->counter, 1, __ATOMIC_RELAXED);            \
	} while (0)

/* ------------------------------------------------------------------- what is known about a fd */

enum shim_kind {
	SHIM_UNKNOWN = 0,           /* ask the kernel */
	SHIM_FRESH = 1 << 5,        /* TCP, from socket(), neither connected nor listening */
	SHIM_DONE = 2 << 5,         /* has the settings */
	SHIM_LISTENER = 3 << 5,     /* so have all sockets that will be accepted from it */
	SHIM_OLD_LISTENER = 4 << 5, /* has them, its queue may hold sockets born before */
	SHIM_OTHER = 5 << 5,        /* not TCP */
	SHIM_GIVEN = 7 << 5,        /* DD_EVAL_ENVIRONMENT_ONCE=0: was set by socket(), finally */
	SHIM_LEFT_ALONE = 6 << 5,   /* the program turned keepalive off */
};
#define SHIM_KIND_MASK   0xe0
#define SHIM_FIELDS_MASK 0x1f /* enum tcpkeep_field: what the program itself has set */

/* Descriptors from here on are asked for every time. The table is zero pages until it is used. */
#ifndef SHIM_TABLE_SIZE
#define SHIM_TABLE_SIZE 65536
#endif
extern uint8_t shim_table[SHIM_TABLE_SIZE];

static inline uint8_t shim_entry(int fd)
{
	return likely((unsigned)fd < SHIM_TABLE_SIZE)
		       ? __atomic_load_n(&shim_table[fd], __ATOMIC_RELAXED)
		       : SHIM_UNKNOWN;
}

static inline void shim_mark(int fd, unsigned entry)
{
	if (likely((unsigned)fd < SHIM_TABLE_SIZE))
		__atomic_store_n(&shim_table[fd], (uint8_t)entry, __ATOMIC_RELAXED);
}

/* Only if nothing has changed it since *entry was read; else *entry is what it is now. */
static inline bool shim_replace(int fd, uint8_t *entry, unsigned by)
{
	if (unlikely((unsigned)fd >= SHIM_TABLE_SIZE))
		return true;
	return __atomic_compare_exchange_n(&shim_table[fd], entry, (uint8_t)by, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static inline unsigned shim_kind(uint8_t entry)
{
	return entry & SHIM_KIND_MASK;
}

/* --------------------------------------------------------------------------- the slower ways */

/*
 * Looks at a socket of which little is known, gives it what it lacks and marks it as kind. Does
 * nothing to what is not TCP. Keeps errno.
 */
void shim_meet(int fd, enum shim_kind kind);

/* What was not TCP is about to connect or to listen: still so? */
void shim_meet_other(int fd, enum shim_kind kind);

/* A listener of which little is known. */
void shim_meet_listener(int fd);

/* A socket that was accepted from such a one. */
void shim_meet_accepted(int listener, int fd);

/*
 * Every TCP socket that this program got from its parent. Not for a program that a met one started:
 * what its parent chose would look like nobody's choice.
 */
void shim_meet_inherited(void);

/* The kernel refused an option of a fresh socket with errno: counts it, marks what is not TCP at
 * all. */
void shim_refused(int fd, int error);

/* For --report: a fresh socket was set as far as its entry lets us; one of which the table knew too
 * little was set; one was accepted from such a listener. */
void shim_report_fresh(int fd, uint8_t entry, enum shim_kind kind);
void shim_report_set(int fd, enum shim_kind kind);
void shim_report_accepted(int fd, uint8_t listener_entry);

/* Has the socket all that the plan wants? Asked before a setsockopt() of the program on one of the
 * five options, and after it with the answer: counts what was changed. */
bool shim_report_holds(int fd);
void shim_report_changed(int fd, bool held);

/* connect() said this, with errno: returns it. The program is about to close. After fork(), in the
 * child. */
int shim_report_connect(int fd, int result);
void shim_report_close(int fd);
void shim_report_forget(void);

/* DD_EVAL_ENVIRONMENT_ONCE=0: gives a fresh socket what the environment says now. */
void shim_set_reread(int fd);

/* setsockopt() of the program on one of the five options, before it is done; field: which. */
int shim_program_sets(int fd, int level, int name, const void *value, socklen_t len,
		      uint32_t field);

#pragma GCC visibility pop
