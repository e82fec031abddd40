/* SPDX-License-Identifier: MIT */
/* The command line against the option table. */
#pragma once

#include "cli.h"

/* What every command has, and what those have that say so. */
extern const struct option option_help, option_json;

/* --json, as this command helps with it. */
struct option options_json_of(const struct command *command);

/*
 * Fills invocation->args (args_size zeroed bytes of the command), operands and rest from argv[1..].
 * operands has room for argc. Says what is wrong, with the nearest option, and returns EXIT_USAGE;
 * EXIT_DONE when all is well. *ret_help, *ret_version: asked for.
 */
int options_parse(const struct command *command, int argc, char **argv,
		  struct invocation *invocation, const char **operands, bool *ret_help);

/* --help of one command, and of tcpkeep: help.c. */
void help_print(const struct command *command);
void help_print_overview(void);

/* The completion script (completion.c) for "bash", "zsh" or "fish" on stdout; false for another
 * shell. */
bool options_print_completion(const char *shell);
