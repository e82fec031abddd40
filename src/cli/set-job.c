/* SPDX-License-Identifier: MIT */
/* The steps of changing open sockets: look, change. What lies between is set-storm.c. */
#include "set-job.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"

int set_job_fail(const struct set_job *job, const struct tcpkeep_error *error, int r)
{
	say_error("%s: %s", job->who, *error->message ? error->message : strerror(-r));
	return exit_status_of(r);
}

/* ----------------------------------------------------------------------------------- collecting */

static int add_item(struct set_job *job, const struct snapshot_row *row,
		    const struct change_kind *kind)
{
	int r;

	if (change_kind_lost(kind))
		job->lost++;
	if (change_kind_lost(kind) && kind->effective.on)
		job->lost_on++;
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

	progress_count(&job->looking);
	job->hz = row->netns->kernel.hz;
	job->met_mptcp |= row->socket.flags & ROW_MPTCP;
	outcome.result = job->plan(job, row, &kind, &outcome.reason);
	if (set_standing_covers(job)) {
		int r = set_standing_take(job, row, outcome.result == CHANGE_DONE ? &kind : NULL);

		if (r < 0)
			return r;
	}
	if (outcome.result == CHANGE_SKIPPED && outcome.reason == CHANGE_REASON_NONE)
		return 0;
	job->matched++;
	if (outcome.result == CHANGE_DONE)
		return add_item(job, row, &kind);
	count_outcome(job, &outcome);
	if (job->verbose_rows)
		set_report_row(job, row, NULL, &outcome);
	return 0;
}

static void forget(struct set_job *job)
{
	change_set_clear(&job->set);
	memset(job->counts, 0, sizeof(job->counts));
	job->matched = job->lost = job->lost_on = job->kept = job->retry = 0;
	free(job->standing);
	job->standing = NULL;
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
	if (r == 0 && set_standing_covers(job))
		r = own_addresses_read(&job->addresses);
	if (r == 0) {
		progress_start(&job->looking, 0, job->wants_rows);
		r = look_as_needed(job, &error);
		progress_clear(&job->looking);
	}
	if (job->expected > job->matched)
		job->counts[CHANGE_VANISHED] = job->expected - job->matched;
	return r < 0 ? set_job_fail(job, &error, r) : EXIT_DONE;
}

/* ----------------------------------------------------------------------------------- the change */

/*
 * A slow change is often enough ended by hand: the socket at hand is finished, and all is told.
 * SIGPIPE: the reader of -v or --json has gone, as a pager that is left.
 */
static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
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
		/* What is left to tell is written to where nobody reads, and not to die of. */
		if (signals[i] != SIGPIPE || stop_signal != SIGPIPE)
			sigaction(signals[i], &saved[i], NULL);
}

static int take_outcome(const struct change_outcome *outcome, void *userdata)
{
	struct set_job *job = userdata;

	count_outcome(job, outcome);
	if (outcome->result == CHANGE_DONE && job->changed)
		job->changed[outcome->item / 8] |= (uint8_t)(1U << outcome->item % 8);
	job->told++;
	progress_count(&job->changing);
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
		.paces_all = job->rate > 0,
		.done = take_outcome,
		.userdata = job,
	};
	struct sigaction saved[ARRAY_SIZE(signals)];
	struct tcpkeep_error error = {.message = ""};
	int r;

	progress_start(&job->changing, job->set.n, job->wants_rows);
	catch_signals(saved);
	r = change_run(&job->set, &options, &error);
	release_signals(saved);
	progress_clear(&job->changing);
	job->interrupted = r == -EINTR;
	job->finished = r == 0;
	if (job->interrupted || r == 0)
		return EXIT_DONE;
	job->failed = set_job_fail(job, &error, r);
	/* What has been changed by then is to be told all the same. */
	return job->told > 0 ? EXIT_DONE : job->failed;
}

int set_job_status(const struct set_job *job)
{
	const size_t *counts = job->counts;
	bool some = counts[CHANGE_DONE] + counts[CHANGE_HELD] > 0;

	if (job->matched == 0)
		return EXIT_FAILED;
	if (job->interrupted || (job->failed && counts[CHANGE_DONE] > 0))
		return EXIT_PARTLY;
	if (job->failed)
		return job->failed;
	if (counts[CHANGE_REFUSED] + counts[CHANGE_DENIED] == 0)
		return EXIT_DONE;
	if (some)
		return EXIT_PARTLY;
	return counts[CHANGE_REFUSED] > 0 ? EXIT_FAILED : EXIT_LACKING;
}

void set_job_clear(struct set_job *job)
{
	set_lock_release(job);
	rows_close(job->rows);
	free(job->standing);
	own_addresses_clear(&job->addresses);
	change_set_clear(&job->set);
	users_free(&job->view.users);
	cleanup_close(&job->netns);
	for (size_t i = 0; i < job->n_namespaces; i++)
		free((char *)job->namespaces[i].name);
	free(job->namespaces);
	free(job->shown);
	free(job->changed);
}
