/* SPDX-License-Identifier: MIT */
/*
 * Changing the keepalive of sockets that are already open, of any process. A set holds what is
 * to be done: 24 bytes a socket. Each is known by its cookie and looked at again, locked, right
 * before it is written: one that has gone, that has the values already or that somebody else has
 * changed meanwhile is not touched. All or nothing for each socket.
 *
 * In the kernel through the iterator over TCP sockets (bpf/set); through pidfd_getfd() and
 * tcpkeep_socket_apply() where BPF is not to be had, and for MPTCP, whose options belong to the
 * socket that the program holds and not to the subflows that the iterator walks over.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tcpkeep.h>

#include "change-kind.h"
#include "snapshot.h"
#include "storm.h"

enum change_result {
	CHANGE_DONE = 0,
	CHANGE_HELD,     /* had the values already */
	CHANGE_VANISHED, /* closed since it was looked at, or closing */
	CHANGE_SKIPPED,  /* nothing that keepalive could be set on; reason says why */
	CHANGE_REFUSED,  /* reason says why; as it was before */
	CHANGE_DENIED,   /* no way to reach it: nobody holds it, or its owner may not be traced */
};

enum change_reason {
	CHANGE_REASON_NONE = 0,
	CHANGE_REASON_TIME_WAIT, /* SKIPPED */
	CHANGE_REASON_HANDSHAKE,
	CHANGE_REASON_ORPHAN,
	CHANGE_REASON_CLOSED,
	CHANGE_REASON_SINCE, /* REFUSED: changed by somebody else since it was looked at */
	CHANGE_REASON_KILLS, /* the connection would be given up at once */
	CHANGE_REASON_ERROR, /* error says which */
	CHANGE_REASON_OWNER, /* DENIED: its owner may not be looked into */
	CHANGE_REASON_NOBODY,
};

/* "would be ended at once ...": of one socket or of many. Static. CHANGE_REASON_ERROR: the errno is
 * the caller's to tell. */
const char *change_reason_text(enum change_reason reason);

/* "changed", "held", "vanished", "skipped", "refused", "denied". Static. */
const char *change_result_name(enum change_result result);

struct change_item {
	uint64_t cookie;
	uint32_t kind;  /* in the set's kinds */
	uint32_t owner; /* the first of its owners; the next item's is behind its last */
};

struct change_owner {
	int pid, fd;
};

/* Zeroed, it is empty. */
struct change_set {
	struct change_item *items;
	size_t n, room;
	struct change_kind *kinds;
	size_t n_kinds, kinds_room;
	struct change_owner *owners;
	size_t n_owners, owners_room;
	uint32_t *index; /* kinds by hash; number + 1 */
	size_t index_size;
};

void change_set_clear(struct change_set *set);

/* 0 or -ENOMEM; -E2BIG beyond 2^31 items. Its number is set->n - 1. */
int change_set_add(struct change_set *set, uint64_t cookie, const struct change_kind *kind,
		   const struct socket_owner *owners, size_t n_owners);

/* The number of a kind, added when it is new. 0 or -ENOMEM. */
int change_set_kind(struct change_set *set, const struct change_kind *kind, uint32_t *ret);

/* Of the item with that number. */
const struct change_owner *change_set_owners(const struct change_set *set, size_t number,
					     size_t *ret_n);

/* ---------------------------------------------------------------------------------- planning */

/*
 * What settings mean for a row. CHANGE_DONE: *ret is to be added to a set. CHANGE_HELD; SKIPPED
 * and DENIED with *ret_reason. *ret is filled in for HELD as well, with nothing wanted.
 */
enum change_result change_plan_row(const struct snapshot_row *row,
				   const struct tcpkeep_settings *settings, struct change_kind *ret,
				   enum change_reason *ret_reason);

/*
 * Adds to a planned kind what it takes to probe at once: only a time that is written credits the
 * silence so far. What has it from the sysctl gets it as its own if it is silent for longer.
 */
void change_plan_now(const struct socket_row *row, struct change_kind *kind);

/*
 * The same for giving back what a change has overwritten. CHANGE_REFUSED: the socket no longer has
 * what the change gave it. begun: the change, or an undo of it, may have been killed in the midst
 * of a socket, which then has some of the values, and may be off.
 */
enum change_result change_plan_undo(const struct snapshot_row *row,
				    const struct change_kind *change, bool begun,
				    struct change_kind *ret, enum change_reason *ret_reason);

/* The effective values of a row; fields: those that are known. */
void change_row_values(const struct snapshot_row *row, struct change_values *ret);

/* The effective values after the change. */
void change_kind_after(const struct change_kind *kind, struct change_values *ret);

/* What `wanted` overwrites and no undo can give back: fields that the sysctl rules. */
uint32_t change_kind_lost(const struct change_kind *kind);

/* As settings; fields that are not known are left out. */
void change_values_settings(const struct change_values *values, struct tcpkeep_settings *ret);

/* Where a row stands, for change_kills(): a forecast, the kernel decides again. */
bool change_row_stands(const struct socket_row *row, struct change_standing *ret);

/* Will its keepalive timer run? */
bool change_kind_probes(const struct change_kind *kind);

/* Probes lost in a row that it dies of: the count, or what fits into the user timeout, which
 * replaces it. */
int change_values_tolerate(const struct change_values *values);

/*
 * Does the change start its keepalive timer, or move it? What only gets another intvl, other probes
 * or another user timeout probes when it would have, as scattered or bunched as it is.
 */
bool change_kind_moves(const struct change_kind *kind);

/* Does it probe more often from then on, or die of fewer lost probes? */
bool change_kind_burdens(const struct change_kind *kind);

/*
 * Spreads the values of what the change moves, as the pace says; what has values within the spread
 * already keeps them. Sockets that have nothing left to do keep their place with nothing wanted. 0
 * or -ENOMEM.
 */
int change_set_spread(struct change_set *set, const struct storm_pace *pace);

/* -------------------------------------------------------------------------------- the change */

struct change_outcome {
	size_t item; /* its number */
	enum change_result result;
	enum change_reason reason;
	int error;        /* negative errno: CHANGE_REASON_ERROR */
	uint32_t written; /* fields */
};

struct change_options {
	enum snapshot_source
		source; /* SNAPSHOT_DIAG_FD: pidfd_getfd() even where BPF is to be had */
	bool all_netns; /* as the snapshot that the set was made from */
	int netns;
	bool probe_now; /* a socket idle for longer than the new time is probed at once */
	bool force;     /* also what would end a connection */
	unsigned per_s; /* sockets whose timers it moves in a second, evenly, each anew from its
			   own change on; 0: as fast as it goes */
	bool paces_all; /* the others as well */
	/* Called for each item as it is done, once; non-zero ends the change and is returned. */
	int (*done)(const struct change_outcome *outcome, void *userdata);
	void *userdata;
};

/* enum change_mode */
static inline uint32_t change_options_mode(const struct change_options *options)
{
	return (options->probe_now ? CHANGE_MODE_NOW : 0) |
	       (options->per_s > 0 ? CHANGE_MODE_FRESH : 0);
}

/*
 * 0, or a negative errno with words when nothing could be done at all: -EPERM, -EOPNOTSUPP. A set
 * without owners is changed by BPF alone.
 */
int change_run(const struct change_set *set, const struct change_options *options,
	       struct tcpkeep_error *ret_error);
