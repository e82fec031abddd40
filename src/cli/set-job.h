/* SPDX-License-Identifier: MIT */
/*
 * One change of open sockets: what is found, what is planned, what came of it. Of `tcpkeep set`, of
 * its undo, and of `tcpkeep policy apply --existing`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <tcpkeep.h>

#include "cli.h"
#include "list-columns.h"
#include "output/json.h"
#include "output/rows.h"
#include "progress.h"
#include "sockets/change.h"
#include "sockets/journal.h"
#include "sockets/own-addresses.h"
#include "sockets/snapshot.h"
#include "sockets/storm-standing.h"
#include "sockets/storm.h"

struct set_args {
	const char *netns;
	const char *rate;
	const char *source;
	bool all_netns;
	bool dry_run;
	bool now;
	bool force;
	bool undo;
	bool history;
	bool verbose;
};

#define SET_RESULTS (CHANGE_DENIED + 1)
#define SET_REASONS (CHANGE_REASON_NOBODY + 1)

/* A row that is shown once its outcome is known: kept only when rows are wanted. */
struct set_shown {
	struct socket_row socket;
	struct tcpkeep_effective effective;
	struct socket_owner owner; /* the first one */
	size_t n_owners;
	size_t netns; /* in the job's */
};

struct set_job {
	const struct set_args *args;
	const char *who;   /* speaks: "set", "policy apply" */
	const char *words; /* the command, without "tcpkeep", for the journal */
	bool verbose_rows; /* also what is not changed */
	bool wants_rows;
	bool wants_owners, wants_cgroups; /* the plan asks for them */
	enum snapshot_source source;
	int netns;
	bool all_netns;
	struct selector selector;
	unsigned rate;

	/* What a row means: planned for `set`, ruled by a policy, or given back for an undo.
	 * SKIPPED with no reason: it is passed over. */
	enum change_result (*plan)(struct set_job *job, const struct snapshot_row *row,
				   struct change_kind *ret, enum change_reason *ret_reason);
	struct tcpkeep_settings settings;
	struct policy_scope *policy; /* policy apply --existing */
	const struct undo *undo;     /* NULL: no undo */
	size_t expected;             /* an undo: sockets that the change has changed */

	struct change_set set;
	size_t matched;
	size_t counts[SET_RESULTS];
	size_t lost;    /* sockets with a value of the sysctl's that undo cannot give back */
	size_t lost_on; /* of those: where it rules, since keepalive is on */
	size_t kept;    /* a policy: connections that mode default leaves something of their own */
	struct snapshot_report report;
	bool met_mptcp;

	/* The storm. */
	unsigned hz;
	struct own_addresses addresses;
	struct storm_standing *standing; /* what probes beside them; NULL: not looked at, or none */
	uint64_t unseen; /* sockets of which it is not known whether they probe, if they matter */
	bool judged;     /* there is a forecast: timers are moved, or made to probe more often */
	bool backlog_known; /* the machine's own is to be read */
	bool plan_safe;     /* the pace that was worked out is, whatever --rate says */
	bool crowded;       /* what probes already is too much even without the change */
	bool refused;       /* not safe, and neither a relief nor next to nothing */
	struct storm_load load;
	struct storm_pace pace;
	struct storm_forecast forecast; /* with what probes beside them */
	uint64_t own_peak_per_s;        /* of those alone whose timers the change moves */
	struct storm_remedy remedy;     /* of what is refused */
	bool safe;

	/* One change at a time. */
	bool locked;
	int lock;

	/* The journal's entry; 0: none. */
	uint64_t journal_id;
	uint8_t *changed; /* a bit for each item */

	/* Output. */
	struct json *json;
	struct rows *rows;
	size_t reasons[SET_REASONS]; /* in its rows */
	struct list_view view;
	struct set_shown *shown; /* of each item, when rows are wanted */
	size_t shown_room;
	struct snapshot_netns *namespaces;
	size_t n_namespaces, namespaces_room;
	struct progress looking, changing;
	size_t spared;              /* the spread has left nothing to do for them */
	size_t told;                /* of the set's items */
	size_t retry;               /* not changed, and may be another time */
	bool interrupted, finished; /* by a signal; all has been tried */
	int failed;                 /* the exit status of a change that failed in the midst of it */
};

/* The first walk: fills in the set, the counts and the load. An exit status; words are said. */
int set_job_collect(struct set_job *job);

/* Words for an error; the exit status. */
int set_job_fail(const struct set_job *job, const struct tcpkeep_error *error, int r);

