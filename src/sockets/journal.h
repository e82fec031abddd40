/* SPDX-License-Identifier: MIT */
/*
 * What changes overwrote, so that they can be undone. An entry holds the sockets of one change by
 * their cookies, each with what it had and what it got: about 3 bytes a socket. It is written
 * before anything is changed, and again afterwards with what really was.
 *
 * A cookie means something until the next boot only, and so does an entry.
 *
 * There are two versions of its form, and both are read. The second has what the first knew nothing
 * of: JOURNAL_CUT with its count, and words of 240 bytes and more. Where an entry has neither the
 * first is written, so that who goes back to a tcpkeep that knows no other can still undo it; and
 * what a later version will write is told from what is damaged.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tcpkeep.h>

#include "change.h"

enum journal_state {
	JOURNAL_BEGUN = 0, /* not known how far it came: it ended in the midst of it, or has not */
	JOURNAL_ENDED,
	JOURNAL_UNDONE,
	JOURNAL_CUT, /* ended by a signal or a failure; the entry has what was changed by then */
};

#define JOURNAL_WORDS_MAX 1024
#define JOURNAL_BOOT_MAX  16

struct journal_head {
	uint8_t boot[JOURNAL_BOOT_MAX];
	uint64_t at_s; /* CLOCK_REALTIME */
	enum journal_state state;
	char words[JOURNAL_WORDS_MAX]; /* the command that asked for it */
	uint64_t sockets;
	uint64_t planned; /* JOURNAL_CUT: how many were to be changed */
};

/* ------------------------------------------------------------------------------------- as bytes */

/*
 * An entry with the items of the set that have something to do and, only not being NULL, whose bit
 * is set in there. *ret is the caller's to free. head->sockets is counted, not taken. 0 or -ENOMEM.
 */
int journal_encode(const struct journal_head *head, const struct change_set *set,
		   const uint8_t *only, uint8_t **ret, size_t *ret_len);

/*
 * The other way round, of bytes that anybody may have written. ret_set (NULL: the head is enough)
 * has its items ordered by cookie, each cookie once. -EBADMSG: not what journal_encode() makes;
 * -EPROTONOSUPPORT: of a version that is not known here; -ENOMEM.
 */
int journal_decode(const uint8_t *bytes, size_t len, struct journal_head *ret_head,
		   struct change_set *ret_set);

/* ------------------------------------------------------------------------------------- as files */

/* The directory, below the state directory. */
#define JOURNAL_FOLDER "undo"

/* Entries that are kept; bytes of all of them. The oldest go. */
#define JOURNAL_ENTRIES_MAX 16
#define JOURNAL_BYTES_MAX   ((size_t)64 * 1024 * 1024)

/*
 * The journal's directory below the state directory, a descriptor. create: made where it is
 * missing, for its owner alone. -ENOENT: there is none; -EPERM: somebody else might write into it;
 * with words.
 */
int journal_open(const char *state_dir, bool create, struct tcpkeep_error *ret_error);

/* Which boot this is. 0 or -errno. */
int journal_boot(uint8_t ret[JOURNAL_BOOT_MAX]);

/* Writes a new entry, on disk when this returns, and removes what is too old. Words on failure. */
int journal_add(int dir, const struct journal_head *head, const struct change_set *set,
		uint64_t *ret_id, struct tcpkeep_error *ret_error);

/* Replaces an entry, or with no item left in it removes it. */
int journal_replace(int dir, uint64_t id, const struct journal_head *head,
		    const struct change_set *set, const uint8_t *only,
		    struct tcpkeep_error *ret_error);

/* -ENOENT; -EBADMSG: broken; -EPROTONOSUPPORT: a newer one's; -EPERM: not one's own file. With
 * words. */
int journal_read(int dir, uint64_t id, struct journal_head *ret_head, struct change_set *ret_set,
		 struct tcpkeep_error *ret_error);

/* Every entry's number, ascending: *ret is the caller's to free. */
int journal_list(int dir, uint64_t **ret, size_t *ret_n);
