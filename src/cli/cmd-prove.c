/* SPDX-License-Identifier: MIT */
/* tcpkeep prove: the proof, on this very kernel. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <tcpkeep.h>

#include "cli.h"
#include "lab/lab.h"
#include "prove-report.h"
#include "prove/prove.h"
#include "prove/stage.h"

struct prove_args {
	bool enforce;
};

static const struct option options[] = {
	{.name = "enforce",
	 .help = "the client cannot undo the settings (tcpkeep run --enforce)",
	 .kind = OPTION_FLAG,
	 .target = offsetof(struct prove_args, enforce)},
};

struct play {
	const struct prove_plan *plan;
	bool json;
};

/* It needs namespaces, nft and connection tracking; what helps a user does not. */
static int fail_lacking(int r, const struct tcpkeep_error *error)
{
	prove_clear_progress();
	if (r == -ENOMEM || r == -EMFILE || r == -ENFILE) {
		say_error("prove: %s", error->message);
		return EXIT_FAILED;
	}
	say_error(
		"prove: %s; what works without it: 'tcpkeep run', 'tcpkeep sysctl', 'tcpkeep explain'",
		error->message);
	return EXIT_LACKING;
}

static int play(int stop, void *userdata)
{
	const struct play *play = userdata;
	struct tcpkeep_error error = {0};
	struct prove_result result;
	int r;

	r = prove_run(play->plan, stop, prove_print_progress, NULL, &result, &error);
	if (r < 0)
		return fail_lacking(r, &error);
	prove_clear_progress();
	if (result.interrupted) {
		say_error("prove: interrupted; nothing is left behind");
		return EXIT_FAILED;
	}
	if (result.not_started) {
		say_error("prove: %s", error.message);
		if (!play->plan->command)
			return EXIT_FAILED;
		return result.not_started == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	}
	if (play->json)
		prove_print_json(play->plan, &result);
	else
		prove_print_text(play->plan, &result);
	return finish_output(prove_result_is_good(&result) ? EXIT_DONE : EXIT_FAILED);
}

static bool mentions(char *const *words, const char *text)
{
	for (; *words; words++)
		if (strstr(*words, text))
			return true;
	return false;
}

static int check_command(char *const *command)
{
	if (!command)
		return EXIT_DONE;
	if (!command[0]) {
		say_error(
			"prove: no command after '--'; write 'tcpkeep prove -- nc {host} {port}', or no '--'");
		return EXIT_USAGE;
	}
	if (!mentions(command, "{host}"))
		say_warning(
			"no word of the command contains {host}, the server's address (" PROVE_HOST
			"): does it connect there?");
	return EXIT_DONE;
}

/* As if this process had not caught it. */
static void end_by(int sig)
{
	signal(sig, SIG_DFL);
	raise(sig);
}

static int run(const struct invocation *invocation)
{
	const struct prove_args *args = invocation->args;
	struct tcpkeep_settings settings = {0};
	struct tcpkeep_error error = {0};
	struct prove_plan plan;
	int r, sig = 0;

	r = parse_settings_operands(invocation, TCPKEEP_SCOPE_SOCKET, &settings);
	if (r != EXIT_DONE)
		return r;
	r = check_command(invocation->rest);
	if (r != EXIT_DONE)
		return r;
	r = prove_plan_make(&settings, &plan, &error);
	if (r < 0) {
		say_error("prove: %s", error.message);
		return r == -E2BIG || r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
	}
	plan.command = invocation->rest;
	plan.enforce = args->enforce;

	r = lab_enter(&error);
	if (r < 0)
		return fail_lacking(r, &error);
	r = stage_run(play, &(struct play){&plan, invocation->json}, &sig, &error);
	if (sig)
		end_by(sig);
	if (r < 0) {
		say_error("prove: %s", error.message);
		return EXIT_FAILED;
	}
	return r;
}

const struct command command_prove = {
	.name = "prove",
	.summary = "prove it on this kernel: a connection kept, a dead peer noticed",
	.synopsis = "[SETTINGS...] [--enforce] [--json] [-- COMMAND...]",
	.about =
		"Makes private networks that nothing else sees: a client, a router, a server. Behind a NAT that\n"
		"forgets silent connections, and with a server that vanishes, it runs a client that sets no\n"
		"keepalive, without and with 'tcpkeep run', and shows both side by side; then the times that the\n"
		"model predicts beside those that this kernel took. It takes some 11 seconds, needs no root, and\n"
		"leaves nothing behind.\n"
		"\n"
		"With COMMAND it does so to a client of yours: the words {host} and {port} become the server's,\n"
		"which accepts connections on every port and stays silent. SETTINGS are short ones (time=2\n"
		"intvl=1 probes=3), so that all is over in 40 seconds.",
	.examples = "  tcpkeep prove\n"
		    "  tcpkeep prove time=3 intvl=2 probes=2\n"
		    "  tcpkeep prove -- nc {host} {port}\n"
		    "  tcpkeep prove -- psql -h {host} -p {port} -w postgres",
	.options = options,
	.n_options = sizeof(options) / sizeof(options[0]),
	.args_size = sizeof(struct prove_args),
	.operands = COMPLETES_SETTINGS,
	.has_json = true,
	.takes_rest = true,
	.run = run,
};
