/* SPDX-License-Identifier: MIT */
/* What is said of a change of open sockets: the preview, the summary. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/put.h"
#include "output/span.h"
#include "set-job.h"

/* A pace that takes no longer is not worth a line. */
#define PREVIEW_FROM_MS 1000

/* --------------------------------------------------------------------------------------- preview
 */

/* Where keepalive is off no value rules, and whose it was matters to nobody but who looks closely.
 */
static void print_lost(const struct set_job *job)
{
	bool closely = job->args->dry_run || job->args->verbose;
	size_t lost = closely ? job->lost : job->lost_on;
	char n[PUT_NUMBER_MAX * 2];

	if (lost == 0 || job->undo)
		return;
	*put_grouped(n, lost) = '\0';
	say_error("%s: note: %s %s the sysctl; after --undo %s its values as %s own", job->who, n,
		  lost == 1 ? "socket follows" : "sockets follow",
		  lost == 1 ? "it has" : "they have", lost == 1 ? "its" : "their");
}

/* "16", "14 to 16" */
static void put_range(char *buf, size_t size, int low, int high)
{
	if (low == high)
		snprintf(buf, size, "%d", high);
	else
		snprintf(buf, size, "%d to %d", low, high);
}

/* What makes the machine crowded, whatever the change does. */
static void print_crowd(const struct set_job *job)
{
	char n[PUT_NUMBER_MAX * 2];

	if (!job->crowded || job->refused)
		return;
	*put_grouped(n, job->standing->sockets) = '\0';
	say_warning("%s: %s %s already, so often that their probes may overflow this "
		    "machine's own queue; the change adds next to nothing to that",
		    job->who, n, job->standing->sockets == 1 ? "socket probes" : "sockets probe");
}

/* Of what the forecast knows nothing. */
static void print_unseen(const struct set_job *job)
{
	char n[PUT_NUMBER_MAX * 2];

	if (job->unseen == 0)
		return;
	*put_grouped(n, job->unseen) = '\0';
	say_error(
		"%s: note: the machine has %s more TCP sockets, in network namespaces that cannot "
		"be looked into from here: what probes there the forecast does not know",
		job->who, n);
}

/* Empty where nothing does. */
static void put_beside(const struct set_job *job, char text[PUT_NUMBER_MAX * 2 + 32])
{
	const uint64_t n = job->load.standing ? job->load.standing->sockets : 0;

	*text = '\0';
	if (n > 0)
		*put_text(put_grouped(put_text(text, " (beside "), n),
			  n == 1 ? " that does already)" : " that do already)") = '\0';
}

/* "about 60 probes in the worst second, 1,200 with those beside them" */
static void put_peak(const struct set_job *job, char text[PUT_NUMBER_MAX * 4 + 64])
{
	char *at = put_grouped(put_text(text, "about "), job->own_peak_per_s);

	at = put_text(at, job->own_peak_per_s == 1 ? " probe" : " probes");
	at = put_text(at, " in the worst second");
	if (job->load.standing)
		at = put_text(put_grouped(put_text(at, ", "), job->forecast.peak_per_s),
			      " with those beside them");
	*at = '\0';
}

void set_report_preview(const struct set_job *job)
{
	char n[PUT_NUMBER_MAX * 2], peak[PUT_NUMBER_MAX * 4 + 64], takes[SPAN_TEXT_MAX];
	char spread[160] = "", beside[PUT_NUMBER_MAX * 2 + 32], time[32], intvl[32];
	struct tcpkeep_settings low, high;

	print_lost(job);
	print_crowd(job);
	print_unseen(job);
	if (job->load.sockets == 0 ||
	    (!job->args->verbose && job->safe && job->forecast.takes_ms < PREVIEW_FROM_MS))
		return;
	*put_grouped(n, job->load.sockets) = '\0';
	put_peak(job, peak);
	span_format(job->forecast.takes_ms * 1000, 1, takes);
	if (storm_range(&job->pace, &job->load.settings, &low, &high)) {
		put_range(time, sizeof(time), low.time_s, high.time_s);
		put_range(intvl, sizeof(intvl), low.intvl_s, high.intvl_s);
		snprintf(spread, sizeof(spread), "; each gets a time of %s and an intvl of %s",
			 time, intvl);
	}
	put_beside(job, beside);
	say_error("%s: %s %s will probe%s: changed %s%s, %s%s", job->who, n,
		  job->load.sockets == 1 ? "socket" : "sockets", beside,
		  job->forecast.takes_ms > 0 ? "over " : "at once",
		  job->forecast.takes_ms > 0 ? takes : "", peak, spread);
	if (!job->backlog_known && (job->args->verbose || !job->safe))
		say_error("%s: note: net.core.netdev_max_backlog cannot be read in this network "
			  "namespace: the forecast takes it for %u, the kernel's default",
			  job->who, job->load.backlog);
}

/* --------------------------------------------------------------------------------------- summary
 */

static char *put_count(char *at, const char *text, size_t n, const char *word, bool always)
{
	if (n == 0 && !always)
		return at;
	if (at != text)
		at = put_text(at, ", ");
	at = put_grouped(at, n);
	return put_text(put_char(at, ' '), word);
}

static size_t not_reached(const struct set_job *job)
{
	return job->interrupted || job->failed ? job->set.n - job->told : 0;
}

