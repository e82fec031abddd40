/* SPDX-License-Identifier: MIT */
/*
 * The timeline model against the running kernel: what a scenario is, what is observed of it, and
 * who does what. scenarios.c says what happens, stage.c and start.c make it happen, observe.c reads
 * what the wire saw, judge.c compares it with the model, model-test.c runs all of them side by
 * side.
 */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tcpkeep.h>

#include "base/macro.h"
#include "lab/lab.h"

#define NS_PER_MS 1000000ULL
#define NS_PER_US 1000ULL

uint64_t monotonic_ns(void);

/* What happens to the peer, and by what means. */
enum fault {
	FAULT_NONE = 0, /* it stays healthy */
	FAULT_FILTER,   /* its socket hears nothing any more (SO_ATTACH_FILTER) */
	FAULT_RULE,     /* its namespace drops what comes in (nftables) */
	FAULT_RETURNS,  /* FAULT_FILTER, taken away again after returns_ms */
	FAULT_GONE, /* its socket vanishes without a FIN (TCP_REPAIR): the next segment is reset */
	FAULT_REJECTS,       /* its firewall answers with a reset */
	FAULT_UNREACHABLE,   /* its firewall answers with ICMP, which must not matter */
	FAULT_OUTPUT,        /* our own firewall drops what we send: nothing on the wire */
	FAULT_DEAF_TO_EMPTY, /* hears data, but no segment without */
};

/* What state the connection is brought into before the fault. */
enum state {
	STATE_ESTABLISHED = 0,
	STATE_FIN_WAIT2, /* we have shut down, the peer has not, and the program keeps the socket */
	STATE_CLOSE_WAIT, /* the peer has shut down */
};

/* What the program does at the start. */
enum deed {
	DEED_NOTHING = 0,
	DEED_SEND,  /* a few bytes: data in flight */
	DEED_FILL,  /* more than the peer's receive buffer: a zero window */
	DEED_CLOSE, /* it closes the socket */
};

/* When the keepalive timer starts, and with how much. */
enum arming {
	ARMING_FULL = 0, /* SO_KEEPALIVE is the last option written: a full time from then */
	ARMING_CREDIT,   /* TCP_KEEPIDLE is written to a socket that is on: the silence counts */
	ARMING_CONNECT,  /* the options are there before the connection: from its first segment */
	ARMING_DIAG,     /* whatever sock_diag says is left of the timer */
};

struct scenario {
	const char *name;
	const char *settings; /* tcpkeep_settings_parse() */
	const char *preset;   /* settings that the socket gets as soon as it is connected */
	const char *
		sysctls[3]; /* of the namespace that is watched: "tcp_retries2=3", below net/ipv4 */
	bool ipv6;
	bool accepted; /* the watched socket is an accepted one; the listener has the settings */
	bool small;    /* the peer's receive buffer is small */
	bool tail_loss_probe;
	bool probe_now; /* TCPKEEP_APPLY_PROBE_NOW */
	enum state state;
	enum arming arming;
	enum fault fault;
	enum deed deed;
	unsigned start_ms;   /* of silence between the connection and the start */
	unsigned returns_ms; /* from the start */
	unsigned again_ms; /* from the start: the same settings are applied again, and move nothing
			    */
	unsigned watch_ms; /* how long to look at what never ends */

	/* Told by hand, so that model and kernel cannot agree on nothing. */
	enum tcpkeep_event_kind ends; /* TCPKEEP_EVENT_END: not within watch_ms */
	int error;                    /* 0: the one of the model */
};

extern const struct scenario scenarios[];
extern const size_t n_scenarios;

/* One scenario under way. */
struct stage {
	const struct scenario *scenario;
	int netns, peer_netns; /* the watched one and the other */
	int capture;
	int subject; /* the watched socket; -1 once the program has closed it */
	int peer;
	int diag; /* sock_diag of the watched namespace */
	struct sockaddr_storage local, remote;
	struct tcpkeep_settings settings;
	struct tcpkeep_kernel kernel;

