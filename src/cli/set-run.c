/* SPDX-License-Identifier: MIT */
/* One change, from the first look to the last word, and its entry in the journal. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "set-job.h"

/* ---------------------------------------------------------------------------------- the journal */

const char *set_state_dir(const char *who, char *buf, size_t size)
{
	/* systemd's StateDirectory=, and whoever wants it elsewhere. */
	const char *given = secure_getenv("STATE_DIRECTORY");
	const char *xdg = secure_getenv("XDG_STATE_HOME");
	const char *home = secure_getenv("HOME");
	int n = -1;

	if (given && *given && *given != '/') {
		say_error("%s: STATE_DIRECTORY is no absolute path; the journal needs one, or "
			  "none at all",
			  who);
		return NULL;
	}
	if (given && *given)
		n = snprintf(buf, size, "%.*s", (int)strcspn(given, ":"), given);
	else if (geteuid() == 0)
		n = snprintf(buf, size, "/var/lib/tcpkeep");
	else if (xdg && *xdg == '/')
		n = snprintf(buf, size, "%s/tcpkeep", xdg);
	else if (home && *home == '/')
		n = snprintf(buf, size, "%s/.local/state/tcpkeep", home);
	if (n > 0 && (size_t)n < size)
		return buf;
	say_error("%s: no place for the journal: neither HOME nor XDG_STATE_HOME is a path; set "
		  "one of them",
		  who);
	return NULL;
}

/* What may be done where the place is what is wrong. -EPERM has words of its own. */
static const char *other_place(int r)
{
	const char *given = secure_getenv("STATE_DIRECTORY");

	switch (r) {
	case -EACCES:
	case -EROFS:
	case -ENOENT:
	case -ENOTDIR:
	case -ENOSPC:
	case -EDQUOT:
		break;
	default:
		return "";
	}
	if (geteuid() == 0 || (given && *given == '/'))
		return "; set STATE_DIRECTORY to a directory that can be written";
	return "; set XDG_STATE_HOME to a directory that you can write";
}

int set_job_fail_journal(const struct set_job *job, const struct tcpkeep_error *error, int r)
{
	say_error("%s: the old values cannot be kept, so no socket is changed: %s%s", job->who,
		  error->message, other_place(r));
	return exit_status_of(r);
}

static bool has_work(const struct set_job *job)
{
	return job->set.n > job->spared;
}

/* Before anything is changed: what is going to be overwritten. */
static int begin_journal(struct set_job *job, struct journal_head *head, int *ret_dir)
{
	struct tcpkeep_error error = {.message = ""};
	char path[4096];
	int r;

	if (!set_state_dir(job->who, path, sizeof(path)))
		return EXIT_FAILED;
	*head = (struct journal_head){
		.at_s = (uint64_t)time(NULL),
		.state = JOURNAL_BEGUN,
	};
	snprintf(head->words, sizeof(head->words), "%s", job->words);
	job->changed = calloc(job->set.n / 8 + 1, 1);
	r = job->changed ? journal_boot(head->boot) : -ENOMEM;
	if (r < 0)
		snprintf(error.message, sizeof(error.message), "%s", strerror(-r));
	if (r == 0) {
		r = journal_open(path, true, &error);
		if (r >= 0)
			*ret_dir = r;
	}
	if (r >= 0)
		r = journal_add(*ret_dir, head, &job->set, &job->journal_id, &error);
	return r < 0 ? set_job_fail_journal(job, &error, r) : EXIT_DONE;
}

/* What really was changed. Where that cannot be written, what was going to be still stands. */
static void end_journal(struct set_job *job, struct journal_head *head, int dir)
{
	struct tcpkeep_error error;

	head->state = job->interrupted || job->failed ? JOURNAL_CUT : JOURNAL_ENDED;
	head->planned = job->set.n - job->spared;
	if (journal_replace(dir, job->journal_id, head, &job->set, job->changed, &error) < 0)
		say_warning("%s: the journal says more than was changed: %s", job->who,
			    error.message);
}

static int change_journaled(struct set_job *job)
{
	_cleanup_close_ int dir = -1;
	struct journal_head head;
	int status;

	status = begin_journal(job, &head, &dir);
	if (status != EXIT_DONE)
		return status;
	set_lock_tell(job);
	status = set_job_change(job);
	end_journal(job, &head, dir);
	return status;
}

/* ---------------------------------------------------------------------------------- the dry run
 */

static void foresee(struct set_job *job)
{
	const struct change_options options = {
		.probe_now = job->args->now,
		.per_s = job->pace.per_s,
	};

	for (size_t i = 0; i < job->set.n; i++) {
		const struct change_kind *kind = &job->set.kinds[job->set.items[i].kind];
		struct change_outcome outcome = {.item = i};
		struct change_standing standing;
		struct change_values after;

		change_kind_after(kind, &after);
		if (kind->wanted.fields == 0) {
			outcome.result = CHANGE_HELD;
		} else if (!job->args->force &&
			   change_row_stands(&job->shown[i].socket, &standing) &&
			   change_kills(&standing, &after, kind->wanted.fields,
					change_options_mode(&options))) {
			outcome.result = CHANGE_REFUSED;
			outcome.reason = CHANGE_REASON_KILLS;
		}
		job->counts[outcome.result]++;
		if (job->wants_rows && (outcome.result != CHANGE_HELD || job->verbose_rows))
			set_report_item(job, &outcome);
	}
}

/* --------------------------------------------------------------------------------------- the run
 */

/* All of it has what the spread would give it. */
static int tell_held(struct set_job *job)
{
	for (size_t i = 0; i < job->set.n; i++) {
		const struct change_outcome outcome = {.item = i, .result = CHANGE_HELD};

		job->counts[CHANGE_HELD]++;
		if (job->verbose_rows)
			set_report_item(job, &outcome);
	}
	job->finished = true;
	return EXIT_DONE;
}

static int act(struct set_job *job)
{
	if (job->refused) {
		set_report_refusal(job);
		if (!job->args->dry_run && job->json)
			set_report_summary(job);
		if (!job->args->dry_run)
			return EXIT_FAILED;
	}
	if (job->args->dry_run) {
		foresee(job);
		return EXIT_DONE;
	}
	if (!has_work(job))
		return tell_held(job);
	if (!job->undo)
		return change_journaled(job);
	return set_job_change(job);
}

int set_job_act(struct set_job *job)
{
	int status;

	status = set_lock_take(job);
	if (status == EXIT_DONE)
		status = set_job_collect(job);
	if (status != EXIT_DONE || (job->matched == 0 && !job->undo))
		return status;
	set_dangers_say(job);
	status = set_storm_plan(job);
	if (status != EXIT_DONE)
		return status;
	set_report_preview(job);
	return act(job);
}

int set_job_run(struct set_job *job)
{
	int status;

	status = set_job_act(job);
	if (status != EXIT_DONE)
		return status;
	if (job->matched == 0 && !job->undo) {
		if (job->json)
			set_report_summary(job);
		return set_refuse_nothing(job);
	}
	set_report_summary(job);
	fflush(stdout);
	set_report_missing(job);
	if (job->args->dry_run && job->refused)
		return EXIT_FAILED;
	return set_job_status(job);
}
