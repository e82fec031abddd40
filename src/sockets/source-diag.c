/* SPDX-License-Identifier: MIT */
#include "source-diag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "diag.h"
#include "keepalive/error.h"

struct running {
	const struct source_diag *source;
	int (*fn)(struct snapshot_row *row, void *userdata);
	void *userdata;
	struct source_diag_counts *counts;
	struct match_program early; /* all but what settings decide */
	struct owner_list owners;
};

/*
 * Settings cost ten system calls a socket: what the other clauses refuse is spared them. Clauses on
 * keepalive become those of a kind that is passed over; the whole program decides them afterwards.
 */
static void early_program(const struct selector *selector, struct match_program *early)
{
	*early = selector->program;
	for (size_t i = 0; i < MATCH_CLAUSES_MAX; i++)
		if (early->clauses[i].kind == MATCH_KEEPALIVE)
			early->clauses[i].kind = MATCH_PID;
}

static void count_failure(struct source_diag_counts *counts, int r)
{
	if (r == -EPERM) {
		counts->denied++;
	} else if (r < 0) {
		counts->starved++;
		counts->starved_of = -r;
	}
}

static int on_row(struct socket_row *socket, void *userdata)
{
	struct running *running = userdata;
	const struct source_diag *source = running->source;
	struct snapshot_row row = {.netns = source->netns};
	size_t n_owners = 0;
	int r = 0;

	running->counts->rows++;
	if (!match_row(&running->early, socket))
		return 0;
	if (source->owners && socket->inode != 0)
		r = owners_find(source->owners, socket->inode, &running->owners, &n_owners);
	if (r < 0)
		return r;
	if (source->getfd)
		count_failure(running->counts,
			      getfd_read(source->getfd, socket, running->owners.at, n_owners));
	if (source->selector && !match_row(&source->selector->program, socket))
		return 0;
	row.socket = *socket;
	row.owners = running->owners.at;
	row.n_owners = n_owners;
	return running->fn(&row, running->userdata);
}

static void cleanup_running(struct running **running)
{
	if (*running)
		owner_list_clear(&(*running)->owners);
	free(*running);
}

int source_diag_run(const struct source_diag *source,
		    int (*fn)(struct snapshot_row *row, void *userdata), void *userdata,
		    struct source_diag_counts *counts, struct tcpkeep_error *ret_error)
{
	_cleanup_(cleanup_running) struct running *running = calloc(1, sizeof(*running));
	size_t interrupted;
	int r;

	if (!running)
		return error_set(ret_error, -ENOMEM, "sock_diag: %s", strerror(ENOMEM));
	running->source = source;
	running->fn = fn;
	running->userdata = userdata;
	running->counts = counts;
	if (source->selector)
		early_program(source->selector, &running->early);
	r = diag_walk(source->netns_fd, on_row, running, &interrupted, ret_error);
	if (r == 0)
		counts->interrupted += interrupted;
	return r;
}
