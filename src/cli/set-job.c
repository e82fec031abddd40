/* SPDX-License-Identifier: MIT */
/* The steps of changing open sockets: look, plan, change. */
#include "set-job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/number.h"

/* net/core/dev.c: netdev_max_backlog. Only the first network namespace shows it. */
#define BACKLOG_FILE    "/proc/sys/net/core/netdev_max_backlog"
#define BACKLOG_DEFAULT 1000

int set_exit_status(int r)
{
	switch (r) {
	case -EPERM:
	case -EACCES:
	case -EOPNOTSUPP:
	case -ENOSYS:
		return EXIT_LACKING;
	}
	return EXIT_FAILED;
}

static int fail(const struct set_job *job, const struct tcpkeep_error *error, int r)
{
	say_error("%s: %s", job->who, *error->message ? error->message : strerror(-r));
	return set_exit_status(r);
}

/* ----------------------------------------------------------------------------------- collecting */

static int add_item(struct set_job *job, const struct snapshot_row *row,
		    const struct change_kind *kind)
{
	int r;

	if (change_kind_lost(kind))
		job->lost++;
	if (job->wants_rows || job->args->dry_run) {
		r = set_report_keep(job, row);
		if (r < 0)
			return r;
	}
	return change_set_add(&job->set, row->socket.cookie, kind, row->owners, row->n_owners);
}

static void count_outcome(struct set_job *job, const struct change_outcome *outcome)
{
	job->counts[outcome->result]++;
	if (outcome->result == CHANGE_DENIED ||
	    (outcome->result == CHANGE_REFUSED && outcome->reason != CHANGE_REASON_SINCE))
		job->retry++;
}

static int take_row(const struct snapshot_row *row, void *userdata)
{
	struct set_job *job = userdata;
	struct change_outcome outcome = {0};
	struct change_kind kind;

	list_progress_count(&job->looking);
	job->hz = row->netns->kernel.hz;
	job->met_mptcp |= row->socket.flags & ROW_MPTCP;
	outcome.result = job->plan(job, row, &kind, &outcome.reason);
	if (outcome.result == CHANGE_SKIPPED && outcome.reason == CHANGE_REASON_NONE)
		return 0;
	job->matched++;
	if (outcome.result == CHANGE_DONE)
		return add_item(job, row, &kind);
	count_outcome(job, &outcome);
	if (outcome.result == CHANGE_HELD && change_kind_probes(&kind))
		job->held_probing++;
	if (job->verbose_rows)
		set_report_row(job, row, NULL, &outcome);
	return 0;
}

static void forget(struct set_job *job)
{
	change_set_clear(&job->set);
	memset(job->counts, 0, sizeof(job->counts));
	job->matched = job->lost = job->held_probing = job->retry = 0;
}

static int look(struct set_job *job, bool owners, struct tcpkeep_error *ret_error)
{
	const struct snapshot_options options = {
		.source = job->source,
		.owners = owners || job->wants_owners,
		.cgroups = job->wants_cgroups,
		.all_netns = job->all_netns,
		.netns = job->netns,
		.selector = &job->selector,
	};

	return snapshot_run(&options, take_row, job, &job->report, ret_error);
}

/*
 * Who holds the sockets takes another walk, over every descriptor of the machine: it is left out
 * where nobody asks. MPTCP is changed through its owners, and known by the cookies that this walk
 * gives; but it is seldom met.
 */
static int look_as_needed(struct set_job *job, struct tcpkeep_error *ret_error)
{
	int r;

	r = look(job, job->wants_rows, ret_error);
	if (r < 0 || job->wants_rows || job->wants_owners || !job->met_mptcp)
		return r;
	forget(job);
	return look(job, true, ret_error);
}

int set_job_collect(struct set_job *job)
{
	struct tcpkeep_error error = {.message = ""};
	int r;

	r = set_report_open(job);
	if (r == 0) {
		list_progress_start(&job->looking, !job->wants_rows);
		r = look_as_needed(job, &error);
		list_progress_clear(&job->looking);
	}
	if (job->expected > job->matched)
		job->counts[CHANGE_VANISHED] = job->expected - job->matched;
	return r < 0 ? fail(job, &error, r) : EXIT_DONE;
}

