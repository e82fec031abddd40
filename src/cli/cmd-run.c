/* SPDX-License-Identifier: MIT */
/* tcpkeep run: a program's sockets get keepalive, without the program knowing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/nearest.h"
#include "cli.h"
#include "inject/preload.h"
#include "inject/program.h"
#include "inject/report.h"
#include "inject/supervise.h"
#include "output/json.h"

struct run_args {
	bool enforce;
	bool report;
	bool verbose;
	const char *method;
};

static const struct option options[] = {
	{"enforce", NULL, "the program cannot change or undo the settings", OPTION_FLAG,
	 offsetof(struct run_args, enforce), COMPLETES_NOTHING},
	{"report", NULL, "tell at exit how many sockets were set (with --json: as JSON)",
	 OPTION_FLAG, offsetof(struct run_args, report), COMPLETES_NOTHING},
	{"method", "METHOD", "how the program is reached; this version has preload", OPTION_TEXT,
	 offsetof(struct run_args, method), COMPLETES_CHOICES, .choices = "preload"},
	{"verbose", NULL, "say what is done before it is done", OPTION_FLAG,
	 offsetof(struct run_args, verbose), COMPLETES_NOTHING},
};

/* What is meant when nothing is said. No user timeout: it also kills healthy peers that read
 * slowly. */
static const struct tcpkeep_settings defaults = TCPKEEP_SETTINGS(60, 10, 6);

/* --------------------------------------------------------------------------- the arguments */

