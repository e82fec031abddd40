/* SPDX-License-Identifier: MIT */
#include "list-sort.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"

/* Rows are carved from blocks: a million malloc() would cost more than the rows. */
#define BLOCK_BYTES ((size_t)1024 * 1024)

struct block {
	struct block *next;
	size_t used, room;
	_Alignas(struct snapshot_row) char bytes[];
};

/* A namespace outlives neither its walk nor its snapshot: copies, found again by inode. */
struct kept_netns {
	struct kept_netns *next;
	struct snapshot_netns netns;
	char name[];
};

/* The first key's start stands beside the row: most comparisons end here. */
struct place {
	uint64_t rank;
	bool known;
	uint32_t number; /* in which it came */
	const struct snapshot_row *row;
};

struct list_sort {
	const struct list_choice *keys;
	struct list_view *view;
	struct block *blocks;
	struct kept_netns *namespaces;
	struct names *cgroups;
	struct place *places;
	size_t n, room;
};

int list_sort_new(const struct list_choice *keys, struct list_view *view, struct list_sort **ret)
{
	struct list_sort *sort = calloc(1, sizeof(*sort));

	if (!sort || names_new(&sort->cgroups) < 0) {
		free(sort);
		return -ENOMEM;
	}
	sort->keys = keys;
	sort->view = view;
	*ret = sort;
	return 0;
}

void list_sort_free(struct list_sort **sort)
{
	struct block *block;
	struct kept_netns *netns;

	if (!*sort)
		return;
	while ((block = (*sort)->blocks)) {
		(*sort)->blocks = block->next;
		free(block);
	}
	while ((netns = (*sort)->namespaces)) {
		(*sort)->namespaces = netns->next;
		free(netns);
	}
	names_free(&(*sort)->cgroups);
	free((*sort)->places);
	free(*sort);
	*sort = NULL;
}

/* ----------------------------------------------------------------------------------- keeping */

static void *carve(struct list_sort *sort, size_t size)
{
	struct block *block = sort->blocks;

	size = (size + _Alignof(struct snapshot_row) - 1) & ~(_Alignof(struct snapshot_row) - 1);
	if (!block || size > block->room - block->used) {
		/* A row is larger than a block when its socket was duplicated so often. */
		size_t room = MAX(size, BLOCK_BYTES);

		block = malloc(sizeof(*block) + room);
		if (!block)
			return NULL;
		block->next = sort->blocks;
		block->used = 0;
		block->room = room;
		sort->blocks = block;
	}
	block->used += size;
	return block->bytes + block->used - size;
}

static const struct snapshot_netns *keep_netns(struct list_sort *sort,
					       const struct snapshot_netns *netns)
{
	struct kept_netns *kept = sort->namespaces;
	size_t len = netns->name ? strlen(netns->name) : 0;

	while (kept && kept->netns.inode != netns->inode)
		kept = kept->next;
	if (kept)
		return &kept->netns;
	kept = malloc(sizeof(*kept) + len + 1);
	if (!kept)
		return NULL;
	kept->netns = *netns;
	if (netns->name)
		kept->netns.name = memcpy(kept->name, netns->name, len + 1);
	kept->next = sort->namespaces;
	sort->namespaces = kept;
	return &kept->netns;
}

static struct snapshot_row *keep(struct list_sort *sort, const struct snapshot_row *row)
{
	size_t owners = row->n_owners * sizeof(*row->owners), cgroup;
	struct snapshot_row *kept = carve(sort, sizeof(*kept) + owners);

	if (!kept)
		return NULL;
	*kept = *row;
	if (owners)
		kept->owners = memcpy(kept + 1, row->owners, owners);
	kept->netns = keep_netns(sort, row->netns);
	if (!kept->netns)
		return NULL;
	if (row->cgroup) {
		if (names_find(sort->cgroups, row->cgroup, &cgroup) < 0)
			return NULL;
		kept->cgroup = names_text(sort->cgroups, cgroup);
	}
	return kept;
}

static struct list_key key_of(struct list_sort *sort, size_t i)
{
	struct list_key key = {.known = true};

	sort->keys->columns[i]->key(sort->view, &key);
	return key;
}

/* What orders as the key does, as far as 64 bits tell. */
static uint64_t rank(const struct list_key *key, bool descending)
{
	uint64_t value = key->numbers[0];

	if (key->text && value == 0) {
		char start[sizeof(value)] = "";

		memcpy(start, key->text, strnlen(key->text, sizeof(start)));
		memcpy(&value, start, sizeof(value));
		value = be64toh(value);
	}
	return descending ? ~value : value;
}

int list_sort_add(struct list_sort *sort, const struct snapshot_row *row)
{
	const struct snapshot_row *kept = keep(sort, row);
	struct list_key key;

	if (!kept)
		return -ENOMEM;
	if (sort->n == sort->room) {
		size_t room = sort->room ? sort->room * 2 : 1024;
		struct place *grown = reallocarray(sort->places, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		sort->places = grown;
		sort->room = room;
	}
	list_view_take(sort->view, kept, sort->keys->needs);
	key = key_of(sort, 0);
	sort->places[sort->n] = (struct place){
		.rank = rank(&key, sort->keys->descending[0]),
		.known = key.known,
		.number = (uint32_t)sort->n,
		.row = kept,
	};
	sort->n++;
	return 0;
}

/* ----------------------------------------------------------------------------------- sorting */

static int compare_keys(const struct list_key *a, const struct list_key *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(a->numbers); i++)
		if (a->numbers[i] != b->numbers[i])
			return a->numbers[i] < b->numbers[i] ? -1 : 1;
	if (a->text && b->text)
		return strcmp(a->text, b->text);
	return (a->text != NULL) - (b->text != NULL);
}

/* Rows whose first key begins alike: all keys in full. */
static int compare_rows(struct list_sort *sort, const struct snapshot_row *a,
			const struct snapshot_row *b)
{
	for (size_t i = 0; i < sort->keys->n; i++) {
		struct list_key key_a, key_b;
		int order;

		list_view_take(sort->view, a, sort->keys->columns[i]->needs);
		key_a = key_of(sort, i);
		list_view_take(sort->view, b, sort->keys->columns[i]->needs);
		key_b = key_of(sort, i);
		if (key_a.known != key_b.known)
			return key_a.known ? -1 : 1;
		if (!key_a.known)
			continue;
		order = compare_keys(&key_a, &key_b);
		if (order)
			return sort->keys->descending[i] ? -order : order;
	}
	return 0;
}

static int compare_places(const void *a, const void *b, void *userdata)
{
	const struct place *x = a, *y = b;
	int order;

	if (x->known != y->known)
		return x->known ? -1 : 1;
	if (x->known && x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	order = compare_rows(userdata, x->row, y->row);
	return order ? order : (x->number > y->number) - (x->number < y->number);
}

int list_sort_run(struct list_sort *sort, int (*fn)(const struct snapshot_row *row, void *userdata),
		  void *userdata)
{
	int r = 0;

	if (sort->n > 0)
		qsort_r(sort->places, sort->n, sizeof(*sort->places), compare_places, sort);
	for (size_t i = 0; r == 0 && i < sort->n; i++)
		r = fn(sort->places[i].row, userdata);
	return r;
}
