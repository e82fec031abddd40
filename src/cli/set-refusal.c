/* SPDX-License-Identifier: MIT */
/* Why a change was not made: in words and as an object; and where nothing matched, what was
 * perhaps meant. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/macro.h"
#include "base/nearest.h"
#include "base/put.h"
#include "set-job.h"

/* --------------------------------------------------------------------------------------- refused
 */

static bool is_for_rate(const struct set_job *job)
{
	return job->rate > 0 && job->plan_safe;
}

/* Is there one of them that a user timeout ends, however many probes it has? */
static bool has_user_timeout(const struct set_job *job)
{
	for (size_t i = 0; i < job->set.n; i++) {
		const struct change_kind *kind = &job->set.kinds[job->set.items[i].kind];
		struct change_values after;

		change_kind_after(kind, &after);
		if (change_kind_moves(kind) && after.user_timeout_ms > 0)
			return true;
	}
	return false;
}

/* What would be accepted instead, for the words and for the object. It takes its time. */
static void find_remedy(struct set_job *job)
{
	if (is_for_rate(job) || storm_remedy(&job->load, &job->remedy) < 0)
		return;
	/* An undo has no choice of its values; and under a user timeout these two give no respite.
	 */
	if (job->undo || has_user_timeout(job))
		job->remedy.time_s = job->remedy.probes = 0;
}

/* What would be accepted instead, each by itself; the one that costs nobody anything comes first.
 */
static void put_remedy(const struct set_job *job, char *buf, size_t size)
{
	const struct storm_remedy *remedy = &job->remedy;
	size_t len = 0;

	buf[0] = '\0';
	if (is_for_rate(job)) {
		snprintf(buf, size, "leave out --rate, or ");
		return;
	}
	if (remedy->backlog > 0)
		len += (size_t)snprintf(
			buf + len, size - len,
			"'sysctl -w net.core.netdev_max_backlog=%u'%s makes room, or ",
			remedy->backlog, job->backlog_known ? "" : " on the host");
	if (remedy->time_s > 0)
		len += (size_t)snprintf(buf + len, size - len, "time=%d, or ", remedy->time_s);
	if (remedy->probes > 0)
		snprintf(buf + len, size - len, "probes=%d, or ", remedy->probes);
}

/* Too much before the change, and it would be more. */
static void refuse_crowded(const struct set_job *job, const char *remedy)
{
	const struct storm_standing_kind *busiest = storm_standing_busiest(job->standing);
	char n[PUT_NUMBER_MAX * 2];

	*put_grouped(n, job->standing->sockets) = '\0';
	say_error("%s: refused: %s %s already, most of them with a time of %u, an intvl "
		  "of %u and %u %s: they may overflow this machine's own queue even without "
		  "more; %sgive those a longer time or more probes first, or --force",
		  job->who, n, job->standing->sockets == 1 ? "socket probes" : "sockets probe",
		  busiest->time_s, busiest->intvl_s, busiest->tolerates,
		  busiest->tolerates == 1 ? "probe" : "probes", remedy);
}

void set_report_refusal(struct set_job *job)
{
	char lost[PUT_NUMBER_MAX * 2], deaths[PUT_NUMBER_MAX * 2], remedy[256], what[160];

	*put_grouped(lost, job->forecast.lost) = '\0';
	*put_grouped(deaths, job->forecast.deaths) = '\0';
	if (job->forecast.deaths > 0)
		snprintf(what, sizeof(what), "%s lost, and %s healthy %s would die of it", lost,
			 deaths, job->forecast.deaths == 1 ? "connection" : "connections");
	else if (job->forecast.lost > 0)
		snprintf(what, sizeof(what),
			 "%s lost, and a healthy connection would lose %u of its %d in a row", lost,
			 job->forecast.worst_lost, (int)job->forecast.worst_of);
	else
		snprintf(what, sizeof(what),
			 "it would do so as soon as half of it is taken by others");
	find_remedy(job);
	put_remedy(job, remedy, sizeof(remedy));
	if (job->crowded) {
		refuse_crowded(job, remedy);
		return;
	}
	say_error("%s: refused: the probes would overflow this machine's own queue: %s; %s--force",
		  job->who, what, remedy);
}