/* ------------------------------------------------------------------------------------ the storm */

static unsigned read_backlog(void)
{
	_cleanup_close_ int fd = open(BACKLOG_FILE, O_RDONLY | O_CLOEXEC);
	char text[16];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	int64_t value;

	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n <= 0 || number_parse(text, (size_t)n, 1, INT32_MAX, &value) < 0)
		return BACKLOG_DEFAULT;
	return (unsigned)value;
}

/* Does the change start its keepalive timer, or move it? What only gets other probes stays as
 * scattered as it is. */
static bool moves_timer(const struct change_kind *kind)
{
	return change_kind_probes(kind) && kind->wanted.fields & (TCPKEEP_ON | TCPKEEP_TIME);
}

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
		if (seen * 100 >= sockets)
			return MAX(1, MIN(shares[i].value, max));
	}
	return max;
}

/* How many sockets there are of each kind that moves a timer, and of all of them. */
static size_t count_kinds(const struct change_set *set, size_t *counts)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++) {
		uint32_t kind = set->items[i].kind;

		if (!moves_timer(&set->kinds[kind]))
			continue;
		counts[kind]++;
		n++;
	}
	return n;
}

/* What the probes will be like. */
static int fill_load(struct set_job *job)
{
	static const int most[] = {TCPKEEP_TIME_MAX_S, TCPKEEP_INTVL_MAX_S, TCPKEEP_PROBES_MAX};
	const struct change_set *set = &job->set;
	_cleanup_free_ size_t *counts = calloc(set->n_kinds + 1, sizeof(*counts));
	_cleanup_free_ struct share *shares = calloc(set->n_kinds + 1, sizeof(*shares));
	int least[ARRAY_SIZE(most)];
	size_t n;

	if (!counts || !shares)
		return -ENOMEM;
	n = count_kinds(set, counts);
	for (size_t field = 0; field < ARRAY_SIZE(most); field++) {
		for (size_t i = 0; i < set->n_kinds; i++) {
			struct change_values after;

			change_kind_after(&set->kinds[i], &after);
			shares[i] = (struct share){field == 0   ? after.time_s
						   : field == 1 ? after.intvl_s
								: after.probes,
						   counts[i]};
		}
		least[field] = smallest(shares, set->n_kinds, n, most[field]);
	}
	job->load = (struct storm_load){
		.sockets = n > 0 ? n + job->held_probing : 0,
		.settings = TCPKEEP_SETTINGS(least[0], least[1], least[2]),
		.hz = job->hz,
		.backlog = read_backlog(),
	};
	return 0;
}

/* A probe for each at once: so many that half of the queue stays free. */
static unsigned now_per_s(const struct storm_load *load)
{
	uint64_t per_s = (uint64_t)load->backlog * load->hz / 4;

	if (load->sockets <= load->backlog / 2)
		return 0;
	return (unsigned)MAX(MIN(per_s, (uint64_t)UINT32_MAX), 1ULL);
}

static bool is_safe(const struct set_job *job)
{
	return job->forecast.deaths == 0 &&
	       job->forecast.lost_in_row_max <= (unsigned)job->load.settings.probes / 2;
}

/* An undo gives each socket its own values: there is nothing to spread. */
static int make_pace(struct set_job *job)
{
	struct storm_pace planned;
	unsigned now = job->args->now ? now_per_s(&job->load) : 0;
	int r;

	r = storm_plan(&job->load, &job->pace, &job->forecast);
	if (r < 0)
		return r;
	job->safe = r == 1;
	planned = job->pace;
	if (job->undo)
		job->pace = (struct storm_pace){.per_s = planned.per_s};
	if (job->rate > 0)
		job->pace.per_s = job->rate;
	else if (now > 0 && (job->pace.per_s == 0 || job->pace.per_s > now))
		job->pace.per_s = now;
	if (memcmp(&planned, &job->pace, sizeof(planned)) == 0)
		return 0;
	r = storm_forecast(&job->load, &job->pace, &job->forecast);
	job->safe = is_safe(job);
	return r;
}

