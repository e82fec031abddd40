/* SPDX-License-Identifier: MIT */
/*
 * Does a socket match the selectors? ONE function, compiled for user space and, from this same
 * header, for BPF, so that what `list` shows is what `set` changes. Bounded loops only, no calls,
 * no pointers inside the program.
 */
#pragma once

#include "row.h"

/* What a clause looks at. The kinds up to MATCH_LAST_IN_KERNEL can be decided from a row alone. */
enum match_kind {
	MATCH_LOCAL = 0, /* endpoint */
	MATCH_PEER,      /* endpoint */
	MATCH_STATE,     /* number: a bit mask, 1 << state */
	MATCH_KEEPALIVE, /* number: 0 off, 1 on */
	MATCH_SILENT,    /* range: milliseconds */
	MATCH_DIRECTION, /* number: enum row_direction */
	MATCH_UID,       /* number */
	MATCH_LAST_IN_KERNEL = MATCH_UID,
	/* Decided in user space: they need the owner's name, a path, a namespace. */
	MATCH_PID,
	MATCH_PROGRAM,
	MATCH_CGROUP,
	MATCH_UNIT,
	MATCH_NETNS,
};

struct match_endpoint {
	__u32 address[4];         /* network order, IPv4 mapped; zero where mask is */
	__u32 mask[4];            /* of prefix: match_mask() */
	__u16 port_min, port_max; /* 0..65535: any */
	__u8 prefix;              /* 0..128 bits of address; IPv4: 96 + its length */
	__u8 not_ipv4;            /* written as IPv6: ::/0 and its like leave ::ffff:a.b.c.d out */
	__u8 padding[2];
};

union match_value {
	struct match_endpoint endpoint;
	struct {
		__u64 min, max;
	} range;
	__u64 number;
};

/* True when one of the values [first, first + n) holds; the other way round when negated. */
struct match_clause {
	__u8 kind; /* enum match_kind */
	__u8 negate;
	__u16 first, n;
	__u16 padding;
};

/* net/tcp_states.h, whose names BPF has no header for. */
#define MATCH_TIME_WAIT    6
#define MATCH_NEW_SYN_RECV 12

#define MATCH_CLAUSES_MAX 16
#define MATCH_VALUES_MAX  64

/*
 * All clauses must hold. Zeroed, it matches everything. The values of the clauses follow each other
 * without a gap, one at least for each: match_row() goes over the values alone.
 */
struct match_program {
	__u32 n_clauses;
	__u32 n_values;
	struct match_clause clauses[MATCH_CLAUSES_MAX];
	__u8 clause_of[MATCH_VALUES_MAX]; /* whose value it is */
	union match_value values[MATCH_VALUES_MAX];
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MATCH_BE32(x) __builtin_bswap32(x)
#else
#define MATCH_BE32(x) (x)
#endif

#define MATCH_INLINE static inline __attribute__((__always_inline__))

/* The mask of a prefix, in network order. For the parser: the match has it ready. */
MATCH_INLINE void match_mask(__u32 mask[4], __u32 bits)
{
	for (__u32 i = 0; i < 4; i++) {
		__u32 left = bits > 32 * i ? bits - 32 * i : 0;

		mask[i] = MATCH_BE32(left >= 32 ? 0xffffffffU : ~(0xffffffffU >> left));
	}
}

/* Is it IPv4, in an IPv4 socket or mapped in an IPv6 one? RFC 4291 2.5.5.2 */
MATCH_INLINE int match_is_ipv4(const __u32 address[4])
{
	return (address[0] | address[1] | (address[2] ^ MATCH_BE32(0xffffU))) == 0;
}

MATCH_INLINE int match_endpoint(const struct match_endpoint *want, const __u32 address[4],
				__u16 port)
{
	__u32 differs = 0;

	for (int i = 0; i < 4; i++)
		differs |= (address[i] & want->mask[i]) ^ want->address[i];
	if (differs || port < want->port_min || port > want->port_max)
		return 0;
	return !(want->not_ipv4 && match_is_ipv4(address));
}

/* Does the row know what a clause of this kind looks at? */
MATCH_INLINE int match_knows(const struct socket_row *row, __u8 kind)
{
	switch (kind) {
	case MATCH_KEEPALIVE:
		return row->known & ROW_KNOWN_KEEPALIVE;
	case MATCH_SILENT:
		return row->known & ROW_KNOWN_SILENCE;
	case MATCH_DIRECTION:
		return row->direction != ROW_DIRECTION_UNKNOWN;
	case MATCH_UID:
		/* The kernel keeps none in TIME_WAIT and tells 0; before 6.17 nor for what no
		 * program holds. A handshake is nobody's yet: sock_diag tells 0, the walk in the
		 * kernel the listener's. */
		return row->state != MATCH_TIME_WAIT && row->state != MATCH_NEW_SYN_RECV &&
		       !(row->uid == 0 && row->flags & ROW_ORPHAN);
	}
	return 1;
}

MATCH_INLINE int match_value(__u8 kind, const union match_value *value,
			     const struct socket_row *row)
{
	switch (kind) {
	case MATCH_LOCAL:
		return match_endpoint(&value->endpoint, row->local, row->local_port);
	case MATCH_PEER:
		return match_endpoint(&value->endpoint, row->peer, row->peer_port);
	case MATCH_STATE:
		return row->state < 64 && (value->number >> (row->state & 63)) & 1;
	case MATCH_KEEPALIVE:
		return value->number == !!(row->flags & ROW_KEEPALIVE);
	case MATCH_SILENT:
		return row->silence_ms >= value->range.min && row->silence_ms <= value->range.max;
	case MATCH_DIRECTION:
		return value->number == row->direction;
	case MATCH_UID:
		return value->number == row->uid;
	}
	return 0;
}

/*
 * 1: matches; 0: does not. What a row does not know matches neither a clause nor its negation.
 * Kinds above MATCH_LAST_IN_KERNEL are passed over: the caller decides them.
 *
 * One loop, not one for the values inside one for the clauses: the verifier walks each path of a
 * loop, and gives up on 16 times 64 of them (a million instructions).
 */
MATCH_INLINE int match_row(const struct match_program *program, const struct socket_row *row)
{
	int holds = 0;

	for (__u32 i = 0; i < MATCH_VALUES_MAX && i < program->n_values; i++) {
		/* The mask tells the verifier what the parser guarantees. */
		__u32 at = program->clause_of[i] & (MATCH_CLAUSES_MAX - 1);
		const struct match_clause *clause = &program->clauses[at];

		if (clause->kind > MATCH_LAST_IN_KERNEL)
			continue;
		if (!match_knows(row, clause->kind))
			return 0;
		if (match_value(clause->kind, &program->values[i], row))
			holds = 1;
		if (i + 1 < (__u32)clause->first + clause->n)
			continue;
		if (holds == !!clause->negate)
			return 0;
		holds = 0;
	}
	return 1;
}
