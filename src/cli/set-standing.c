/* SPDX-License-Identifier: MIT */
/*
 * What probes already beside the sockets of a change, on the whole machine as far as it can be
 * seen: the queue that overflows is that of all its namespaces. A server's many connections to the
 * world, whose probes leave through a card, are none of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/number.h"
#include "keepalive/visit.h"
#include "set-job.h"

/* net/ipv4/proc.c, net/ipv6/proc.c: "alloc" is the machine's own count, in any namespace's file;
 * "inuse" is the namespace's. */
#define SOCKSTAT_FILE  "/proc/thread-self/net/sockstat"
#define SOCKSTAT6_FILE "/proc/thread-self/net/sockstat6"
#define SOCKSTAT_ALLOC "alloc "
#define SOCKSTAT_INUSE "TCP: inuse "
#define SOCKSTAT_SIX   "TCP6: inuse "

/* Sockets of the change by their cookies. */
struct numbered {
	uint64_t cookie;
	uint32_t kind;
};

struct standing_walk {
	struct set_job *job;
	struct numbered *items;
	size_t n;
};

/* False: not to be read. */
static bool read_count(const char *path, const char *word, uint64_t *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[1024], *at;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int64_t value;

	if (n <= 0)
		return false;
	text[n] = '\0';
	at = strstr(text, word);
	if (!at)
		return false;
	at += strlen(word);
	if (number_parse(at, strspn(at, "0123456789"), 0, INT64_MAX, &value) < 0)
		return false;
	*ret = (uint64_t)value;
	return true;
}

/* Even all together they fit into what a plan allows itself of the queue. */
static bool are_few(const struct set_job *job)
{
	uint64_t sockets;

	return read_count(SOCKSTAT_FILE, SOCKSTAT_ALLOC, &sockets) &&
	       sockets <= job->load.backlog / 2;
}

/* As it is; what is not known of it is as the sysctls say. */
static void fill_values(const struct snapshot_row *row, struct change_values *ret)
{
	const struct tcpkeep_sysctls *behind = &row->netns->kernel.sysctls;

	change_row_values(row, ret);
	if (!(ret->fields & TCPKEEP_ON))
		ret->on = row->socket.timer == ROW_TIMER_KEEPALIVE;
	if (!(ret->fields & TCPKEEP_TIME))
		ret->time_s = (uint16_t)MAX(1, MIN(behind->time_s, TCPKEEP_TIME_MAX_S));
	if (!(ret->fields & TCPKEEP_INTVL))
		ret->intvl_s = (uint16_t)MAX(1, MIN(behind->intvl_s, TCPKEEP_INTVL_MAX_S));
	if (!(ret->fields & TCPKEEP_PROBES))
		ret->probes = (uint8_t)MAX(1, MIN(behind->probes, TCPKEEP_PROBES_MAX));
}

int set_standing_take(struct set_job *job, const struct snapshot_row *row,
		      const struct change_kind *kind)
{
	struct change_values values;

	if (kind && change_kind_moves(kind))
		return 0;
	if (!own_addresses_have(&job->addresses, row->socket.peer))
		return 0;
	if (!job->standing)
		job->standing = storm_standing_new(row->netns->kernel.hz);
	if (!job->standing)
		return -ENOMEM;
	if (kind)
		change_kind_after(kind, &values);
	else
		fill_values(row, &values);
	return storm_standing_add(job->standing, &row->socket, &values,
				  kind && change_kind_burdens(kind));
}

bool set_standing_covers(const struct set_job *job)
{
	return job->all_netns && !job->selector.any;
}

/* ---------------------------------------------------------------------------- a walk of its own */

static int compare_numbered(const void *a, const void *b)
{
	uint64_t x = ((const struct numbered *)a)->cookie, y = ((const struct numbered *)b)->cookie;

	return x < y ? -1 : x > y;
}

static int take_row(const struct snapshot_row *row, void *userdata)
{
	const struct numbered key = {.cookie = row->socket.cookie};
	struct standing_walk *walk = userdata;
	const struct numbered *item = NULL;

	progress_count(&walk->job->looking);
	if (key.cookie)
		item = bsearch(&key, walk->items, walk->n, sizeof(key), compare_numbered);
	return set_standing_take(walk->job, row, item ? &walk->job->set.kinds[item->kind] : NULL);
}

static int look(struct standing_walk *walk, struct tcpkeep_error *ret_error)
{
	static const char on[] = "keepalive=on";
	struct selector *selector = calloc(1, sizeof(*selector));
	const struct snapshot_options options = {
		.source = walk->job->source,
		.all_netns = true,
		.netns = TCPKEEP_NETNS_OWN,
		.selector = selector,
	};
	struct snapshot_report report;
	int r;

	r = selector ? selector_parse_word(selector, on, strlen(on), ret_error) : -ENOMEM;
	if (r == 0)
		r = snapshot_run(&options, take_row, walk, &report, ret_error);
	free(selector);
	return r;
}

static int walk_all(struct set_job *job, struct tcpkeep_error *ret_error)
{
	const struct change_set *set = &job->set;
	_cleanup_free_ struct numbered *items = calloc(set->n + 1, sizeof(*items));
	struct standing_walk walk = {job, items, set->n};
	int r;

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < set->n; i++)
		items[i] = (struct numbered){set->items[i].cookie, set->items[i].kind};
	qsort(items, set->n, sizeof(*items), compare_numbered);
	progress_start(&job->looking, 0, job->wants_rows);
	r = own_addresses_read(&job->addresses);
	if (r == 0)
		r = look(&walk, ret_error);
	progress_clear(&job->looking);
	return r;
}

/* -------------------------------------------------------------------- what cannot be looked into
 */

static int count_in_use(void *userdata)
{
	uint64_t *seen = userdata, n;

	if (read_count(SOCKSTAT_FILE, SOCKSTAT_INUSE, &n))
		*seen += n;
	if (read_count(SOCKSTAT6_FILE, SOCKSTAT_SIX, &n))
		*seen += n;
	return 0;
}

static int visit(const struct tcpkeep_netns *netns, void *userdata)
{
	if (netns->own || netns->fd >= 0)
		netns_visit(netns->own ? TCPKEEP_NETNS_OWN : netns->fd, count_in_use, userdata,
			    NULL);
	return 0;
}

/*
 * How many sockets are in namespaces that cannot be entered, or are not known of, when they may
 * matter: more than the queue holds, more than what is seen, and the change no less than a
 * hundredth of them, where it would be next to nothing. Otherwise 0.
 */
static uint64_t count_unseen(const struct set_job *job)
{
	const uint64_t matters = (uint64_t)job->set.n * 100;
	uint64_t all, seen = 0;
	size_t hidden;

	if (!read_count(SOCKSTAT_FILE, SOCKSTAT_ALLOC, &all) || all <= job->load.backlog ||
	    matters < MAX(job->load.backlog, all / 2) ||
	    tcpkeep_netns_foreach(visit, &seen, &hidden) < 0 || all <= 2 * seen)
		return 0;
	all -= seen;
	return all > job->load.backlog && matters >= all ? all : 0;
}

int set_standing_find(struct set_job *job, struct tcpkeep_error *ret_error)
{
	int r = 0;

	if (!set_standing_covers(job) && !are_few(job))
		r = walk_all(job, ret_error);
	if (r == 0)
		job->unseen = count_unseen(job);
	if (r < 0 || !job->standing || job->standing->sockets == 0)
		return r;
	storm_standing_seal(job->standing);
	job->load.standing = job->standing;
	return 0;
}
