/* SPDX-License-Identifier: MIT */
/* How much a change will have the machine probe, and how slowly it has to go for that. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/number.h"
#include "set-job.h"

/*
 * net/core/dev.c: netdev_max_backlog, one for the whole machine. Only the first network namespace
 * shows it: in another one the kernel's own default is what has to be taken for it.
 */
#define BACKLOG_FILE    "/proc/sys/net/core/netdev_max_backlog"
#define BACKLOG_DEFAULT 1000

/* False: not to be read. */
static bool read_backlog(unsigned *ret)
{
	_cleanup_close_ int fd = open(BACKLOG_FILE, O_RDONLY | O_CLOEXEC);
	char text[16];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	int64_t value;

	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n <= 0 || number_parse(text, (size_t)n, 1, INT32_MAX, &value) < 0)
		return false;
	*ret = (unsigned)value;
	return true;
}

/* ------------------------------------------------------------------------------------- the load */

/* One of the values of many sockets, and how many have it. */
struct share {
	int value;
	size_t n;
};

static int compare_shares(const void *a, const void *b)
{
	int x = ((const struct share *)a)->value, y = ((const struct share *)b)->value;

	return x < y ? -1 : x > y;
}

/* The smallest value, but for those of fewer than one socket in a hundred: these make no storm. */
static int smallest(struct share *shares, size_t n, size_t sockets, int max)
{
	size_t seen = 0;

	qsort(shares, n, sizeof(*shares), compare_shares);
	for (size_t i = 0; i < n; i++) {
		seen += shares[i].n;
		if (shares[i].n > 0 && seen * 100 >= sockets)
			return MAX(1, MIN(shares[i].value, max));
	}
	return max;
}

/* How many sockets there are of each kind whose timers are moved, and of all of them. */
static size_t count_kinds(const struct change_set *set, size_t *n_of)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++) {
		uint32_t kind = set->items[i].kind;

		if (!change_kind_moves(&set->kinds[kind]))
			continue;
		n_of[kind]++;
		n++;
	}
	return n;
}

/* The fewest lost probes that one of them dies of: a storm kills the weakest, however few they are.
 */
static int least_tolerant(const struct change_set *set, const size_t *n_of)
{
	int least = TCPKEEP_PROBES_MAX;

	for (size_t i = 0; i < set->n_kinds; i++) {
		struct change_values after;

		change_kind_after(&set->kinds[i], &after);
		if (n_of[i] > 0)
			least = MIN(least, change_values_tolerate(&after));
	}
	return least;
}

/* What the probes will be like. */
static int fill_load(struct set_job *job)
{
	const struct change_set *set = &job->set;
	_cleanup_free_ size_t *n_of = calloc(set->n_kinds + 1, sizeof(*n_of));
	_cleanup_free_ struct share *times = calloc(set->n_kinds + 1, sizeof(*times));
	_cleanup_free_ struct share *intvls = calloc(set->n_kinds + 1, sizeof(*intvls));
	unsigned backlog = BACKLOG_DEFAULT;
	size_t n;

	if (!n_of || !times || !intvls)
		return -ENOMEM;
	n = count_kinds(set, n_of);
	for (size_t i = 0; i < set->n_kinds; i++) {
		struct change_values after;

		change_kind_after(&set->kinds[i], &after);
		times[i] = (struct share){after.time_s, n_of[i]};
		intvls[i] = (struct share){after.intvl_s, n_of[i]};
	}
	job->backlog_known = read_backlog(&backlog);
	job->load = (struct storm_load){
		.sockets = n,
		.settings = TCPKEEP_SETTINGS(smallest(times, set->n_kinds, n, TCPKEEP_TIME_MAX_S),
					     smallest(intvls, set->n_kinds, n, TCPKEEP_INTVL_MAX_S),
					     least_tolerant(set, n_of)),
		.hz = job->hz,
		.backlog = backlog,
		/* An undo gives each socket its own values: there is nothing to spread. */
		.values_fixed = job->undo != NULL,
	};
	return 0;
}

/* Is there a socket that will probe more often, or die of fewer lost probes? */
static bool burdens(const struct change_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (change_kind_burdens(&set->kinds[set->items[i].kind]))
			return true;
	return false;
}

/* ------------------------------------------------------------------------------------- the pace */

/* A probe for each at once: so many that half of the queue stays free. */
static unsigned now_per_s(const struct storm_load *load)
{
	uint64_t per_s = (uint64_t)load->backlog * load->hz / 4;

	if (load->sockets <= load->backlog / 2)
		return 0;
	return (unsigned)MAX(MIN(per_s, (uint64_t)UINT32_MAX), 1ULL);
}

/* What was asked for on the command line. */
static void bend_pace(struct set_job *job)
{
	unsigned now = job->args->now ? now_per_s(&job->load) : 0;

	if (job->rate > 0)
		job->pace.per_s = job->rate;
	else if (now > 0 && (job->pace.per_s == 0 || job->pace.per_s > now))
		job->pace.per_s = now;
}