static int check_method(const struct run_args *args)
{
	static const char *const methods[] = {"preload"};
	static const char *const later[] = {"bpf", "seccomp"};
	char shown[64];

	if (!args->method || strcmp(args->method, methods[0]) == 0)
		return EXIT_DONE;
	for (size_t i = 0; i < ARRAY_SIZE(later); i++)
		if (strcmp(args->method, later[i]) == 0) {
			say_error(
				"run: method %s: this version does not have it; use preload, which "
				"reaches every dynamically linked program",
				later[i]);
			return EXIT_LACKING;
		}
	say_error("run: unknown method '%s'; the method is preload",
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

static int read_arguments(const struct invocation *invocation, struct plan *ret)
{
	const struct run_args *args = invocation->args;
	struct plan plan = {.enforce = args->enforce};
	int status;

	if (!invocation->rest || !invocation->rest[0]) {
		say_error(
			"run: no command; write: tcpkeep run [SETTINGS] -- COMMAND [ARGUMENT...]");
		return EXIT_USAGE;
	}
	if (invocation->json && !args->report) {
		say_error("run: --json is the form of the report; add --report");
		return EXIT_USAGE;
	}
	status = check_method(args);
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

static int fail_privileged(const struct program *program, const char *path)
{
	const char *slash = strrchr(program->path, '/');
	const char *name = slash ? slash + 1 : program->path;

	if (strcmp(name, "sudo") == 0 || strcmp(name, "doas") == 0)
		say_error(
			"run: %s gains privileges, and the dynamic loader then ignores LD_PRELOAD; "
			"put it in front: %s tcpkeep run ... -- COMMAND",
			path, name);
	else
		say_error(
			"run: %s gains privileges (setuid, setgid or capabilities), and the dynamic "
			"loader then ignores LD_PRELOAD; run it as the user that it becomes, or give "
			"keepalive to its peer",
			path);
	return EXIT_LACKING;
}

/* Says why the preload library would not get in. */
static int judge_program(const struct program *program)
{
	char command[SHOWN_MAX], path[SHOWN_MAX], detail[SHOWN_MAX];

	shown_path(program->command, command);
	shown_path(program->path, path);
	switch (program->verdict) {
	case PROGRAM_FITS:
		return EXIT_DONE;
	case PROGRAM_NOT_FOUND:
		if (strcmp(command, path) == 0)
			say_error("run: %s: command not found", command);
		else
			say_error("run: %s: its interpreter %s is not there", command, path);
		return EXIT_NOT_FOUND;
	case PROGRAM_NOT_EXECUTABLE:
		say_error("run: %s: cannot be executed: %s", path, strerror(program->error));
		return EXIT_NOT_EXECUTABLE;
	case PROGRAM_STATIC:
		say_error(
			"run: %s is statically linked: no dynamic loader, so nothing can be "
			"preloaded; use a dynamically linked build, or set keepalive in the program",
			path);
		return EXIT_LACKING;
	case PROGRAM_GO:
		say_error(
			"run: %s is a Go program: it calls the kernel past the C library, so nothing "
			"preloaded sees its sockets; Go sets keepalive itself (net.KeepAliveConfig)",
			path);
		return EXIT_LACKING;
	case PROGRAM_OTHER_LIBC:
		say_error("run: %s is loaded by %s, another C library than that of tcpkeep; "
			  "use a tcpkeep that was built with that library",
			  path, shown_path(program->detail, detail));
		return EXIT_LACKING;
	case PROGRAM_OTHER_MACHINE:
		say_error("run: %s is for another processor or word size than tcpkeep; "
			  "use a tcpkeep that was built for it",
			  path);
		return EXIT_LACKING;
	case PROGRAM_PRIVILEGED:
		return fail_privileged(program, path);
	}
	return EXIT_FAILED;
}

static int fail_exec(const char *command, int r)
{
	char shown[SHOWN_MAX];

	say_error("run: %s: cannot be executed: %s", shown_path(command, shown), strerror(-r));
	return r == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/* ------------------------------------------------------------------------------ the report */

/* What setsockopt() can say; not every C library has strerrorname_np(). */
static const char *errno_name(int number, char buf[32])
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
		{EACCES, "EACCES"},   {EBADF, "EBADF"},       {EINVAL, "EINVAL"},
		{ENOBUFS, "ENOBUFS"}, {ENOMEM, "ENOMEM"},     {ENOPROTOOPT, "ENOPROTOOPT"},
		{ENOSYS, "ENOSYS"},   {ENOTSOCK, "ENOTSOCK"}, {EOPNOTSUPP, "EOPNOTSUPP"},
		{EPERM, "EPERM"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].number == number)
			return names[i].name;
	snprintf(buf, 32, "unknown(%d)", number);
	return buf;
}

static uint64_t sockets_set(const struct report *report)
{
	return report->connected + report->accepted + report->listening + report->inherited;
}

static void report_as_text(const struct report *report, const struct plan *plan)
{
	char text[TCPKEEP_SETTINGS_TEXT_MAX], refused[256] = "", name[32];
	size_t n = 0;

	tcpkeep_settings_format(&plan->settings, text, sizeof(text));
	for (int i = 0; i < REPORT_ERRORS && report->errors[i].number; i++)
		n += (size_t)snprintf(refused + n, sizeof(refused) - n, "%s%u %s", n ? ", " : ": ",
				      report->errors[i].count,
				      errno_name(report->errors[i].number, name));
	fprintf(stderr,
		"tcpkeep: %llu sockets set to %s: connected %llu, accepted %llu, listening %llu, inherited %llu\n"
		"tcpkeep: %llu left alone, as the program wanted them; %llu options refused%s; programs: %llu\n",
		(unsigned long long)sockets_set(report), text,
		(unsigned long long)report->connected, (unsigned long long)report->accepted,
		(unsigned long long)report->listening, (unsigned long long)report->inherited,
		(unsigned long long)report->left_alone, (unsigned long long)report->refused,
		refused, (unsigned long long)report->programs);
	if (plan->enforce)
		fprintf(stderr,
			"tcpkeep: enforced: %llu calls of the program that change them were withheld\n",
			(unsigned long long)report->withheld);
}

static void report_settings(struct json *json, const struct tcpkeep_settings *settings)
{
	json_begin_object(json, "settings");
	json_bool(json, "on", settings->on);
	if (settings->fields & TCPKEEP_TIME)
		json_int(json, "time_s", settings->time_s);
	if (settings->fields & TCPKEEP_INTVL)
		json_int(json, "intvl_s", settings->intvl_s);
	if (settings->fields & TCPKEEP_PROBES)
		json_int(json, "probes", settings->probes);
	if (settings->fields & TCPKEEP_USER_TIMEOUT)
		json_int(json, "user_timeout_ms", settings->user_timeout_ms);
	json_end_object(json);
}

static void report_as_json(const struct report *report, const struct plan *plan)
{
	struct json json;
	char name[32];

	/* Standard output is the program's. */
	json_init(&json, stderr);
	json_begin_object(&json, NULL);
	json_string(&json, "schema", "tcpkeep.run-report/1");
	report_settings(&json, &plan->settings);
	json_string(&json, "mode", plan->enforce ? "enforce" : "default");
	json_uint(&json, "programs", report->programs);
	json_uint(&json, "set", sockets_set(report));
	json_uint(&json, "connected", report->connected);
	json_uint(&json, "accepted", report->accepted);
	json_uint(&json, "listening", report->listening);
	json_uint(&json, "inherited", report->inherited);
	json_uint(&json, "left_alone", report->left_alone);
	json_uint(&json, "withheld", report->withheld);
	json_uint(&json, "refused", report->refused);
	json_begin_object(&json, "errors");
	for (int i = 0; i < REPORT_ERRORS && report->errors[i].number; i++)
		json_uint(&json, errno_name(report->errors[i].number, name),
			  report->errors[i].count);
	json_end_object(&json);
	json_end_object(&json);
}

/* ------------------------------------------------------------------------------------- run */

static void say_verbosely(const char *library, const struct program *program,
			  const struct plan *plan)
{
	char text[TCPKEEP_SETTINGS_TEXT_MAX], path[SHOWN_MAX];

	tcpkeep_settings_format(&plan->settings, text, sizeof(text));
	fprintf(stderr, "tcpkeep: run: method preload, library %s\n", library);
	fprintf(stderr, "tcpkeep: run: program %s\n", shown_path(program->path, path));
	fprintf(stderr, "tcpkeep: run: settings %s, mode %s\n", text,
		plan->enforce ? "enforce" : "default");
}

/* Becomes the program: nothing of tcpkeep is left that could be in the way. */
static int run_alone(char *const argv[], const char *library, struct plan *plan)
{
	int r;

	plan->root = getpid();
	r = preload_set_environment(library, plan);
	if (r < 0) {
		say_error("run: cannot set the environment: %s", strerror(-r));
		return EXIT_FAILED;
	}
	execvp(argv[0], argv);
	return fail_exec(argv[0], -errno);
}

struct announcement {
	const char *library;
	struct plan *plan;
};

/* In the child, which alone knows its number. */
static int announce(void *userdata)
{
	const struct announcement *announcement = userdata;

	announcement->plan->root = getpid();
	return preload_set_environment(announcement->library, announcement->plan);
}

static int fail_report(int r)
{
	if (r == -EFBIG) {
		say_error("run: --report: the limit of file sizes (ulimit -f) leaves no room for "
			  "the counters; raise it or run without --report");
		return EXIT_FAILED;
	}
	say_error("run: --report: no memory for the counters: %s; try without it", strerror(-r));
	return EXIT_LACKING;
}

static int run_reported(char *const argv[], const char *library, struct plan *plan, bool json)
{
	struct announcement announcement = {library, plan};
	struct report *report;
	int fd, status, r;

	fd = report_create(&report, &plan->report);
	if (fd < 0)
		return fail_report(fd);
	r = supervise(argv, announce, &announcement, &status);
	if (r < 0)
		return fail_exec(argv[0], r);
	if (json)
		report_as_json(report, plan);
	else
		report_as_text(report, plan);
	supervise_end_as(status);
}

static int run(const struct invocation *invocation)
{
	const struct run_args *args = invocation->args;
	static struct program program;
	struct tcpkeep_error error;
	char library[PATH_MAX];
	struct plan plan;
	int status;

	status = read_arguments(invocation, &plan);
	if (status != EXIT_DONE)
		return status;
	if (preload_find(library, &error) < 0) {
		say_error("run: %s", error.message);
		return EXIT_LACKING;
	}
	program_inspect(invocation->rest, &program);
	status = judge_program(&program);
	if (status != EXIT_DONE)
		return status;
	say_settings_warnings(&plan.settings);
	if (program.drops_environment)
		say_warning(
			"run: env -i removes LD_PRELOAD as well, so that what it starts runs "
			"without keepalive; put it in front: env -i ... tcpkeep run -- COMMAND");
	if (args->verbose)
		say_verbosely(library, &program, &plan);
	if (args->report)
		return run_reported(invocation->rest, library, &plan, invocation->json);
	return run_alone(invocation->rest, library, &plan);
}

const struct command command_run = {
	.name = "run",
	.summary = "run a program whose TCP sockets get keepalive",
	.synopsis = "[SETTINGS] [--enforce] [--report [--json]] -- COMMAND [ARGUMENT...]",
	.about =
		"Every TCP socket that the program and its children connect, accept, listen on or inherit gets\n"
		"the settings. What the program sets itself stands, value by value, and a socket on which it\n"
		"turns keepalive off is left alone; with --enforce ours hold and its calls are told success.\n"
		"\n"
		"Without settings: time=60 intvl=10 probes=6. Values that are not given are taken from these;\n"
		"no user-timeout is set unless you give one. The program is reached by a preloaded library:\n"
		"static, Go and setuid programs are out of its reach and are refused (exit 4).",
	.examples =
		"  tcpkeep run -- psql -h db                       after a minute of silence\n"
		"  tcpkeep run time=30 intvl=5 -- ssh host         shorter\n"
		"  tcpkeep run --enforce --report -- java -jar x   whatever it sets itself; count\n"
		"  tcpkeep run off --enforce -- ./chatty           never",
	.options = options,
	.n_options = ARRAY_SIZE(options),
	.args_size = sizeof(struct run_args),
	.operands = COMPLETES_SETTINGS,
	.has_json = true,
	.takes_rest = true,
	.run = run,
};
