/* SPDX-License-Identifier: MIT */
/* tcpkeep set: the keepalive of sockets that are already open, in any process. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcpkeep.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/nearest.h"
#include "base/number.h"
#include "set-job.h"

static const struct option options[] = {
	{"dry-run", NULL, "show the sockets, before and after, and change nothing", OPTION_FLAG,
	 offsetof(struct set_args, dry_run), COMPLETES_NOTHING, .short_name = 'n'},
	{"verbose", NULL, "show every socket, and why it was not changed", OPTION_FLAG,
	 offsetof(struct set_args, verbose), COMPLETES_NOTHING, .short_name = 'v'},
	{"all-netns", NULL, "the sockets of every network namespace", OPTION_FLAG,
	 offsetof(struct set_args, all_netns), COMPLETES_NOTHING},
	{"netns", "NAME", "those of a namespace: a name in /run/netns, or a path", OPTION_TEXT,
	 offsetof(struct set_args, netns), COMPLETES_NETNS},
	{"now", NULL, "probe at once what is silent for longer than the new time", OPTION_FLAG,
	 offsetof(struct set_args, now), COMPLETES_NOTHING},
	{"rate", "N", "change N sockets a second, instead of the pace worked out", OPTION_TEXT,
	 offsetof(struct set_args, rate), COMPLETES_NOTHING},
	{"force", NULL, "do also what is refused: what would end connections", OPTION_FLAG,
	 offsetof(struct set_args, force), COMPLETES_NOTHING},
	{"undo", NULL, "give the sockets of the last change, or of change ID, their values back",
	 OPTION_FLAG, offsetof(struct set_args, undo), COMPLETES_NOTHING, .joins_operand = "[ID]"},
	{"history", NULL, "list the changes: when, what, how many, undone or not", OPTION_FLAG,
	 offsetof(struct set_args, history), COMPLETES_NOTHING},
	{"source", "SOURCE", "bpf or diag-fd instead of the better one", OPTION_TEXT,
	 offsetof(struct set_args, source), COMPLETES_CHOICES, .choices = "bpf diag-fd"},
};

static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; *at; at += strspn(at, " ")) {
		size_t n = strcspn(at, " ");

		if (n == len && memcmp(at, word, n) == 0)
			return true;
		at += n;
	}
	return false;
}

static int fail_usage(const char *words)
{
	say_error("set: %s", words);
	return EXIT_USAGE;
}

static bool is_given(const struct set_args *args, const struct option *option)
{
	const char *target = (const char *)args + option->target;

	return option->kind == OPTION_FLAG ? *(const bool *)target
					   : *(const char *const *)target != NULL;
}

/* Options that say nothing beside --undo or --history; words: their names. */
static int refuse_beside(const struct set_args *args, const char *what, const char *words)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (!has_word(words, options[i].name) || !is_given(args, &options[i]))
			continue;
		say_error("set: --%s does nothing beside --%s; leave it out", options[i].name,
			  what);
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}

static int check_usage(const struct set_args *args, size_t n_operands)
{
	if (args->all_netns && args->netns)
		return fail_usage("--netns and --all-netns exclude each other; give one");
	if (args->history && args->undo)
		return fail_usage("--undo and --history exclude each other; give one");
	if (args->history && n_operands > 0)
		return fail_usage("--history takes no settings and no selectors");
	if (args->history)
		return refuse_beside(args, "history",
				     "dry-run netns all-netns now rate force "
				     "source verbose");
	if (args->undo && n_operands > 1)
		return fail_usage("--undo takes the number of one change, and no settings and no "
				  "selectors; --history tells the numbers");
	if (args->undo && (args->all_netns || args->netns))
		return fail_usage("--undo finds its sockets in every namespace; leave out --netns "
				  "and --all-netns");
	return args->undo ? refuse_beside(args, "undo", "now") : EXIT_DONE;
}

static int parse_options(struct set_job *job)
{
	const struct set_args *args = job->args;
	char shown[32];
	int64_t rate = 0;

	if (args->rate && number_parse(args->rate, strlen(args->rate), 1, 100000000, &rate) < 0) {
		say_error("set: --rate: '%s' is no number of sockets; accepted: 1 to 100000000",
			  escape_text(args->rate, strlen(args->rate), shown, sizeof(shown)));
		return EXIT_USAGE;
	}
	job->rate = (unsigned)rate;
	job->source = SNAPSHOT_AUTO;
	if (!args->source)
		return EXIT_DONE;
	if (strcmp(args->source, "bpf") == 0)
		job->source = SNAPSHOT_BPF;
	else if (strcmp(args->source, "diag-fd") == 0)
		job->source = SNAPSHOT_DIAG_FD;
	if (job->source != SNAPSHOT_AUTO)
		return EXIT_DONE;
	say_error("set: --source: '%s' is none; accepted: bpf, diag-fd",
		  escape_text(args->source, strlen(args->source), shown, sizeof(shown)));
	return EXIT_USAGE;
}