/* Pace and forecast. 1: safe. */
static int make_pace(struct set_job *job)
{
	struct storm_pace planned;
	int r;

	r = storm_plan(&job->load, &job->pace, &job->forecast);
	if (r < 0)
		return r;
	job->plan_safe = r == 1;
	planned = job->pace;
	bend_pace(job);
	if (memcmp(&planned, &job->pace, sizeof(planned)) == 0)
		return r;
	r = storm_forecast(&job->load, &job->pace, &job->forecast);
	return r < 0 ? r : storm_is_safe(&job->load, &job->pace);
}

/* With no timer moved there is no pace: what stands is what there is. */
static int judge_standing(struct set_job *job)
{
	int r;

	job->pace.per_s = job->rate;
	r = storm_forecast(&job->load, &(struct storm_pace){0}, &job->forecast);
	return r < 0 ? r : storm_is_safe(&job->load, &(struct storm_pace){0});
}

/* Would it be too much without the change as well? */
static int is_crowded(const struct set_job *job)
{
	struct storm_load alone = job->load;
	int r;

	if (!alone.standing)
		return 0;
	alone.sockets = 0;
	alone.without_ours = true;
	r = storm_is_safe(&alone, &(struct storm_pace){0});
	return r < 0 ? r : r == 0;
}

/* One probe more for each hundred. */
static bool adds_little(const struct set_job *job)
{
	const struct tcpkeep_settings *settings = &job->load.settings;
	uint64_t added =
		storm_standing_rate(job->standing, true) +
		job->load.sockets * 1000 / (uint64_t)MAX(settings->time_s, settings->intvl_s);

	return added * 100 < storm_standing_rate(job->standing, false);
}

/*
 * The pace that it would have on a machine of its own: what is next to nothing in the long run may
 * all come in one tick. 1: there is one.
 */
static int pace_alone(struct set_job *job)
{
	struct storm_load alone = job->load;
	struct storm_forecast forecast;
	int r;

	job->pace = (struct storm_pace){.per_s = job->rate};
	if (alone.sockets == 0)
		return 1;
	alone.standing = NULL;
	r = storm_plan(&alone, &job->pace, &forecast);
	if (r < 0)
		return r;
	bend_pace(job);
	return storm_is_safe(&alone, &job->pace);
}

/* What is not safe is refused, unless it is a relief, or makes no difference. */
static int judge(struct set_job *job)
{
	int r;

	if (job->safe || job->args->force || !burdens(&job->set))
		return 0;
	r = is_crowded(job);
	if (r < 0)
		return r;
	job->crowded = r == 1;
	job->refused = !job->crowded || !adds_little(job);
	if (job->refused)
		return 0;
	r = pace_alone(job);
	if (r < 0)
		return r;
	/* Then it is its own probes that are too many. */
	job->refused = r == 0;
	job->crowded = r == 1;
	return storm_forecast(&job->load, &job->pace, &job->forecast);
}

/* What the spread has left nothing to do for. */
static void count_spared(struct set_job *job)
{
	for (size_t i = 0; i < job->set.n; i++)
		job->spared += job->set.kinds[job->set.items[i].kind].wanted.fields == 0;
}

static int plan(struct set_job *job, struct tcpkeep_error *ret_error)
{
	int r;

	job->safe = true;
	r = fill_load(job);
	if (r < 0)
		return r;
	job->pace.per_s = job->rate;
	job->judged = job->load.sockets > 0 || burdens(&job->set);
	if (!job->judged)
		return 0;
	r = set_standing_find(job, ret_error);
	if (r < 0)
		return r;
	r = job->load.sockets > 0 ? make_pace(job) : judge_standing(job);
	if (r < 0)
		return r;
	job->safe = r == 1;
	r = judge(job);
	return r < 0 ? r : change_set_spread(&job->set, &job->pace);
}

/* What the change itself brings, of the probes that are forecast. */
static int forecast_own(struct set_job *job)
{
	struct storm_load alone = job->load;
	struct storm_forecast forecast;
	int r;

	job->own_peak_per_s = job->forecast.peak_per_s;
	if (!job->judged || !alone.standing)
		return 0;
	job->own_peak_per_s = 0;
	if (alone.sockets == 0)
		return 0;
	alone.standing = NULL;
	r = storm_forecast(&alone, &job->pace, &forecast);
	if (r == 0)
		job->own_peak_per_s = forecast.peak_per_s;
	return r;
}

int set_storm_plan(struct set_job *job)
{
	struct tcpkeep_error error = {.message = ""};
	int r;

	r = plan(job, &error);
	if (r == 0)
		r = forecast_own(job);
	if (r < 0)
		return set_job_fail(job, &error, r);
	count_spared(job);
	return EXIT_DONE;
}
