/* SPDX-License-Identifier: MIT */
/*
 * What a change gives to a socket that has this: a few kinds for a million sockets. Compiled for
 * user space and for BPF. With it the one rule of when a change would kill: a healthy connection
 * must never die of us.
 */
#pragma once

#include <linux/types.h>

/* The five of a socket. fields: enum tcpkeep_field, which of them count. */
struct change_values {
	__u32 user_timeout_ms;
	__u16 time_s;  /* 0: the sysctl's */
	__u16 intvl_s; /* 0: the sysctl's */
	__u8 probes;   /* 0: the sysctl's */
	__u8 on;
	__u8 fields;
	__u8 padding;
};

enum change_flag {
	CHANGE_MPTCP = 1 << 0,   /* subflows follow the socket that a program holds */
	CHANGE_LISTENS = 1 << 1, /* what it accepts inherits */
};

struct change_kind {
	__u64 netns;                    /* inode */
	struct change_values before;    /* as the socket has them of its own; fields: known */
	struct change_values effective; /* the same, with the sysctl's values in it */
	struct change_values wanted;    /* fields: what differs, and is to be written */
	__u32 flags;                    /* enum change_flag */
};

/* The bits of enum tcpkeep_field, which BPF has no header for; change.c holds them against it. */
#define CHANGE_ON           (1 << 0)
#define CHANGE_TIME         (1 << 1)
#define CHANGE_INTVL        (1 << 2)
#define CHANGE_PROBES       (1 << 3)
#define CHANGE_USER_TIMEOUT (1 << 4)

/* Which timer a connection waits for. */
enum change_wait {
	CHANGE_WAIT_KEEPALIVE = 0, /* or none */
	CHANGE_WAIT_RETRANSMIT,    /* data is in flight and has been sent again */
	CHANGE_WAIT_WINDOW,        /* data is queued, the peer's window is closed */
};

/* Where a connection stands at the moment of the change. */
struct change_standing {
	__u32 silence_ms; /* keepalive_time_elapsed() */
	__u32 due_ms;     /* until the timer that it waits for */
	__u32 stalled_ms; /* since the first retransmission, or window probe */
	__u8 probes_out;
	__u8 waits; /* enum change_wait */
	__u8 on;
};

/* How a change goes about the timers. */
enum change_mode {
	CHANGE_MODE_NOW = 1 << 0,   /* what is silent for longer than the time is probed at once */
	CHANGE_MODE_FRESH = 1 << 1, /* each timer starts with its own change: storm.h says why */
};

static inline __attribute__((__always_inline__)) __u32
change_rest_ms(const struct change_standing *now, const struct change_values *after)
{
	__u32 time_ms = (__u32)after->time_s * 1000;

	return time_ms > now->silence_ms ? time_ms - now->silence_ms : 0;
}

/* Does the silence so far count? What fell silent together must not ask together. */
static inline __attribute__((__always_inline__)) int
change_credits(const struct change_standing *now, const struct change_values *after, __u32 mode)
{
	if (!(mode & CHANGE_MODE_NOW))
		return 0;
	return !(mode & CHANGE_MODE_FRESH) || change_rest_ms(now, after) == 0;
}

/*
 * Is keepalive, on before and after, off meanwhile, for a full time from now on? A time that is
 * written while it is on credits the silence, and probes at once what is silent for longer.
 */
static inline __attribute__((__always_inline__)) int
change_pauses(const struct change_standing *now, const struct change_values *after, __u32 written,
	      __u32 mode)
{
	/* Nothing else that is written moves a timer. */
	if (!now->on || !after->on || !(written & CHANGE_TIME))
		return 0;
	if (change_credits(now, after, mode))
		return 0;
	return mode & CHANGE_MODE_FRESH || change_rest_ms(now, after) == 0;
}

/* When keepalive's timer will fire, after the change. */
static inline __attribute__((__always_inline__)) __u32
change_fires_in_ms(const struct change_standing *now, const struct change_values *after,
		   __u32 written, __u32 mode)
{
	if (change_pauses(now, after, written, mode))
		return (__u32)after->time_s * 1000;
	if (!now->on && !change_credits(now, after, mode))
		return (__u32)after->time_s * 1000;
	if (now->on && !(written & CHANGE_TIME))
		return now->due_ms;
	return change_rest_ms(now, after);
}

/*
 * 1: the connection would be given up the next time that its timer fires, with nothing asked
 * before. after: the effective values; written: what the change writes. tcp_keepalive_timer(),
 * retransmits_timed_out() and tcp_probe_timer() in net/ipv4/tcp_timer.c.
 */
static inline __attribute__((__always_inline__)) int change_kills(const struct change_standing *now,
								  const struct change_values *after,
								  __u32 written, __u32 mode)
{
	__u64 elapsed_ms; /* a silence of 49 days is the longest there is, and then some */

	if (now->waits != CHANGE_WAIT_KEEPALIVE)
		return written & CHANGE_USER_TIMEOUT && after->user_timeout_ms > 0 &&
		       (__u64)now->stalled_ms + now->due_ms >= after->user_timeout_ms;
	if (!after->on || now->probes_out == 0 || !(written & ~(__u32)CHANGE_INTVL))
		return 0;
	elapsed_ms = (__u64)now->silence_ms + change_fires_in_ms(now, after, written, mode);
	if (elapsed_ms < (__u32)after->time_s * 1000)
		return 0;
	if (after->user_timeout_ms > 0)
		return elapsed_ms >= after->user_timeout_ms;
	return now->probes_out >= after->probes;
}
