/* SPDX-License-Identifier: MIT */
/* tcpkeep run: a program's sockets get keepalive, without the program knowing. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "base/escape.h"
#include "cli.h"
#include "inject/inherited.h"
#include "inject/method.h"
#include "inject/preload.h"
#include "inject/program.h"
#include "inject/report-offer.h"
#include "inject/report.h"
#include "inject/supervise.h"
#include "run-report.h"

struct run_args {
	bool enforce;
	bool report;
	bool verbose;
	const char *method;
};

static const struct option options[] = {
	{"enforce", NULL, "the program cannot change or undo the settings", OPTION_FLAG,
	 offsetof(struct run_args, enforce), COMPLETES_NOTHING},
	{"report", NULL, "tell at exit how many sockets were set, on stderr (with --json: as JSON)",
	 OPTION_FLAG, offsetof(struct run_args, report), COMPLETES_NOTHING},
	{"method", "METHOD", "how the program is reached; default auto: the one that misses least",
	 OPTION_TEXT, offsetof(struct run_args, method), COMPLETES_CHOICES,
	 .choices = "auto bpf preload seccomp"},
	{"verbose", NULL, "say first which method was chosen, why, and what it misses", OPTION_FLAG,
	 offsetof(struct run_args, verbose), COMPLETES_NOTHING, .short_name = 'v'},
};

/* What is meant when nothing is said. No user timeout: it also kills healthy peers that read
 * slowly. */
static const struct tcpkeep_settings defaults = TCPKEEP_SETTINGS(60, 10, 6);

/* --------------------------------------------------------------------------- the arguments */

/* NULL in *ret: choose. */
static int find_method(const struct run_args *args, const struct method **ret)
{
	char shown[64];

	*ret = NULL;
	if (!args->method || strcmp(args->method, "auto") == 0)
		return EXIT_DONE;
	*ret = method_find(args->method);
	if (*ret)
		return EXIT_DONE;
	say_error("run: unknown method '%s'; accepted: auto, bpf, preload, seccomp",
		  escape_text(args->method, strlen(args->method), shown, sizeof(shown)));
	return EXIT_USAGE;
}

/* Fills in what was not said, and refuses what asks for nothing. */
static int complete_settings(const struct run_args *args, struct tcpkeep_settings *settings)
{
	struct tcpkeep_settings whole = defaults;

	if (settings->fields & TCPKEEP_ON && !settings->on) {
		if (args->enforce)
			return EXIT_DONE;
		say_error("run: off: a program's own choice stands unless it is overruled; "
			  "add --enforce to keep keepalive off");
		return EXIT_USAGE;
	}
	tcpkeep_settings_merge(&whole, settings);
	*settings = whole;
	return EXIT_DONE;
}

/* As a user means it: one with a typo in it is a setting, too. */
static bool looks_like_setting(const char *word)
{
	return strchr(word, '=') || strcmp(word, "on") == 0 || strcmp(word, "off") == 0;
}

/* "FOO=1": as in front of a command in a shell, and with no name of ours. */
static bool assigns_variable(const char *word)
{
	size_t len = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");

	return len > 0 && word[len] == '=';
}

