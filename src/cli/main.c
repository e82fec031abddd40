/* SPDX-License-Identifier: MIT */
/* The table of commands, and the way from argv to one of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/nearest.h"
#include "cli.h"
#include "options.h"

const struct command *const commands[] = {
	&command_list,    &command_set, &command_policy, &command_sysctl,
	&command_explain, &command_run, &command_prove,
};
const size_t n_commands = ARRAY_SIZE(commands);

static int fail_unknown_command(const char *word)
{
	const char *names[ARRAY_SIZE(commands)];
	char shown[64];
	const char *hint;

	for (size_t i = 0; i < n_commands; i++)
		names[i] = commands[i]->name;
	escape_text(word, strlen(word), shown, sizeof(shown));
	hint = nearest(word, strlen(word), names, n_commands);
	if (hint)
		say_error("unknown command '%s'; did you mean '%s'?", shown, hint);
	else
		say_error("unknown command '%s'; see 'tcpkeep --help'", shown);
	return EXIT_USAGE;
}

static int run_command(const struct command *command, int argc, char **argv)
{
	_cleanup_free_ const char **operands = calloc((size_t)argc + 1, sizeof(*operands));
	_cleanup_free_ void *args = calloc(1, command->args_size + 1);
	struct invocation invocation = {.args = args};
	bool help = false;
	int status;

	if (!operands || !args) {
		say_error("out of memory");
		return EXIT_FAILED;
	}
	status = options_parse(command, argc, argv, &invocation, operands, &help);
	if (status != EXIT_DONE)
		return status;
	if (help) {
		help_print(command);
		return finish_output(EXIT_DONE);
	}
	return finish_output(command->run(&invocation));
}

/* "tcpkeep help", "tcpkeep help set" */
static int run_help(int argc, char **argv)
{
	if (argc == 2) {
		help_print_overview();
		return finish_output(EXIT_DONE);
	}
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(commands[i]->name, argv[2]) == 0) {
			help_print(commands[i]);
			return finish_output(EXIT_DONE);
		}
	return fail_unknown_command(argv[2]);
}

static int run_global_option(int argc, char **argv)
{
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help_print_overview();
	} else if (strcmp(argv[1], "--version") == 0) {
		printf("tcpkeep %s\n", tcpkeep_version());
	} else if (strcmp(argv[1], "--completion") == 0 && argc == 3) {
		/* For the build, which installs the scripts. */
		if (!options_print_completion(argv[2])) {
			say_error("--completion: no script for '%s'; there is bash, zsh and fish",
				  argv[2]);
			return EXIT_USAGE;
		}
	} else {
		say_error("unknown option '%s'; the options are --help and --version", argv[1]);
		return EXIT_USAGE;
	}
	return finish_output(EXIT_DONE);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		help_print_overview();
		return finish_output(EXIT_USAGE);
	}
	if (argv[1][0] == '-')
		return run_global_option(argc, argv);
	if (strcmp(argv[1], "help") == 0)
		return run_help(argc, argv);
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(commands[i]->name, argv[1]) == 0)
			return run_command(commands[i], argc - 1, argv + 1);
	return fail_unknown_command(argv[1]);
}