static void json_number_or_null(struct json *json, const char *key, unsigned value)
{
	if (value > 0)
		json_uint(json, key, value);
	else
		json_null(json, key);
}

void set_refusal_json(const struct set_job *job, struct json *json)
{
	const struct storm_remedy *remedy = &job->remedy;

	if (!job->refused) {
		json_null(json, "refusal");
		return;
	}
	json_begin_object(json, "refusal");
	json_string(json, "reason", "the probes would overflow this machine's own queue");
	json_bool(json, "without_rate", is_for_rate(job));
	json_number_or_null(json, "backlog", remedy->backlog);
	json_number_or_null(json, "time_s", (unsigned)remedy->time_s);
	json_number_or_null(json, "probes", (unsigned)remedy->probes);
	json_end_object(json);
}

/* --------------------------------------------------------------------------------------- nothing
 */

/* The name of a program that somebody may have meant. */
struct meant {
	const char *wanted;
	size_t len;
	char found[16];
	unsigned distance;
};

/* redis for redis-server, nginxx for nginx. */
static int take_row(const struct snapshot_row *row, void *userdata)
{
	struct meant *meant = userdata;

	for (size_t i = 0; i < row->n_owners; i++) {
		const char *name = row->owners[i].program;
		unsigned distance = edit_distance(meant->wanted, meant->len, name, strlen(name));
		bool within = memmem(name, strlen(name), meant->wanted, meant->len);

		if (!within && !nearest(meant->wanted, meant->len, &name, 1))
			continue;
		if (*meant->found && distance >= meant->distance)
			continue;
		snprintf(meant->found, sizeof(meant->found), "%s", name);
		meant->distance = distance;
	}
	return 0;
}

/* The one value of the one program= clause, or NULL. */
static const char *only_program(const struct selector *selector)
{
	const struct match_program *program = &selector->program;
	const char *found = NULL;

	for (__u32 i = 0; i < program->n_values; i++) {
		const struct match_clause *clause = &program->clauses[program->clause_of[i]];

		if (clause->kind != MATCH_PROGRAM)
			continue;
		if (found || clause->negate)
			return NULL;
		found = selector->text + program->values[i].number;
	}
	return found && !strpbrk(found, "*?[") ? found : NULL;
}

/* Another walk, over all that holds a socket: it is a slip of the fingers that it serves. */
static bool find_meant(const struct set_job *job, struct meant *meant)
{
	const struct snapshot_options options = {
		.source = job->source,
		.owners = true,
		.all_netns = job->all_netns,
		.netns = job->netns,
	};
	struct snapshot_report report;

	return meant->wanted && meant->len > 1 &&
	       snapshot_run(&options, take_row, meant, &report, NULL) == 0 && *meant->found &&
	       strcmp(meant->found, meant->wanted) != 0;
}

int set_refuse_nothing(const struct set_job *job)
{
	struct meant meant = {.wanted = only_program(&job->selector)};
	size_t hidden = job->selector.needs_owner ? job->report.processes_hidden : 0;
	char shown[64], wanted[64];

	set_report_missing(job);
	if (hidden > 0) {
		say_error("%s: no socket matches of those whose owner may be seen: %zu %s; root "
			  "sees all",
			  job->who, hidden,
			  hidden == 1 ? "process hides its descriptors"
				      : "processes hide their descriptors");
		return EXIT_LACKING;
	}
	meant.len = meant.wanted ? strlen(meant.wanted) : 0;
	if (find_meant(job, &meant)) {
		say_error("%s: no socket matches: no program '%s' holds one; did you mean "
			  "program=%s?",
			  job->who, escape_text(meant.wanted, meant.len, wanted, sizeof(wanted)),
			  escape_text(meant.found, strlen(meant.found), shown, sizeof(shown)));
		return EXIT_FAILED;
	}
	say_error("%s: no socket matches; 'tcpkeep list' shows what there is", job->who);
	return EXIT_FAILED;
}
