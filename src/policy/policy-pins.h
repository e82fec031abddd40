/* SPDX-License-Identifier: MIT */
/*
 * Where policies are pinned in bpffs: tcpkeep/CGROUP-GENERATION/, both as 16 hexadecimal digits.
 * One that is being made ends in "-new" and decides nothing, unless the link of the one before it
 * runs its program already; of two for one cgroup the younger counts. These names, the pin "meta"
 * with its first 16 bytes, "sets", "sock_ops_link", and that a policy is gone when its links are
 * detached hold for every layout: so each tcpkeep can take away what any other has left.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tcpkeep.h>

#include "bpf/policy/policy.h"
#include "policy-load.h"

#define POLICY_LAYOUT 2
#define POLICY_MAGIC  0x7065656b70637430ULL /* "0tcpkeep" */

struct policy_meta {
	uint64_t magic;
	uint32_t layout;
	uint32_t program; /* the id of its sock_ops program; 0: an earlier build's */
	uint64_t build;   /* policy_build_id() */
	char version[POLICY_VERSION_TEXT];
};

/* The folder of all policies, locked: other tcpkeeps wait. */
struct policy_pins {
	int fd; /* of the folder; the lock */
	char path[256];
	bool mounted; /* bpffs was not there */
};

/* One of them. */
struct policy_place {
	uint64_t cgroup, generation;
	bool unfinished;
	char name[64];
};

/*
 * -ENOENT: there is no folder, and create is false; others with words. policy_pins_close() takes an
 * empty folder away.
 */
int policy_pins_open(bool create, struct policy_pins *ret, struct tcpkeep_error *ret_error);
void policy_pins_close(struct policy_pins *pins);

/* All places, by cgroup, the youngest of each first, the unfinished last; *ret is the caller's to
 * free(). */
int policy_pins_list(const struct policy_pins *pins, struct policy_place **ret, size_t *ret_n);
void policy_places_sort(struct policy_place *places, size_t n);

/*
 * Does the unfinished place decide? 1: a link, its own or that of an elder place of its cgroup,
 * runs its program, and *ret_link is where that is pinned: in places[*ret_link]. 0 or -errno.
 */
int policy_place_took_over(const struct policy_pins *pins, const struct policy_place *places,
			   size_t n, size_t which, size_t *ret_link);

/* Moves a pin from one place to the other, in one step. 0 or -errno. */
int policy_place_move(const struct policy_pins *pins, const struct policy_place *from,
		      const struct policy_place *to, const char *name);

/* A new place, unfinished, with every descriptor in it; policy_place_finish() gives it its name. */
int policy_place_make(const struct policy_pins *pins, uint64_t cgroup, const struct policy_fds *fds,
		      const struct policy_meta *meta, struct policy_place *ret);
int policy_place_finish(const struct policy_pins *pins, struct policy_place *place);

/* What meta says, zeroed beyond what it has. -ENOENT: none; -EINVAL: not ours. */
int policy_place_meta(const struct policy_pins *pins, const struct policy_place *place,
		      struct policy_meta *ret);

/*
 * Is a policy in force in this place? 1: it is, or would be if somebody had not detached it; also
 * when "sets" is gone, or is none of ours, while the link still holds the programs: what they do is
 * not known then. 0: it is not. -errno: that cannot be told, for lack of memory, of descriptors...
 */
int policy_place_alive(const struct policy_pins *pins, const struct policy_place *place);

/* Every descriptor that is there and is what it should be; -1 for the others. */
int policy_place_open(const struct policy_pins *pins, const struct policy_place *place,
		      struct policy_fds *ret);

/* Adds one pin, in the place of another of that name. */
int policy_place_pin(const struct policy_pins *pins, const struct policy_place *place,
		     const char *name, int fd);

/* Has it all that a policy is made of, but for the links, without which it is detached? Somebody
 * may have taken pins away, or put others in their place. */
bool policy_fds_whole(const struct policy_fds *fds);

/* The descriptor of one pin; -ENOENT. */
int policy_place_get(const struct policy_pins *pins, const struct policy_place *place,
		     const char *name);

/* policy-blob.c: what the caller keeps beside a set, and *ret, the caller's to free(); NULL: there
 * is none, or it is not ours. */
int policy_blob_pin(const struct policy_pins *pins, const struct policy_place *place,
		    const struct policy_set *set, const void *blob);
int policy_blob_read(const struct policy_pins *pins, const struct policy_place *place,
		     const struct policy_set *set, void **ret);

/*
 * Takes a place away, of any layout: first it decides nothing any more, then the programs are
 * detached, then the pins go. 1: a policy was in force; 0: it was a leftover.
 */
int policy_place_remove(const struct policy_pins *pins, const struct policy_place *place);
