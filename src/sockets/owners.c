/* SPDX-License-Identifier: MIT */
/*
 * Two tables with open addressing, between two fifths and four fifths of the slots in use. Most
 * sockets have one descriptor, and their slot holds it: 16 bytes. Of several the slot holds the
 * last one's place in a chain, so that each more costs no search: a process may duplicate one
 * socket as often as it may open descriptors, and so may its children. They are put in order when
 * they are asked for.
 */
#include "owners.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/macro.h"

#define SLOTS_AT_FIRST 256
#define HUGE_PAGE      (2U << 20)

struct entry {
	uint64_t key;
	int pid; /* 0: the slot is free; CHAIN: fd is the place of the last one in links */
	int fd;
};

#define CHAIN (-1)

/* One descriptor of several. */
struct link {
	int pid, fd;
	int before; /* place of the one that was added before it; -1: none */
};

struct process {
	int pid; /* 0: the slot is free */
	char program[16];
};

/* Slots are a power of two. */
struct owners {
	struct entry *entries;
	size_t n_entries, slots; /* keys */
	struct link *links;
	size_t n_links, links_room;
	size_t n; /* descriptors */
	struct process *processes;
	size_t n_processes, process_slots;
};

/*
 * Cookies and inodes count up: multiplication by 2^64 over the golden ratio scatters them, and its
 * upper half is what depends on every bit (Knuth, volume 3, 6.4).
 */
static size_t place_of(uint64_t key, size_t slots)
{
	key ^= key >> 32;
	return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (slots - 1);
}

static bool is_full(size_t n, size_t slots)
{
	return n * 5 >= slots * 4;
}

/* ---------------------------------------------------------------------------------- tables */

/* Zeroed. A mapping of its own goes back to the system at once when the table has grown out of it.
 */
