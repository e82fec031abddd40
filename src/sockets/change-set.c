/* SPDX-License-Identifier: MIT */
/* The set itself: items, their kinds, their owners. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/macro.h"
#include "change.h"

/* include/uapi of ours: what BPF has no header for. */
_Static_assert(CHANGE_ON == TCPKEEP_ON && CHANGE_TIME == TCPKEEP_TIME &&
		       CHANGE_INTVL == TCPKEEP_INTVL && CHANGE_PROBES == TCPKEEP_PROBES &&
		       CHANGE_USER_TIMEOUT == TCPKEEP_USER_TIMEOUT,
	       "the fields are those of the library");

/* Numbers of items have a bit to spare: bpf/set/set.h. */
#define ITEMS_MAX ((size_t)1 << 31)

void change_set_clear(struct change_set *set)
{
	free(set->items);
	free(set->kinds);
	free(set->owners);
	free(set->index);
	*set = (struct change_set){0};
}

/* Where the kind stands, or is to stand. */
static uint32_t *find_place(const struct change_set *set, const struct change_kind *kind)
{
	/* A struct without holes. */
	size_t at = hash_place(kind, sizeof(*kind)) & (set->index_size - 1);

	while (set->index[at] != 0 &&
	       memcmp(&set->kinds[set->index[at] - 1], kind, sizeof(*kind)) != 0)
		at = (at + 1) & (set->index_size - 1);
	return &set->index[at];
}

static int make_room(struct change_set *set)
{
	size_t size = set->index_size ? set->index_size * 2 : 64;
	void *grown;

	grown = array_grow(set->kinds, set->n_kinds, &set->kinds_room, sizeof(*set->kinds));
	if (!grown)
		return -ENOMEM;
	set->kinds = grown;
	if (set->n_kinds * 2 < set->index_size)
		return 0;
	grown = calloc(size, sizeof(*set->index));
	if (!grown)
		return -ENOMEM;
	free(set->index);
	set->index = grown;
	set->index_size = size;
	for (size_t i = 0; i < set->n_kinds; i++)
		*find_place(set, &set->kinds[i]) = (uint32_t)i + 1;
	return 0;
}

int change_set_kind(struct change_set *set, const struct change_kind *kind, uint32_t *ret)
{
	uint32_t *place;

	if (make_room(set) < 0)
		return -ENOMEM;
	place = find_place(set, kind);
	if (*place == 0) {
		set->kinds[set->n_kinds++] = *kind;
		*place = (uint32_t)set->n_kinds;
	}
	*ret = *place - 1;
	return 0;
}

int change_set_add(struct change_set *set, uint64_t cookie, const struct change_kind *kind,
		   const struct socket_owner *owners, size_t n_owners)
{
	struct change_item item = {.cookie = cookie, .owner = (uint32_t)set->n_owners};
	void *grown;

	if (set->n >= ITEMS_MAX - 1 || set->n_owners + n_owners >= ITEMS_MAX)
		return -E2BIG;
	if (change_set_kind(set, kind, &item.kind) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n_owners; i++) {
		grown = array_grow(set->owners, set->n_owners, &set->owners_room,
				   sizeof(*set->owners));
		if (!grown)
			return -ENOMEM;
		set->owners = grown;
		set->owners[set->n_owners++] = (struct change_owner){owners[i].pid, owners[i].fd};
	}
	grown = array_grow(set->items, set->n, &set->room, sizeof(*set->items));
	if (!grown)
		return -ENOMEM;
	set->items = grown;
	set->items[set->n++] = item;
	return 0;
}

const struct change_owner *change_set_owners(const struct change_set *set, size_t number,
					     size_t *ret_n)
{
	size_t first = set->items[number].owner;
	size_t end = number + 1 < set->n ? set->items[number + 1].owner : set->n_owners;

	*ret_n = end - first;
	return set->owners + first;
}

/* ---------------------------------------------------------------------------------- spreading */

static bool is_within(int value, int lowest, int highest)
{
	return value >= lowest && value <= highest;
}

/*
 * What lies within the spread already holds, so that the same change again has nothing to do; but
 * what is only being turned on is as bunched as it ever was.
 */
static void spread_kind(struct change_kind *kind, const struct storm_pace *pace, size_t serial)
{
	struct change_values *wanted = &kind->wanted, after;
	struct tcpkeep_settings given, lowest, highest;
	bool turns_on = wanted->fields & TCPKEEP_ON && wanted->on, holds;

	change_kind_after(kind, &after);
	change_values_settings(&after, &given);
	if (!storm_range(pace, &given, &lowest, &highest))
		return;
	holds = !turns_on && is_within(kind->effective.time_s, lowest.time_s, highest.time_s) &&
		is_within(kind->effective.intvl_s, lowest.intvl_s, highest.intvl_s);
	storm_spread(pace, serial, &given);
	wanted->fields |= TCPKEEP_TIME | TCPKEEP_INTVL;
	wanted->time_s = (uint16_t)given.time_s;
	wanted->intvl_s = (uint16_t)given.intvl_s;
	if (holds) {
		wanted->fields &= (uint8_t) ~(TCPKEEP_TIME | TCPKEEP_INTVL);
		wanted->time_s = wanted->intvl_s = 0;
	}
}

int change_set_spread(struct change_set *set, const struct storm_pace *pace)
{
	size_t serial = 0;

	for (size_t i = 0; i < set->n; i++) {
		struct change_item *item = &set->items[i];
		struct change_kind kind = set->kinds[item->kind];

		if (!change_kind_moves(&kind))
			continue;
		spread_kind(&kind, pace, serial++);
		if (change_set_kind(set, &kind, &item->kind) < 0)
			return -ENOMEM;
	}
	return 0;
}