/* What the spread has left nothing to do for. */
static void count_held(struct set_job *job)
{
	for (size_t i = 0; i < job->set.n; i++)
		job->spared += job->set.kinds[job->set.items[i].kind].wanted.fields == 0;
}

int set_job_plan(struct set_job *job)
{
	int r;

	job->safe = true;
	r = fill_load(job);
	if (r == 0 && job->load.sockets > 0)
		r = make_pace(job);
	else
		job->pace.per_s = job->rate;
	if (r == 0 && job->load.sockets > 0)
		r = change_set_spread(&job->set, &job->pace);
	if (r < 0)
		return fail(job, &(struct tcpkeep_error){.message = ""}, r);
	count_held(job);
	return EXIT_DONE;
}

/* ----------------------------------------------------------------------------------- the change */

/* A slow change is often enough ended by hand: the socket at hand is finished, and all is told. */
static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static volatile sig_atomic_t stop_signal;

static void stop(int number)
{
	stop_signal = number;
}

static void catch_signals(struct sigaction *saved)
{
	const struct sigaction action = {.sa_handler = stop};

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaction(signals[i], NULL, &saved[i]);
		/* nohup(1) and background jobs of a shell ignore them, and so do we. */
		if (saved[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

static void release_signals(const struct sigaction *saved)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &saved[i], NULL);
}

static int take_outcome(const struct change_outcome *outcome, void *userdata)
{
	struct set_job *job = userdata;

	count_outcome(job, outcome);
	if (outcome->result == CHANGE_DONE && job->changed)
		job->changed[outcome->item / 8] |= (uint8_t)(1U << outcome->item % 8);
	job->told++;
	set_progress_count(&job->changing);
	if (job->wants_rows && (job->verbose_rows || outcome->result != CHANGE_HELD))
		set_report_item(job, outcome);
	return stop_signal ? -EINTR : 0;
}

int set_job_change(struct set_job *job)
{
	const struct change_options options = {
		.source = job->source,
		.all_netns = job->all_netns,
		.netns = job->netns,
		.probe_now = job->args->now,
		.force = job->args->force,
		.per_s = job->pace.per_s,
		.done = take_outcome,
		.userdata = job,
	};
	struct sigaction saved[ARRAY_SIZE(signals)];
	struct tcpkeep_error error = {.message = ""};
	int r;

	set_progress_start(&job->changing, job->set.n, job->wants_rows);
	catch_signals(saved);
	r = change_run(&job->set, &options, &error);
	release_signals(saved);
	set_progress_clear(&job->changing);
	job->interrupted = r == -EINTR;
	job->finished = r == 0;
	if (job->interrupted)
		r = 0;
	return r < 0 ? fail(job, &error, r) : EXIT_DONE;
}

int set_job_status(const struct set_job *job)
{
	const size_t *counts = job->counts;
	bool some = counts[CHANGE_DONE] + counts[CHANGE_HELD] > 0;

	if (job->matched == 0)
		return EXIT_FAILED;
	if (job->interrupted)
		return EXIT_PARTLY;
	if (counts[CHANGE_REFUSED] + counts[CHANGE_DENIED] == 0)
		return EXIT_DONE;
	if (some)
		return EXIT_PARTLY;
	return counts[CHANGE_REFUSED] > 0 ? EXIT_FAILED : EXIT_LACKING;
}

void set_job_clear(struct set_job *job)
{
	rows_close(job->rows);
	change_set_clear(&job->set);
	users_free(&job->view.users);
	cleanup_close(&job->netns);
	for (size_t i = 0; i < job->n_namespaces; i++)
		free((char *)job->namespaces[i].name);
	free(job->namespaces);
	free(job->shown);
	free(job->changed);
}