/* "time=60 -- python3 ...": what was typed, with the "--" in its place. */
static int fail_command(const struct invocation *invocation, bool more)
{
	char text[200], shown[64];
	size_t n = 0, i = 0;

	text[0] = '\0';
	for (; i < invocation->n_operands && looks_like_setting(invocation->operands[i]); i++) {
		const char *word = invocation->operands[i];

		escape_text(word, strlen(word), shown, sizeof(shown));
		if (n + strlen(shown) + 2 < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s ", shown);
	}
	if (i == invocation->n_operands || invocation->rest)
		say_error("run: no command; write: tcpkeep run %s-- COMMAND [ARGUMENT...]",
			  n ? text : "[SETTINGS] ");
	else
		say_error("run: put \"--\" before the command: tcpkeep run %s-- %s%s", text,
			  escape_text(invocation->operands[i], strlen(invocation->operands[i]),
				      shown, sizeof(shown)),
			  more || i + 1 < invocation->n_operands ? " ..." : "");
	return EXIT_USAGE;
}

/* "run curl -s ...": the option is curl's. */
static bool tell_command(const struct invocation *invocation)
{
	for (size_t i = 0; i < invocation->n_operands; i++)
		if (!looks_like_setting(invocation->operands[i])) {
			fail_command(invocation, true);
			return true;
		}
	return false;
}

static int read_arguments(const struct invocation *invocation, struct plan *ret,
			  const struct method **ret_method)
{
	const struct run_args *args = invocation->args;
	struct plan plan = {.enforce = args->enforce};
	int status;

	if (!invocation->rest || !invocation->rest[0])
		return fail_command(invocation, false);
	if (invocation->json && !args->report) {
		say_error("run: --json is the form of the report; add --report");
		return EXIT_USAGE;
	}
	status = find_method(args, ret_method);
	if (status != EXIT_DONE)
		return status;
	status = parse_settings_operands(invocation, TCPKEEP_SCOPE_SOCKET, &plan.settings);
	if (status != EXIT_DONE)
		return status;
	status = complete_settings(args, &plan.settings);
	if (status != EXIT_DONE)
		return status;
	*ret = plan;
	return EXIT_DONE;
}

/* ----------------------------------------------------------------------------- the program */

#define SHOWN_MAX 256

static const char *shown_path(const char *path, char buf[SHOWN_MAX])
{
	return escape_text(path, strlen(path), buf, SHOWN_MAX);
}

/* What to do about a limit; "": nothing is known. */
static const char *remedy(int r)
{
	switch (r) {
	case -EMFILE:
	case -ENFILE:
		return "; raise the limit of descriptors (ulimit -n)";
	case -EAGAIN:
		return "; raise the limit of processes (ulimit -u, pids.max of the cgroup)";
	case -ENOMEM:
		return "; raise the limit of memory (ulimit -v, memory.max of the cgroup)";
	case -E2BIG:
		return "; shorten the arguments or the environment";
	}
	return "";
}

/* Can it be started at all? */
static int judge_program(const struct program *program)
{
	char command[SHOWN_MAX], path[SHOWN_MAX];

	shown_path(program->command, command);
	shown_path(program->path, path);
	switch (program->verdict) {
	case PROGRAM_NOT_FOUND:
		if (strcmp(command, path) == 0 && assigns_variable(program->command))
			say_error("run: %s: command not found; to set a variable for the program: "
				  "tcpkeep run -- env %s COMMAND [ARGUMENT...]",
				  command, command);
		else if (strcmp(command, path) == 0 && looks_like_setting(command))
			say_error("run: %s: command not found; settings stand before \"--\": "
				  "tcpkeep run %s -- COMMAND [ARGUMENT...]",
				  command, command);
		else if (strcmp(command, path) == 0)
			say_error("run: %s: command not found%s", *command ? command : "''",
				  strchr(command, '/') ? "" : "; give its path, or look at PATH");
		else
			say_error("run: %s: its interpreter %s is not there", command, path);
		return EXIT_NOT_FOUND;
	case PROGRAM_NOT_EXECUTABLE:
		say_error("run: %s: cannot be executed: %s%s", path, strerror(program->error),
			  remedy(-program->error));
		return EXIT_NOT_EXECUTABLE;
	default:
		return EXIT_DONE;
	}
}

/* No method reaches it: why, for each. */
static int fail_choice(const struct choice *choice, const struct program *program)
{
	char shown[SHOWN_MAX];

	for (size_t i = 0; i < choice->n_refused; i++)
		say_error("run: method %s: %s", choice->refused[i].method->name,
			  choice->refused[i].error.message);
	if (choice->n_refused > 1)
		say_error("run: %s does not run: no method reaches it",
			  shown_path(program->command, shown));
	return EXIT_LACKING;
}

static int fail_exec(const char *command, int r)
{
	char shown[SHOWN_MAX];

	if (r == -ECHILD) {
		say_error("run: %s: cannot be started inside a cgroup of its own; use another "
			  "--method",
			  shown_path(command, shown));
		return EXIT_LACKING;
	}
	say_error("run: %s: cannot be executed: %s%s", shown_path(command, shown), strerror(-r),
		  remedy(r));
	return r == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/* ------------------------------------------------------------------------------------- run */

static void say_verbosely(const struct choice *choice, const struct method_run *run)
{
	const struct method *method = choice->order[0];
	char text[TCPKEEP_SETTINGS_TEXT_MAX], path[SHOWN_MAX], library[PATH_MAX];
	bool preloads = strcmp(method->name, "preload") == 0 && preload_find(library, NULL) == 0;

	tcpkeep_settings_format(&run->plan.settings, text, sizeof(text));
	say_note("run: method %s%s%s: %s", method->name, preloads ? ", library " : "",
		 preloads ? library : "", choice->why[0]);
	say_note("run: out of its reach: %s", method->misses());
	for (size_t i = 1; i < choice->n; i++)
		say_note("run: not method %s: %s: %s", choice->order[i]->name,
			 method_why_behind(choice, i), choice->order[i]->misses());
	/* Without the advice: another method does it. */
	for (size_t i = 0; i < choice->n_refused; i++)
		say_note("run: not method %s: %.*s", choice->refused[i].method->name,
			 (int)strcspn(choice->refused[i].error.message, ";"),
			 choice->refused[i].error.message);
	/* Of a program that starts others it has been a warning. */
	if (method_takes_privileges(method) && !run->program->starts_others)
		say_note("run: without CAP_SYS_ADMIN the kernel wants no_new_privs: setuid "
			 "programs that it starts (sudo, su, ping) run without their powers");
	say_note("run: program %s", shown_path(run->program->path, path));
	say_note("run: settings %s, mode %s", text, run->plan.enforce ? "enforce" : "default");
}

/* What the user would not expect. */
static void say_method_warnings(const struct choice *choice, const struct program *program,
				bool forced, bool verbose)
{
	const char *dropper = program->drops_environment;
	bool preloads = strcmp(choice->order[0]->name, "preload") == 0;
	unsigned waiting = preloads ? 0 : inherited_waiting();

	if (preloads && dropper)
		say_warning("run: %s removes LD_PRELOAD as well, so that what it starts runs "
			    "without keepalive; put it in front: %s ... tcpkeep run -- COMMAND",
			    dropper, dropper);
	else if (preloads && program->starts_others)
		say_warning(
			"run: static, Go and setuid programs that it starts run without "
			"keepalive; --method seccomp reaches the static and Go ones, root all%s",
			forced || verbose ? "" : " (-v tells why it was not chosen)");
	if (waiting > 0)
		say_warning("run: connections that wait to be accepted from an inherited listener: "
			    "%u, older than the settings and left without keepalive%s",
			    waiting,
			    program->verdict == PROGRAM_FITS ? "; --method preload sets them" : "");
	if (program->starts_others && method_takes_privileges(choice->order[0]))
		say_warning(
			"run: setuid programs that it starts (sudo, su, ping) run without their "
			"powers (no_new_privs); without that: run tcpkeep as root, or "
			"--method preload");
}

struct start {
	const struct choice *choice;
	struct method_run *run;
	char *const *argv;
	int offer; /* of the report, to programs that cannot open it */
};

/* In the process that is to execute the program. */
static int enter(const struct start *start)
{
	struct tcpkeep_error error;

	if (method_enter(start->choice, start->run, &error) == 0)
		return EXIT_DONE;
	say_error("run: %s", error.message);
	return EXIT_LACKING;
}

/* Becomes the program: nothing of tcpkeep is left that could be in the way. */
static int run_alone(const struct start *start)
{
	int status = enter(start);

	if (status == EXIT_DONE)
		status = fail_exec(start->argv[0],
				   program_execute(start->run->program, start->argv));
	method_finish(start->run);
	return status;
}

/*
 * sd_listen_fds(3), sd_watchdog_enabled(3): what systemd passes is for the process that it started,
 * by its number, and that is the program from here on.
 */
static void pass_on(const char *variable)
{
	const char *value = getenv(variable);
	char parent[16], own[16];

	snprintf(parent, sizeof(parent), "%d", getppid());
	snprintf(own, sizeof(own), "%d", getpid());
	if (!value || strcmp(value, parent) != 0)
		return;
	setenv(variable, own, 1);
	unsetenv("LISTEN_PIDFDID"); /* the same by another number; may be missing */
}

/* In the child, which has said why. */
static int execute_child(void *userdata)
{
	const struct start *start = userdata;
	int status;

	pass_on("LISTEN_PID");
	pass_on("WATCHDOG_PID");
	status = enter(start);
	if (status != EXIT_DONE)
		_exit(status);
	return program_execute(start->run->program, start->argv);
}

/* A program asks for the report. */
static void answer(void *userdata)
{
	const struct start *start = userdata;

	report_hand_out(start->offer, &start->run->plan.report);
}

/* Only a preloaded program counts by itself. Without it, those of other users are not counted. */
static int offer_report(const struct choice *choice, const struct plan *plan)
{
	for (size_t i = 0; i < choice->n; i++)
		if (strcmp(choice->order[i]->name, "preload") == 0)
			return report_offer(&plan->report);
	return -1;
}

/* Behind the terminal's own ^C, which nobody has ended the line of. */
static void leave_line_of_key(int status)
{
	int by = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) - 128;

	if ((by == SIGINT || by == SIGQUIT) && isatty(STDERR_FILENO))
		fputc('\n', stderr);
}

/* Stays beside the program, to report. */
static int run_beside(struct start *start, bool json)
{
	struct method_run *run = start->run;
	struct supervise_with with = {
		.cgroup = method_cgroup(run),
		.execute = execute_child,
		.watched = start->offer = offer_report(start->choice, &run->plan),
		.on_watched = answer,
		.userdata = start,
	};
	int status, r;

	r = supervise(&with, &status);
	method_finish(run);
	if (r < 0)
		return fail_exec(start->argv[0], r);
	leave_line_of_key(status);
	run_report_print(run->report, &run->plan, json);
	supervise_end_as(status);
}

static int run(const struct invocation *invocation)
{
	const struct run_args *args = invocation->args;
	static struct program program;
	struct method_run one = {.program = &program};
	const struct method *forced = NULL;
	static struct choice choice;
	struct start start = {&choice, &one, invocation->rest, -1};
	int status;

	status = read_arguments(invocation, &one.plan, &forced);
	if (status != EXIT_DONE)
		return status;
	program_inspect(invocation->rest, &program);
	status = judge_program(&program);
	if (status != EXIT_DONE)
		return status;
	if (args->report) {
		int fd = report_create(&one.report, &one.plan.report);

		if (fd < 0)
			return run_report_fail(fd);
	}
	method_choose(&program, forced, &choice);
	method_prepare(&choice, &one);
	if (choice.n == 0)
		return fail_choice(&choice, &program);
	say_settings_warnings(&one.plan.settings);
	say_method_warnings(&choice, &program, forced != NULL, args->verbose);
	if (args->verbose)
		say_verbosely(&choice, &one);
	if (args->report)
		return run_beside(&start, invocation->json);
	return run_alone(&start);
}

const struct command command_run = {
	.name = "run",
	.summary = "run a program whose TCP sockets get keepalive",
	.synopsis = "[SETTINGS] [--enforce] [--report [--json]] -- COMMAND [ARGUMENT...]",
	.about =
		"Every TCP socket that the program and its children connect, accept, listen on or inherit gets\n"
		"the settings. What the program sets itself stands, value by value, and a socket on which it\n"
		"turns keepalive off is left alone; with --enforce the settings hold, and what the program sets\n"
		"is told success and not done.\n"
		"The command, with its own options, stands behind \"--\"; tcpkeep ends with its exit status.\n"
		"\n"
		"Without settings: time=60 intvl=10 probes=6. Values that are not given are taken from these;\n"
		"no user-timeout is set unless you give one; 'tcpkeep explain' tells what the values mean. For\n"
		"root the kernel does it, in a cgroup of the program's own (method bpf); for others a library\n"
		"inside of dynamically linked programs (preload), or a supervisor outside of all others\n"
		"(seccomp); -v says which, why, and what is missed.",
	.examples = "  tcpkeep run -- psql -h db                       after a minute of silence\n"
		    "  tcpkeep run time=30 intvl=5 -- ssh host         shorter\n"
		    "  tcpkeep run --enforce -- redis-server           not the 300 s of its own\n"
		    "  tcpkeep run --report -- java -jar x             count what was set\n"
		    "  tcpkeep run off --enforce -- ./chatty           never",
	.options = options,
	.n_options = ARRAY_SIZE(options),
	.args_size = sizeof(struct run_args),
	.operands = COMPLETES_SETTINGS,
	.has_json = true,
	.json_help = "--report: as one JSON object",
	.takes_rest = true,
	.tell_command = tell_command,
	.run = run,
};
