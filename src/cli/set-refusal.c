/* SPDX-License-Identifier: MIT */
/* Why a change was not made: as an object, and where nothing matched what was perhaps meant. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/macro.h"
#include "base/nearest.h"
#include "set-job.h"

/* --------------------------------------------------------------------------------------- refused
 */

static void json_number_or_null(struct json *json, const char *key, unsigned value)
{
	if (value > 0)
		json_uint(json, key, value);
	else
		json_null(json, key);
}

void set_refusal_json(const struct set_job *job, struct json *json)
{
	struct storm_remedy remedy = {0};
	bool by_rate = job->rate > 0 && job->plan_safe;

	if (job->load.sockets == 0 || job->safe || job->args->force) {
		json_null(json, "refusal");
		return;
	}
	if (!by_rate)
		storm_remedy(&job->load, &remedy);
	json_begin_object(json, "refusal");
	json_string(json, "reason", "the probes would overflow this machine's own queue");
	json_bool(json, "without_rate", by_rate);
	json_number_or_null(json, "backlog", remedy.backlog);
	/* An undo has no choice of its values. */
	json_number_or_null(json, "time_s", job->undo ? 0 : (unsigned)remedy.time_s);
	json_number_or_null(json, "probes", job->undo ? 0 : (unsigned)remedy.probes);
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