	struct lab_packet *packets;
	size_t n_packets, allocated;
	unsigned dropped;

	bool started, over, returned;
	bool applied_again;
	bool settled; /* the window is closed, rto_ms known */
	uint64_t connected_ns;
	uint64_t start_lo_ns, start_hi_ns; /* around the system call that starts it all */
	uint64_t returns_lo_ns, returns_hi_ns;
	uint64_t deadline_ns;
	uint64_t timer_us; /* ARMING_DIAG */
	unsigned rto_ms;

	bool dead;
	uint64_t death_lo_ns, death_hi_ns; /* last seen alive, first seen dead */
	int error;
	uint64_t alive_ns; /* an orphan: last seen */

	char trouble[256]; /* why the stage itself failed; "" = it did not */
	char skip[256];    /* what the kernel lacks */
};

/* Where the peer (or the accepted socket) listens, and how much it takes when its buffer is small.
 */
#define PORT         7000
#define SMALL_BUFFER 4096

/* Says why the stage itself failed; returns r. */
int stage_trouble(struct stage *stage, int r, const char *format, ...) PRINTF_LIKE(3, 4);

/* Builds it up to the connection. 0, or -errno with trouble or skip. */
int stage_build(struct stage *stage, const struct scenario *scenario);
/* The fault, the settings, the deed. */
int stage_start(struct stage *stage);
/* Whatever is due by now: the peer's return, the second application. */
int stage_advance(struct stage *stage, uint64_t now_ns);
/* An orphan has no descriptor to poll. */
void stage_look_for_orphan(struct stage *stage);
/* Reads what the capture has. */
int stage_drain(struct stage *stage);
void stage_tear_down(struct stage *stage);

/* ------------------------------------------------------------------------------ diagnosis */

/* 1: there is such a socket, with its timer (0 = none) and what is left of it; 0: there is none. */
int diag_look(int diag, const struct sockaddr_storage *local, const struct sockaddr_storage *remote,
	      unsigned *ret_timer, uint64_t *ret_left_us);

/* ----------------------------------------------------------------------------- observation */

#define OBSERVED_MAX 256

/* Something that the kernel did, between two moments (a packet has but one). */
struct observed {
	enum tcpkeep_event_kind kind; /* TCPKEEP_EVENT_END: a segment that nobody expects */
	uint64_t lo_ns, hi_ns;
	int error;
	uint8_t flags; /* of a segment that nobody expects */
};

struct observation {
	struct observed events[OBSERVED_MAX];
	size_t n;
	uint64_t start_lo_ns, start_hi_ns; /* when the timers of this scenario started */
	uint64_t heard_ns;                 /* the last segment from the peer before it */
	uint64_t first_retransmission_ns;  /* with a tail loss probe: when that was */
};

/* Returns false with words in stage->trouble when the capture does not show what must be there. */
bool observe(struct stage *stage, struct observation *ret);

/* ------------------------------------------------------------------------------- judgement */

/* The kernel's ticks on CLOCK_MONOTONIC. */
struct ticks {
	bool known; /* only root may read /proc/timer_list */
	int64_t phase_ns;
	uint64_t length_ns;
};

void ticks_measure(unsigned hz, struct ticks *ret);
uint64_t ticks_at(const struct ticks *ticks, uint64_t monotonic_ns);

struct verdict {
	bool agrees;
	size_t compared;    /* events on both sides */
	bool exact;         /* compared to the tick, too */
	unsigned deviation; /* in ticks, the largest */
	char why[256];
};

/* Until when the model expects something, from the start. */
uint64_t judge_latest_us(const struct stage *stage);

/* Compares; prints both sides as TAP diagnostics when they disagree. */
void judge(struct stage *stage, const struct ticks *ticks, uint64_t now_ns, struct verdict *ret);
