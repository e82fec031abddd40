/* SPDX-License-Identifier: MIT */
/* What will happen to a socket next, and how long until its peer's death is noticed: the model,
 * asked for one row. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <tcpkeep.h>

#include "row.h"

enum outlook_kind {
	OUTLOOK_NONE = 0, /* nothing to say: a listener, a socket that is not connected */
	OUTLOOK_UNKNOWN,  /* what it needs cannot be seen */
	OUTLOOK_NEVER,    /* idle, keepalive off (or never probing): a dead peer is not noticed */
	OUTLOOK_FIRST_PROBE, /* in in_us, unless the peer is heard before */
	OUTLOOK_DEAD_UNLESS, /* probes are out: dead in in_us unless one is answered */
	OUTLOOK_RETRANSMITS, /* data in flight: gives up in in_us unless it is acknowledged */
	OUTLOOK_WINDOW, /* zero window: gives up in in_us; TCPKEEP_NEVER while the peer answers */
	OUTLOOK_CONNECTING,
	OUTLOOK_GOES_AWAY,   /* closed by its program: gone in in_us */
	OUTLOOK_PEER_CLOSED, /* and the program has not; idle, keepalive off */
};

struct outlook {
	enum outlook_kind kind;
	uint64_t in_us; /* TCPKEEP_NEVER: not within the kernel's limits; OUTLOOK_GOES_AWAY: soon,
			   not known when */
	uint64_t if_gone_us; /* OUTLOOK_WINDOW: when it gives up if the peer answers no more */
};

/*
 * effective: what is known of the row's settings (settings.fields). Arithmetic instead of a run of
 * the timeline: for rows by the million. It is the timeline with no timer late. Data in flight and
 * a zero window are estimates: the kernel does not tell when retransmission began, so that the
 * shortest retransmission timeout is assumed.
 */
void outlook_of(const struct socket_row *row, const struct tcpkeep_settings *effective,
		const struct tcpkeep_kernel *kernel, struct outlook *ret);

/* Does in_us mean something? TCPKEEP_NEVER included. */
bool outlook_is_timed(const struct outlook *outlook);

/* "first-probe", "death", ... for programs. Static. */
const char *outlook_name(enum outlook_kind kind);

#define OUTLOOK_TEXT_MAX 96

/* "first probe in 43 s", "dead in 12 s unless answered", "never notices" into buf; returns its end,
 * no NUL. */
char *outlook_put(const struct outlook *outlook, char *buf);

/*
 * Which condition of the timeline the row is in: data in flight, a closed window, an orphan, idle.
 * -1: none, it is not connected.
 */
int outlook_condition(const struct socket_row *row);

/* What a row's settings must at least tell for tcpkeep_detection() to mean something. */
bool detection_known(const struct tcpkeep_settings *effective);

#define DETECTION_CACHE_ENTRIES 64

/* Sockets share few different settings: what was worked out is kept for the next one. Zeroed, it is
 * empty. */
struct detection_cache {
	struct detection_entry {
		struct tcpkeep_settings settings;
		struct tcpkeep_kernel kernel; /* hz is 0 in an empty entry */
		struct tcpkeep_detection detection;
	} entries[DETECTION_CACHE_ENTRIES];
};

/* tcpkeep_detection() through the cache: valid until the next call. -EINVAL as that one. */
int detection_of(struct detection_cache *cache, const struct tcpkeep_settings *settings,
		 const struct tcpkeep_kernel *kernel, const struct tcpkeep_detection **ret);
