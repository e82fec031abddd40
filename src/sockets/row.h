/* SPDX-License-Identifier: MIT */
/*
 * One TCP socket as every source of a snapshot tells it: the BPF walk writes this very struct,
 * sock_diag and procfs are read into it. Compiled for user space and for BPF; no pointers, no
 * holes, 104 bytes.
 */
#pragma once

#include <linux/types.h>

/* Which timer of the connection is armed. The kernel's transmit timers hide keepalive's from
 * sock_diag. */
enum row_timer {
	ROW_TIMER_NONE = 0,
	ROW_TIMER_RETRANSMIT,
	ROW_TIMER_WINDOW_PROBE,
	ROW_TIMER_KEEPALIVE, /* also an orphan's FIN timeout in FIN_WAIT2: see ROW_ORPHAN */
	ROW_TIMER_TIME_WAIT,
	ROW_TIMER_SYN_ACK,
	ROW_TIMER_HIDDEN, /* a transmit timer is armed; whether keepalive's is as well cannot be
			     seen */
};

enum row_direction {
	ROW_DIRECTION_UNKNOWN = 0,
	ROW_DIRECTION_IN,  /* accepted: a listener of its namespace has its local port */
	ROW_DIRECTION_OUT, /* connected */
	ROW_DIRECTION_LISTEN,
};

/* What is known. A member whose bit is not set holds 0 and means nothing: unknown is shown as
 * unknown. */
enum row_known {
	ROW_KNOWN_KEEPALIVE = 1 << 0, /* keepalive */
	ROW_KNOWN_SETTINGS = 1 << 1,  /* time_s, intvl_s, probes */
	ROW_KNOWN_ORIGIN =
		1 << 2, /* 0 in those three means the sysctl's; without: effective values */
	ROW_KNOWN_USER_TIMEOUT = 1 << 3, /* user_timeout_ms */
	ROW_KNOWN_TIMER = 1 << 4,        /* timer, timer_ms, probes_out, retransmits */
	ROW_KNOWN_SILENCE = 1 << 5,      /* silence_ms */
	ROW_KNOWN_CGROUP = 1 << 6,       /* cgroup */
	ROW_KNOWN_BUCKET = 1 << 7,       /* expires_tick, timer_level: keepalive's timer is armed */
};

enum row_flag {
	ROW_KEEPALIVE = 1 << 0, /* SO_KEEPALIVE is on */
	ROW_MPTCP = 1 << 1,     /* a subflow of an MPTCP connection */
	ROW_ORPHAN = 1 << 2,    /* closed by its program */
	ROW_V6ONLY = 1 << 3,
};

struct socket_row {
	__u64 cookie; /* unique while the machine is up; of the socket that a program holds (MPTCP:
		       * not the subflow's); 0 for TIME_WAIT and SYN_RECV */
	__u64 cgroup; /* id of the cgroup2 in which it was made */
	__u32 local[4]; /* network order; IPv4 as ::ffff:a.b.c.d when family is AF_INET, too */
	__u32 peer[4];
	__u16 local_port; /* host order */
	__u16 peer_port;
	__u8 family;    /* AF_INET, AF_INET6 */
	__u8 state;     /* TCP_ESTABLISHED (1) ... TCP_NEW_SYN_RECV (12) of net/tcp_states.h */
	__u8 flags;     /* enum row_flag */
	__u8 known;     /* enum row_known */
	__u8 timer;     /* enum row_timer */
	__u8 direction; /* enum row_direction */
	__u8 probes;
	__u8 probes_out;  /* keepalive or window probes sent and not answered */
	__u8 retransmits; /* of the oldest data */
	__u8 padding[2];
	__u8 timer_level; /* of the timer wheel: its buckets are 8^level ticks wide */
	__s32 time_s;     /* 0: the sysctl's, when ROW_KNOWN_ORIGIN */
	__s32 intvl_s;
	__u32 user_timeout_ms; /* 0: none */
	__s32 timer_ms;        /* until the timer is due; negative: late */
	__u32 silence_ms;      /* since data or a valid ACK was received */
	__u32 unacked;         /* bytes in flight; a listener: 0 */
	__u32 unsent; /* bytes queued and not sent; a listener: connections not yet accepted */
	__u32 uid;
	__u32 inode;        /* of the socket's file; 0: none */
	__u32 expires_tick; /* jiffies, the lower half, at which keepalive's timer is due */
};

_Static_assert(sizeof(struct socket_row) == 104,
	       "the rows of the kernel and of user space are one");
