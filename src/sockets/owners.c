/* SPDX-License-Identifier: MIT */
/*
 * Two tables with open addressing. A key with several descriptors has several entries in the one
 * run of full slots that begins at its place, so that a list costs no pointers: 16 bytes an entry,
 * between two fifths and four fifths of the slots in use.
 */
#include "owners.h"

#include <errno.h>
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
	int pid; /* 0: the slot is free */
	int fd;
};

struct process {
	int pid; /* 0: the slot is free */
	char program[16];
};

/* Slots are a power of two. */
struct owners {
	struct entry *entries;
	size_t n_entries, slots;
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

static void put_entry(struct entry *entries, size_t slots, const struct entry *entry)
{
	size_t i = place_of(entry->key, slots);

	while (entries[i].pid)
		i = (i + 1) & (slots - 1);
	entries[i] = *entry;
}

static int grow_entries(struct owners *owners)
{
	size_t slots = owners->slots * 2;
	struct entry *entries = table_new(slots * sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < owners->slots; i++)
		if (owners->entries[i].pid)
			put_entry(entries, slots, &owners->entries[i]);
	table_free(owners->entries, owners->slots * sizeof(*entries));
	owners->entries = entries;
	owners->slots = slots;
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
	free(owners->processes);
	free(owners);
}

void owners_cleanup(struct owners **owners)
{
	owners_free(*owners);
}

int owners_add(struct owners *owners, uint64_t key, int pid, int fd)
{
	if (pid < 1 || fd < 0)
		return -EINVAL;
	if (is_full(owners->n_entries + 1, owners->slots)) {
		int r = grow_entries(owners);

		if (r < 0)
			return r;
	}
	put_entry(owners->entries, owners->slots, &(struct entry){key, pid, fd});
	owners->n_entries++;
	return 0;
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

static bool comes_before(const struct entry *a, const struct socket_owner *b)
{
	return a->pid != b->pid ? a->pid < b->pid : a->fd < b->fd;
}

/* Puts it where it belongs among the first n; what is pushed off the end was not of the first. */
static void insert_ordered(struct socket_owner *buf, size_t have, size_t n,
			   const struct entry *entry)
{
	size_t i = have < n ? have : n;

	if (i == n && !comes_before(entry, &buf[n - 1]))
		return;
	for (i -= i == n; i > 0 && comes_before(entry, &buf[i - 1]); i--)
		buf[i] = buf[i - 1];
	buf[i].pid = entry->pid;
	buf[i].fd = entry->fd;
}

size_t owners_find(const struct owners *owners, uint64_t key, struct socket_owner *buf, size_t n)
{
	size_t found = 0;

	for (size_t i = place_of(key, owners->slots); owners->entries[i].pid;
	     i = (i + 1) & (owners->slots - 1)) {
		const struct entry *entry = &owners->entries[i];

		if (entry->key != key)
			continue;
		if (n > 0)
			insert_ordered(buf, found, n, entry);
		found++;
	}
	for (size_t i = 0; i < found && i < n; i++)
		memcpy(buf[i].program,
		       process_slot(owners->processes, owners->process_slots, buf[i].pid)->program,
		       sizeof(buf[i].program));
	return found;
}

/* Most sockets have one owner; a pool of workers shares its listeners. */
#define LIST_AT_FIRST 16

int owners_find_all(const struct owners *owners, uint64_t key, struct owner_list *list,
		    size_t *ret_n)
{
	size_t n = owners_find(owners, key, list->at, list->room);

	if (n > list->room) {
		size_t room = MAX(n, (size_t)LIST_AT_FIRST);
		void *p = reallocarray(list->at, room, sizeof(*list->at));

		if (!p)
			return -ENOMEM;
		list->at = p;
		list->room = room;
		n = owners_find(owners, key, list->at, n);
	}
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
	return owners->n_entries;
}

size_t owners_bytes(const struct owners *owners)
{
	return sizeof(*owners) + owners->slots * sizeof(*owners->entries) +
	       owners->process_slots * sizeof(*owners->processes);
}
