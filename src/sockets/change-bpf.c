/* SPDX-License-Identifier: MIT */
#include "change-bpf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "bpf-denied.h"
#include "bpf-iterator.h"
#include "bpf/set/set.h"
#include "change-load.h"
#include "keepalive/error.h"

/*
 * Records that one read asks for: bpf_seq_read() changes so many sockets and no more, and the
 * kernel's buffer of PAGE_SIZE << 3 always has room for them.
 */
#define RECORDS 2048

#define BITS_MIN 4
#define BITS_MAX 30

struct change_bpf {
	struct change_program program;
};

static int fail_load(int r, struct tcpkeep_error *ret_error)
{
	r = bpf_denied(r, false);
	switch (r) {
	case -EPERM:
		return error_set(ret_error, -EPERM,
				 "BPF needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)");
	case -EACCES:
		return error_set(ret_error, -EOPNOTSUPP,
				 "this kernel refuses the BPF iterators, and not for lack of a "
				 "capability: %s",
				 strerror(-r));
	case -ENOMEM:
	case -E2BIG:
		return error_set(ret_error, -ENOMEM, "out of memory");
	default:
		return error_set(ret_error, -EOPNOTSUPP,
				 "this kernel cannot change sockets by BPF (Linux 5.15 with BTF "
				 "can): %s",
				 strerror(-r));
	}
}

/* ---------------------------------------------------------------------------------- the table */

static bool insert(struct set_slot *slots, unsigned bits, const struct set_slot *slot)
{
	uint32_t place = SET_PLACE(slot->cookie, bits), mask = (1U << bits) - 1;

	for (uint32_t i = 0; i < SET_PROBES_MAX; i++) {
		struct set_slot *at = &slots[(place + i) & mask];

		if (at->cookie == slot->cookie)
			return true;
		if (at->cookie == 0) {
			*at = *slot;
			return true;
		}
	}
	return false;
}

static bool fill(struct set_slot *slots, unsigned bits, const struct change_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct change_item *item = &set->items[i];
		const struct set_slot slot = {item->cookie, (uint32_t)i, item->kind};

		if (set->kinds[item->kind].flags & CHANGE_MPTCP ||
		    set->kinds[item->kind].wanted.fields == 0)
			continue;
		if (!insert(slots, bits, &slot))
			return false;
	}
	return true;
}

/* A table in which no item lies too far from its place. */
static int make_table(const struct change_set *set, struct set_slot **ret, unsigned *ret_bits)
{
	unsigned bits = BITS_MIN;

	while (bits < BITS_MAX && (size_t)1 << bits < set->n * 2)
		bits++;
	for (; bits <= BITS_MAX; bits++) {
		struct set_slot *slots = calloc((size_t)1 << bits, sizeof(*slots));

		if (!slots)
			return -ENOMEM;
		if (fill(slots, bits, set)) {
			*ret = slots;
			*ret_bits = bits;
			return 0;
		}
		free(slots);
	}
	return -E2BIG;
}

/* Into an array map, without a system call for each of its elements. */
static int copy_to_map(int fd, const void *data, size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	memcpy(map, data, size);
	munmap(map, size);
	return 0;
}

static int load(const struct change_set *set, const struct change_options *options,
		struct change_program *ret)
{
	_cleanup_free_ struct set_slot *slots = NULL;
	struct change_load config = {
		.n_kinds = (uint32_t)MAX(set->n_kinds, (size_t)1),
		.mode = change_options_mode(options),
		.force = options->force,
	};
	struct tcpkeep_kernel kernel;
	int r;

	r = make_table(set, &slots, &config.bits);
	if (r < 0)
		return r;
	tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	config.hz = kernel.hz;
	r = change_load_light(&config, ret);
	if (r < 0 && r != -EPERM && r != -ENOMEM)
		r = change_load_full(&config, ret);
	if (r < 0)
		return r;
	r = copy_to_map(ret->slots_fd, slots, sizeof(*slots) << config.bits);
	if (r == 0 && set->n_kinds > 0)
		r = copy_to_map(ret->kinds_fd, set->kinds, sizeof(*set->kinds) * set->n_kinds);
	if (r < 0)
		ret->destroy(ret->handle);
	return r;
}

int change_bpf_open(const struct change_set *set, const struct change_options *options,
		    struct change_bpf **ret, struct tcpkeep_error *ret_error)
{
	struct change_bpf *bpf = calloc(1, sizeof(*bpf));
	int r;

	if (!bpf)
		return fail_load(-ENOMEM, ret_error);
	r = load(set, options, &bpf->program);
	if (r < 0) {
		free(bpf);
		return fail_load(r, ret_error);
	}
	*ret = bpf;
	return 0;
}

void change_bpf_close(struct change_bpf **bpf)
{
	if (!*bpf)
		return;
	(*bpf)->program.destroy((*bpf)->program.handle);
	free(*bpf);
	*bpf = NULL;
}

/* ----------------------------------------------------------------------------------- the walk */

static void explain(const struct set_record *record, struct change_outcome *ret)
{
	static const struct {
		enum change_result result;
		enum change_reason reason;
	} words[] = {
		[SET_DONE] = {CHANGE_DONE, CHANGE_REASON_NONE},
		[SET_HELD] = {CHANGE_HELD, CHANGE_REASON_NONE},
		[SET_CLOSING] = {CHANGE_VANISHED, CHANGE_REASON_NONE},
		[SET_CHANGED] = {CHANGE_REFUSED, CHANGE_REASON_SINCE},
		[SET_KILLS] = {CHANGE_REFUSED, CHANGE_REASON_KILLS},
		[SET_FAILED] = {CHANGE_REFUSED, CHANGE_REASON_ERROR},
	};

	*ret = (struct change_outcome){
		.item = record->item,
		.result = words[record->result].result,
		.reason = words[record->result].reason,
		.error = record->error,
		.written = record->written,
	};
}

/* What done says, or -errno; *ret_more: the walk is not over. */
static int read_some(int fd, struct pace *pace,
		     int (*done)(const struct change_outcome *outcome, void *userdata),
		     void *userdata, bool *ret_more)
{
	struct set_record records[RECORDS];
	size_t max = pace_wait(pace, RECORDS);
	ssize_t got = read(fd, records, max * sizeof(*records));
	size_t n;
	int r = 0;

	*ret_more = true;
	/* EAGAIN: a million sockets were passed, and none was ours. */
	if (got < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	n = (size_t)got / sizeof(*records);
	/* All of them: whoever wants to end has them changed already, and is to know of each. */
	for (size_t i = 0; i < n; i++) {
		struct change_outcome outcome;
		int told;

		explain(&records[i], &outcome);
		told = done(&outcome, userdata);
		if (r == 0)
			r = told;
	}
	*ret_more = got > 0;
	return r;
}

int change_bpf_walk(struct change_bpf *bpf, int netns, struct pace *pace,
		    int (*done)(const struct change_outcome *outcome, void *userdata),
		    void *userdata, struct tcpkeep_error *ret_error)
{
	_cleanup_close_ int fd = -1;
	bool more = true;
	int r = 0;

	fd = bpf_iterator_open_in(netns, bpf->program.program_fd, ret_error);
	if (fd < 0)
		return fd;
	while (r == 0 && more)
		r = read_some(fd, pace, done, userdata, &more);
	return r < 0 ? error_set(ret_error, r, "walk over the sockets: %s", strerror(-r)) : r;
}