static int open_netns(struct set_job *job)
{
	struct tcpkeep_error error;
	int fd;

	job->netns = TCPKEEP_NETNS_OWN;
	job->all_netns |= job->args->all_netns;
	if (!job->args->netns)
		return EXIT_DONE;
	fd = tcpkeep_netns_open(job->args->netns, &error);
	if (fd < 0) {
		say_error("set: %s", error.message);
		return fd == -ENOENT ? EXIT_FAILED : exit_status_of(fd);
	}
	job->netns = fd;
	return EXIT_DONE;
}

/* -------------------------------------------------------------------------------------- the set */

static enum change_result plan_set(struct set_job *job, const struct snapshot_row *row,
				   struct change_kind *ret, enum change_reason *ret_reason)
{
	enum change_result result = change_plan_row(row, &job->settings, ret, ret_reason);

	if (result == CHANGE_DONE && job->args->now)
		change_plan_now(&row->socket, ret);
	return result;
}

/* An option that was given, unless it only decides what is shown. */
static void add_option(const struct set_args *args, const struct option *option, char *buf,
		       size_t size)
{
	char name[32];

	if (has_word("dry-run verbose undo history", option->name) || !is_given(args, option))
		return;
	snprintf(name, sizeof(name), "--%s", option->name);
	set_words_add(buf, size, name);
	if (option->kind == OPTION_TEXT)
		set_words_add(buf, size,
			      *(const char *const *)((const char *)args + option->target));
}

/* The command, to be typed again. */
static void fill_words(const struct invocation *invocation, char *buf, size_t size)
{
	buf[0] = '\0';
	set_words_add(buf, size, "set");
	for (size_t i = 0; i < invocation->n_operands; i++)
		set_words_add(buf, size, invocation->operands[i]);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		add_option(invocation->args, &options[i], buf, size);
}

static int run_set(struct set_job *job, const struct invocation *invocation)
{
	char given[JOURNAL_WORDS_MAX];
	int status;

	status = set_words_parse(job, invocation);
	if (status == EXIT_DONE)
		status = open_netns(job);
	if (status != EXIT_DONE)
		return status;
	fill_words(invocation, given, sizeof(given));
	job->words = given;
	job->plan = plan_set;
	return set_job_run(job);
}

static int run(const struct invocation *invocation)
{
	const struct set_args *args = invocation->args;
	_cleanup_free_ struct set_job *job = calloc(1, sizeof(*job));
	struct json json;
	int status;

	if (!job) {
		say_error("set: out of memory");
		return EXIT_FAILED;
	}
	json_init(&json, stdout);
	/* A limit of the size of files is told like a full disk. */
	signal(SIGXFSZ, SIG_IGN);
	status = check_usage(args, invocation->n_operands);
	if (status != EXIT_DONE)
		return status;
	if (args->history)
		return set_history(invocation->json ? &json : NULL);
	*job = (struct set_job){
		.args = args,
		.who = "set",
		.verbose_rows = args->verbose,
		.wants_rows = args->verbose || args->dry_run || invocation->json,
		.netns = TCPKEEP_NETNS_OWN,
		.json = invocation->json ? &json : NULL,
	};
	status = parse_options(job);
	if (status == EXIT_DONE)
		status = args->undo ? set_undo(job, invocation) : run_set(job, invocation);
	set_job_clear(job);
	return status;
}

const struct command command_set = {
	.name = "set",
	.summary = "change the keepalive of open sockets, in any process; and undo it",
	.synopsis = "SETTINGS SELECTOR...|all [OPTION...]",
	.about =
		"Gives sockets that are already open new keepalive values, without a restart. The settings say\n"
		"what, the selectors say which; \"all\" is every socket of this network namespace.\n"
		"  Settings: time= intvl= probes= user-timeout= on off\n"
		"  Selectors: as of tcpkeep list: peer=:5432 program=nginx keepalive=off ...\n"
		"Values turn keepalive on; \"off\" turns it off. Listeners pass on what they have to what they\n"
		"accept. A socket that is long silent gets a full time before its first probe. Nothing is done\n"
		"that would end a healthy connection: many sockets are changed slowly enough for their probes\n"
		"not to pile up. The old values are kept for --undo.",
	.examples =
		"  tcpkeep set peer=:5432 time=60 intvl=10 probes=6 --dry-run  see first\n"
		"  tcpkeep set program=nginx keepalive=off time=10m            what is off\n"
		"  tcpkeep set all --all-netns user-timeout=2m                 everywhere\n"
		"  tcpkeep set --undo                                          the old values\n"
		"  tcpkeep set --history                                       what can be undone",
	.options = options,
	.n_options = ARRAY_SIZE(options),
	.args_size = sizeof(struct set_args),
	.operands = COMPLETES_SETTINGS_SELECTORS,
	.has_json = true,
	.run = run,
};