static void *table_new(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* Every slot is visited at random: large pages spare a miss of the TLB each time. */
	if (bytes >= 2 * HUGE_PAGE)
		madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

static void table_free(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

/* The slot of a key: its own, or the free one where it belongs. */
static struct entry *entry_slot(struct entry *entries, size_t slots, uint64_t key)
{
	size_t i = place_of(key, slots);

	while (entries[i].pid && entries[i].key != key)
		i = (i + 1) & (slots - 1);
	return &entries[i];
}

static int grow_entries(struct owners *owners)
{
	size_t slots = owners->slots * 2;
	struct entry *entries = table_new(slots * sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < owners->slots; i++)
		if (owners->entries[i].pid)
			*entry_slot(entries, slots, owners->entries[i].key) = owners->entries[i];
	table_free(owners->entries, owners->slots * sizeof(*entries));
	owners->entries = entries;
	owners->slots = slots;
	return 0;
}

/* Room for so many more. */
static int grow_links(struct owners *owners, size_t more)
{
	size_t room = MAX(owners->links_room * 2, (size_t)SLOTS_AT_FIRST);
	void *p;

	if (owners->n_links + more <= owners->links_room)
		return 0;
	if (room > INT_MAX)
		return -ENOMEM;
	p = reallocarray(owners->links, room, sizeof(*owners->links));
	if (!p)
		return -ENOMEM;
	owners->links = p;
	owners->links_room = room;
	return 0;
}

/* The slot of a process: its own, or the free one where it belongs. */
static struct process *process_slot(struct process *processes, size_t slots, int pid)
{
	size_t i = place_of((uint64_t)pid, slots);

	while (processes[i].pid && processes[i].pid != pid)
		i = (i + 1) & (slots - 1);
	return &processes[i];
}

static int grow_processes(struct owners *owners)
{
	size_t slots = owners->process_slots * 2;
	struct process *processes = calloc(slots, sizeof(*processes));

	if (!processes)
		return -ENOMEM;
	for (size_t i = 0; i < owners->process_slots; i++) {
		const struct process *process = &owners->processes[i];

		if (process->pid)
			*process_slot(processes, slots, process->pid) = *process;
	}
	free(owners->processes);
	owners->processes = processes;
	owners->process_slots = slots;
	return 0;
}

/* ----------------------------------------------------------------------------------- filling */

int owners_new(struct owners **ret)
{
	_cleanup_(owners_cleanup) struct owners *owners = calloc(1, sizeof(*owners));

	if (!owners)
		return -ENOMEM;
	owners->slots = owners->process_slots = SLOTS_AT_FIRST;
	owners->entries = table_new(owners->slots * sizeof(*owners->entries));
	owners->processes = calloc(owners->process_slots, sizeof(*owners->processes));
	if (!owners->entries || !owners->processes)
		return -ENOMEM;
	*ret = steal_pointer(&owners);
	return 0;
}

void owners_free(struct owners *owners)
{
	if (!owners)
		return;
	table_free(owners->entries, owners->slots * sizeof(*owners->entries));
	free(owners->links);
	free(owners->processes);
	free(owners);
}

void owners_cleanup(struct owners **owners)
{
	owners_free(*owners);
}

/* The second descriptor of a key makes a chain of it. */
static int add_link(struct owners *owners, struct entry *entry, int pid, int fd)
{
	int r = grow_links(owners, 2);

	if (r < 0)
		return r;
	if (entry->pid != CHAIN) {
		owners->links[owners->n_links] = (struct link){entry->pid, entry->fd, -1};
		entry->pid = CHAIN;
		entry->fd = (int)owners->n_links++;
	}
	owners->links[owners->n_links] = (struct link){pid, fd, entry->fd};
	entry->fd = (int)owners->n_links++;
	return 0;
}

int owners_add(struct owners *owners, uint64_t key, int pid, int fd)
{
	struct entry *entry;
	int r = 0;

	if (pid < 1 || fd < 0)
		return -EINVAL;
	if (is_full(owners->n_entries + 1, owners->slots)) {
		r = grow_entries(owners);
		if (r < 0)
			return r;
	}
	entry = entry_slot(owners->entries, owners->slots, key);
	if (entry->pid) {
		r = add_link(owners, entry, pid, fd);
	} else {
		*entry = (struct entry){key, pid, fd};
		owners->n_entries++;
	}
	owners->n += r == 0;
	return r;
}

int owners_set_program(struct owners *owners, int pid, const char *program)
{
	struct process *process;

	if (pid < 1)
		return -EINVAL;
	if (is_full(owners->n_processes + 1, owners->process_slots)) {
		int r = grow_processes(owners);

		if (r < 0)
			return r;
	}
	process = process_slot(owners->processes, owners->process_slots, pid);
	owners->n_processes += process->pid == 0;
	process->pid = pid;
	memset(process->program, 0, sizeof(process->program));
	memcpy(process->program, program, strnlen(program, sizeof(process->program) - 1));
	return 0;
}

/* ----------------------------------------------------------------------------------- finding */

static int compare_owners(const void *a, const void *b)
{
	const struct socket_owner *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return (x->fd > y->fd) - (x->fd < y->fd);
}

/* Orders them, drops what comes twice, and returns how many are left. */
static size_t put_in_order(struct socket_owner *at, size_t n)
{
	size_t kept = 1;
	bool ordered = true;

	for (size_t i = 1; ordered && i < n; i++)
		ordered = compare_owners(&at[i - 1], &at[i]) < 0;
	if (ordered)
		return n;
	qsort(at, n, sizeof(*at), compare_owners);
	for (size_t i = 1; i < n; i++)
		if (compare_owners(&at[kept - 1], &at[i]) != 0)
			at[kept++] = at[i];
	return kept;
}

static void fill_programs(const struct owners *owners, struct socket_owner *at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *program = i > 0 ? at[i - 1].program : NULL;

		if (i == 0 || at[i].pid != at[i - 1].pid)
			program = process_slot(owners->processes, owners->process_slots, at[i].pid)
					  ->program;
		memcpy(at[i].program, program, sizeof(at[i].program));
	}
}

/* Most sockets have one owner; a pool of workers shares its listeners. */
#define LIST_AT_FIRST 16

static int make_room(struct owner_list *list, size_t n)
{
	size_t room = MAX(n, (size_t)LIST_AT_FIRST);
	void *p;

	if (n <= list->room)
		return 0;
	p = reallocarray(list->at, room, sizeof(*list->at));
	if (!p)
		return -ENOMEM;
	list->at = p;
	list->room = room;
	return 0;
}

static size_t chain_length(const struct owners *owners, int last)
{
	size_t n = 0;

	for (; last >= 0; last = owners->links[last].before)
		n++;
	return n;
}

int owners_find(const struct owners *owners, uint64_t key, struct owner_list *list, size_t *ret_n)
{
	const struct entry *entry = entry_slot(owners->entries, owners->slots, key);
	size_t n = entry->pid == CHAIN ? chain_length(owners, entry->fd) : entry->pid != 0;
	int r;

	r = make_room(list, n);
	if (r < 0)
		return r;
	if (entry->pid == CHAIN) {
		size_t at = n;

		/* The first that was added first: mostly they are in order then. */
		for (int i = entry->fd; i >= 0; i = owners->links[i].before) {
			list->at[--at].pid = owners->links[i].pid;
			list->at[at].fd = owners->links[i].fd;
		}
		n = put_in_order(list->at, n);
	} else if (n > 0) {
		list->at[0].pid = entry->pid;
		list->at[0].fd = entry->fd;
	}
	fill_programs(owners, list->at, n);
	*ret_n = n;
	return 0;
}

void owner_list_clear(struct owner_list *list)
{
	free(list->at);
	*list = (struct owner_list){0};
}

size_t owners_count(const struct owners *owners)
{
	return owners->n;
}

size_t owners_bytes(const struct owners *owners)
{
	return sizeof(*owners) + owners->slots * sizeof(*owners->entries) +
	       owners->links_room * sizeof(*owners->links) +
	       owners->process_slots * sizeof(*owners->processes);
}
