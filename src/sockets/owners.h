/* SPDX-License-Identifier: MIT */
/*
 * Who holds which socket: from a key, a socket's cookie or its inode, to the descriptors that stand
 * for it. Made for a million sockets: 20 to 44 bytes for each descriptor, a process's name once;
 * one miss of the cache to look up. However many descriptors one socket has, to add one takes the
 * same time. Filled by one thread; found in by many.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "snapshot.h"

struct owners;

/* 0 or -ENOMEM. */
int owners_new(struct owners **ret);
void owners_free(struct owners *owners);

/* For cleanup attributes. */
void owners_cleanup(struct owners **owners);

/*
 * One descriptor, pid >= 1, fd >= 0; any key. What is added twice is found once. 0, or -ENOMEM:
 * then all that was added before is still there.
 */
int owners_add(struct owners *owners, uint64_t key, int pid, int fd);

/* The name of a process: 15 bytes of it, up to a NUL. The last one counts. */
int owners_set_program(struct owners *owners, int pid, const char *program);

/* A buffer for owners_find(), zeroed at first. It grows to the longest list there is. */
struct owner_list {
	struct socket_owner *at;
	size_t room;
};

/*
 * The descriptors of a socket, all of them, ordered by pid and fd. A process without a name has "".
 * 0 or -ENOMEM.
 */
int owners_find(const struct owners *owners, uint64_t key, struct owner_list *list, size_t *ret_n);

void owner_list_clear(struct owner_list *list);

/* Descriptors in all, as often as they were added; bytes that they take. */
size_t owners_count(const struct owners *owners);
size_t owners_bytes(const struct owners *owners);