/* A change that has not come to its end: how to go on. */
static void print_ways(const struct set_job *job)
{
	if (not_reached(job) == 0)
		return;
	if (job->journal_id > 0 && job->counts[CHANGE_DONE] > 0)
		say_error("%s: %s: the same command again goes on, 'tcpkeep set --undo %llu' goes "
			  "back",
			  job->who, job->interrupted ? "ended by a signal" : "not all was reached",
			  (unsigned long long)job->journal_id);
	else
		say_error("%s: %s: the same command again goes on", job->who,
			  job->interrupted ? "ended by a signal" : "not all was reached");
}

void set_report_counts(const struct set_job *job, char text[SET_COUNTS_MAX])
{
	const size_t *counts = job->counts;
	bool dry = job->args->dry_run;
	const char *done = !dry           ? "changed"
			   : job->refused ? "to change only by --force"
					  : "to change";
	char *at = text;

	at = put_count(at, text, counts[CHANGE_DONE], done, true);
	at = put_count(at, text, counts[CHANGE_HELD],
		       job->undo ? "as before already" : "held already", true);
	at = put_count(at, text, counts[CHANGE_SKIPPED], "skipped", false);
	at = put_count(at, text, counts[CHANGE_VANISHED], "vanished", false);
	at = put_count(at, text, counts[CHANGE_REFUSED], "refused", false);
	at = put_count(at, text, counts[CHANGE_DENIED], "denied", false);
	at = put_count(at, text, not_reached(job), "not reached", false);
	if (job->journal_id > 0 && counts[CHANGE_DONE] > 0) {
		at = put_text(at, " (tcpkeep set --undo ");
		at = put_char(put_uint(at, job->journal_id), ')');
	}
	*at = '\0';
}

static void json_forecast(const struct set_job *job, struct json *json)
{
	struct tcpkeep_settings low, high;

	json_begin_object(json, "forecast");
	json_uint(json, "sockets", job->load.sockets);
	json_uint(json, "beside", job->load.standing ? job->load.standing->sockets : 0);
	json_uint(json, "unseen", job->unseen);
	json_bool(json, "safe", job->safe);
	json_uint(json, "backlog", job->load.backlog);
	json_bool(json, "backlog_known", job->backlog_known);
	json_seconds(json, "takes_s", job->forecast.takes_ms * 1000);
	json_uint(json, "per_s", job->pace.per_s);
	storm_range(&job->pace, &job->load.settings, &low, &high);
	json_int(json, "time_lowest_s", low.time_s);
	json_int(json, "time_highest_s", high.time_s);
	json_int(json, "intvl_lowest_s", low.intvl_s);
	json_int(json, "intvl_highest_s", high.intvl_s);
	json_uint(json, "peak_per_tick", job->forecast.peak_per_tick);
	json_uint(json, "peak_per_s", job->forecast.peak_per_s);
	json_uint(json, "own_peak_per_s", job->own_peak_per_s);
	json_uint(json, "average_per_s", job->forecast.average_per_s);
	json_uint(json, "lost", job->forecast.lost);
	json_uint(json, "deaths", job->forecast.deaths);
	json_end_object(json);
}

void set_report_json(const struct set_job *job, struct json *json)
{
	json_bool(json, "dry_run", job->args->dry_run);
	json_uint(json, "matched", job->matched);
	for (size_t i = 0; i < SET_RESULTS; i++)
		json_uint(json, change_result_name((enum change_result)i), job->counts[i]);
	json_uint(json, "not_reached", not_reached(job));
	json_uint(json, "from_sysctl", job->lost);
	if (job->journal_id > 0 && job->counts[CHANGE_DONE] > 0)
		json_uint(json, "undo", job->journal_id);
	else
		json_null(json, "undo");
	if (job->judged)
		json_forecast(job, json);
	else
		json_null(json, "forecast");
}

void set_report_summary(struct set_job *job)
{
	struct json *json = job->json;
	char text[SET_COUNTS_MAX];

	set_report_end_rows(job);
	print_ways(job);
	if (!json) {
		set_report_counts(job, text);
		puts(text);
		return;
	}
	json_begin_object(json, NULL);
	json_string(json, "schema", "tcpkeep.set-summary/1");
	set_report_json(job, json);
	set_refusal_json(job, json);
	set_undo_json(job, json);
	json_end_object(json);
}

void set_report_missing(const struct set_job *job)
{
	const struct snapshot_report *report = &job->report;
	size_t denied = job->counts[CHANGE_DENIED];
	char line[512];
	int n = 0;

	if (denied == 0 && report->netns_hidden == 0)
		return;
	n = snprintf(line, sizeof(line), "%s%s", report->missing, *report->missing ? "; " : "");
	if (denied > 0)
		n += snprintf(line + n, sizeof(line) - (size_t)n, "%zu %s out of reach", denied,
			      denied == 1 ? "socket is" : "sockets are");
	if (report->netns_hidden > 0)
		n += snprintf(line + n, sizeof(line) - (size_t)n,
			      "%s%zu network %s may not be entered", denied ? ", " : "",
			      report->netns_hidden,
			      report->netns_hidden == 1 ? "namespace" : "namespaces");
	say_warning("%s: %s%s%s", job->who, line, geteuid() == 0 ? "" : "; root reaches ",
		    geteuid() == 0                       ? ""
		    : denied + report->netns_hidden == 1 ? "it"
							 : "them");
}
