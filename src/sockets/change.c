/* SPDX-License-Identifier: MIT */
/* The change: in the kernel where that can be, through descriptors otherwise. */
#include "change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "change-bpf.h"
#include "change-getfd.h"
#include "getfd.h"
#include "keepalive/error.h"
#include "netns-list.h"
#include "pace.h"

/* Walks through one namespace, in the hope to meet what an older kernel's walk has missed. */
#define WALKS_MAX 3

struct running {
	const struct change_set *set;
	const struct change_options *options;
	struct change_bpf *bpf;
	struct getfd *getfd;
	struct pace pace;
	uint8_t *seen; /* a bit for each item */
	size_t left;   /* of those that the walks are to meet */
};

static bool is_seen(const struct running *running, size_t item)
{
	return running->seen[item / 8] >> item % 8 & 1;
}

static const struct change_kind *kind_of(const struct running *running, size_t item)
{
	return &running->set->kinds[running->set->items[item].kind];
}

/* Each item is told of once. The pace is that of the timers: nothing else can make a storm. */
static int tell(const struct change_outcome *outcome, void *userdata)
{
	struct running *running = userdata;

	if (outcome->item >= running->set->n || is_seen(running, outcome->item))
		return 0;
	running->seen[outcome->item / 8] |= (uint8_t)(1U << outcome->item % 8);
	if (running->left > 0)
		running->left--;
	if (outcome->result == CHANGE_DONE &&
	    (running->options->paces_all || change_kind_moves(kind_of(running, outcome->item))))
		pace_count(&running->pace, 1);
	return running->options->done(outcome, running->options->userdata);
}

static size_t count_left(const struct running *running, uint64_t netns)
{
	size_t n = 0;

	for (size_t i = 0; i < running->set->n; i++) {
		const struct change_kind *kind = kind_of(running, i);

		n += kind->netns == netns && !(kind->flags & CHANGE_MPTCP) &&
		     kind->wanted.fields != 0 && !is_seen(running, i);
	}
	return n;
}

static int walk_netns(const struct snapshot_netns *netns, int fd, void *userdata,
		      struct tcpkeep_error *ret_error)
{
	struct running *running = userdata;
	int r = 0;

	running->left = count_left(running, netns->inode);
	for (int i = 0; r == 0 && i < WALKS_MAX && running->left > 0; i++)
		r = change_bpf_walk(running->bpf, fd, &running->pace, tell, running, ret_error);
	return r;
}

static int run_bpf(struct running *running, struct tcpkeep_error *ret_error)
{
	const struct change_options *options = running->options;
	size_t hidden, processes_hidden; /* told by the walk that came before */

	if (options->all_netns)
		return netns_list_all(walk_netns, running, &hidden, &processes_hidden, ret_error);
	return netns_list_one(options->netns, walk_netns, running, ret_error);
}

static int run_getfd(struct running *running, size_t item)
{
	struct change_outcome outcome = {
		.item = item, .result = CHANGE_DENIED, .reason = CHANGE_REASON_OWNER};

	if (running->getfd) {
		pace_wait(&running->pace, 1);
		change_by_getfd(running->getfd, running->set, item, running->options, &outcome);
	}
	return tell(&outcome, running);
}

/* What no walk has met: MPTCP and, without BPF, everything; otherwise it has gone. */
static int run_rest(struct running *running)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < running->set->n; i++) {
		const struct change_kind *kind = kind_of(running, i);
		struct change_outcome outcome = {.item = i, .result = CHANGE_VANISHED};

		if (is_seen(running, i))
			continue;
		if (kind->wanted.fields == 0)
			outcome.result = CHANGE_HELD;
		else if (!running->bpf || kind->flags & CHANGE_MPTCP) {
			r = run_getfd(running, i);
			continue;
		}
		r = tell(&outcome, running);
	}
	return r;
}

static bool has_mptcp(const struct change_set *set)
{
	for (size_t i = 0; i < set->n_kinds; i++)
		if (set->kinds[i].flags & CHANGE_MPTCP)
			return true;
	return false;
}

/* What it takes for this set. */
static int open_ways(struct running *running, struct tcpkeep_error *ret_error)
{
	const struct change_options *options = running->options;
	struct tcpkeep_error why = {.message = ""}, why_getfd;
	int r = -EOPNOTSUPP;

	if (options->source == SNAPSHOT_AUTO || options->source == SNAPSHOT_BPF) {
		r = change_bpf_open(running->set, options, &running->bpf, &why);
		/* Without owners there is no other way. */
		if (r < 0 && (options->source == SNAPSHOT_BPF || r == -ENOMEM ||
			      running->set->n_owners == 0))
			return error_set(ret_error, r, "%s", why.message);
	}
	if (running->bpf && !has_mptcp(running->set))
		return 0;
	if (getfd_new(&running->getfd, &why_getfd) == 0 || running->bpf)
		return 0;
	return error_set(ret_error, r, "%s%s%s", why.message, *why.message ? "; " : "",
			 why_getfd.message);
}

int change_run(const struct change_set *set, const struct change_options *options,
	       struct tcpkeep_error *ret_error)
{
	_cleanup_free_ uint8_t *seen = calloc(set->n / 8 + 1, 1);
	struct running running = {.set = set, .options = options, .seen = seen};
	int r;

	if (!seen)
		return error_set(ret_error, -ENOMEM, "out of memory");
	r = open_ways(&running, ret_error);
	if (r == 0) {
		pace_start(&running.pace, options->per_s);
		if (running.bpf)
			r = run_bpf(&running, ret_error);
		if (r == 0)
			r = run_rest(&running);
	}
	change_bpf_close(&running.bpf);
	getfd_free(running.getfd);
	return r;
}