/* The same where the journal cannot be had. */
int set_job_fail_journal(const struct set_job *job, const struct tcpkeep_error *error, int r);

/* Does it; the outcomes are counted and shown. */
int set_job_change(struct set_job *job);

void set_job_clear(struct set_job *job);

/*
 * All of it but what came of it, which the caller tells: look, plan, preview, refuse or change,
 * journal. With nothing matched only an undo goes beyond the look. EXIT_FAILED: refused, too.
 */
int set_job_act(struct set_job *job);

/* The same, to the last word. */
int set_job_run(struct set_job *job);

/* The exit status of what has been counted. */
int set_job_status(const struct set_job *job);

/* ---------------------------------------------------------------------------------- set-storm.c */

/* Pace and spread, and whether they are safe. */
int set_storm_plan(struct set_job *job);

/* ------------------------------------------------------------------------------- set-standing.c */

/* Does the look for the change meet every socket of the machine? */
bool set_standing_covers(const struct set_job *job);

/* Counts a row of it; kind: what the change does to it, NULL: nothing. 0 or -ENOMEM. */
int set_standing_take(struct set_job *job, const struct snapshot_row *row,
		      const struct change_kind *kind);

/* Finds what probes beside the change, with a walk of its own where it takes one, for the load.
 * 0 or -errno, with words. */
int set_standing_find(struct set_job *job, struct tcpkeep_error *ret_error);

/* ----------------------------------------------------------------------------------- set-lock.c */

/*
 * One change at a time: waits for another one to end, and says so when that takes a second. Held
 * until the job is cleared; taken twice it is taken once. Not for a dry run. An exit status; words
 * are said.
 */
int set_lock_take(struct set_job *job);

/* For whoever waits: which change it is. */
void set_lock_tell(const struct set_job *job);
void set_lock_release(struct set_job *job);

/* ----------------------------------------------------------------------------------- set-rows.c */

/* Keeps what is needed to show the row of the next item. 0 or -ENOMEM. */
int set_report_keep(struct set_job *job, const struct snapshot_row *row);

int set_report_open(struct set_job *job);

/* A row of the table, or an object. kind: NULL when nothing would be changed. */
void set_report_row(struct set_job *job, const struct snapshot_row *row,
		    const struct change_kind *kind, const struct change_outcome *outcome);
void set_report_item(struct set_job *job, const struct change_outcome *outcome);

/* What the table still has, and behind it the reasons for which it had no room. */
void set_report_end_rows(struct set_job *job);

/* --------------------------------------------------------------------------------- set-report.c */

/* What is about to happen, on stderr, when it is worth a line. */
void set_report_preview(const struct set_job *job);
void set_report_summary(struct set_job *job);

/* "3 changed, 2 held already (tcpkeep set --undo 7)", and the same as members of an object. */
#define SET_COUNTS_MAX 512
void set_report_counts(const struct set_job *job, char text[SET_COUNTS_MAX]);
void set_report_json(const struct set_job *job, struct json *json);

/* One line of what was out of reach, and what would reach it. */
void set_report_missing(const struct set_job *job);

/* ------------------------------------------------------------- set-words.c, set-dangers.c,
 * set-refusal.c */

/* The settings and selectors. An exit status; words are said. */
int set_words_parse(struct set_job *job, const struct invocation *invocation);

/*
 * One more word of a command that somebody may type again, as a shell wants it; of what does not
 * fit "..." is left, which no command takes. size > 4.
 */
void set_words_add(char *text, size_t size, const char *word);

/* Says what is legal and dangerous in the values that the sockets will have, once for each danger,
 * with how many sockets it concerns. */
void set_dangers_say(const struct set_job *job);

/* Why it is refused, in words; finds what would be accepted. */
void set_report_refusal(struct set_job *job);

/* "refusal" of the summary: the same as an object, after it. */
void set_refusal_json(const struct set_job *job, struct json *json);

/* What nothing matched, and what may have been meant: an exit status. */
int set_refuse_nothing(const struct set_job *job);

/* ---------------------------------------------------------------------------------- set-undo.c */

/* `tcpkeep set --undo [ID]` and `--history`. */
int set_undo(struct set_job *job, const struct invocation *invocation);
int set_history(struct json *json);

/* "undone" of the summary: which change; null where the job is no undo. */
void set_undo_json(const struct set_job *job, struct json *json);

/* Where the journal is kept; NULL, with words of who said, when there is no such place. */
const char *set_state_dir(const char *who, char *buf, size_t size);
