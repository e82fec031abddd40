/* SPDX-License-Identifier: MIT */
/* What --help prints, from the tables of commands and options, filled to the width that every
 * terminal has. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "options.h"

#define HELP_WIDTH 80

/* Where the next word goes: fills lines, each after the first behind an indent. */
struct filler {
	size_t indent;
	size_t at;
};

static void fill(struct filler *filler, const char *words, size_t len)
{
	while (len > 0) {
		size_t word = MIN(strcspn(words, " \n"), len);

		if (word > 0 && filler->at > filler->indent) {
			bool fits = filler->at + 1 + word <= HELP_WIDTH;

			if (fits)
				putchar(' ');
			else
				printf("\n%*s", (int)filler->indent, "");
			filler->at = fits ? filler->at + 1 : filler->indent;
		}
		fwrite(words, 1, word, stdout);
		filler->at += word;
		word += word < len;
		words += word;
		len -= word;
	}
}

/* A text of paragraphs: lines that begin with a blank stand as they are, the others are filled. */
static void print_about(const char *text)
{
	struct filler filler = {0};

	while (*text) {
		size_t len = strcspn(text, "\n");

		if (*text == ' ' || len == 0) {
			printf("%s%.*s\n", filler.at > 0 ? "\n" : "", (int)len, text);
			filler.at = 0;
		} else {
			fill(&filler, text, len);
		}
		text += len + (text[len] == '\n');
	}
	if (filler.at > 0)
		putchar('\n');
}

static void print_option(const struct option *option)
{
	const char *word = option->metavar ? option->metavar : option->joins_operand;
	struct filler filler = {0};
	char left[48];

	if (option->short_name)
		snprintf(left, sizeof(left), "-%c, --%s %s", option->short_name, option->name,
			 word ? word : "");
	else
		snprintf(left, sizeof(left), "--%s%s%s", option->name, word ? " " : "",
			 word ? word : "");
	filler.indent = filler.at = (size_t)printf("  %-20s  ", left);
	fill(&filler, option->help, strlen(option->help));
	putchar('\n');
}

/* The words after "Usage:": a second line stands under the arguments. */
static void print_usage(const struct command *command)
{
	struct filler filler = {0};

	filler.at = (size_t)printf("Usage: tcpkeep %s", command->name);
	filler.indent = filler.at + 1;
	if (filler.at + 1 + strlen(command->synopsis) <= HELP_WIDTH) {
		printf(" %s\n\n", command->synopsis);
		return;
	}
	putchar(' ');
	filler.at = filler.indent;
	fill(&filler, command->synopsis, strlen(command->synopsis));
	fputs("\n\n", stdout);
}

void help_print(const struct command *command)
{
	const struct option json = options_json_of(command);

	print_usage(command);
	print_about(command->about);
	fputs("\nOptions:\n", stdout);
	for (size_t i = 0; i < command->n_options; i++)
		print_option(&command->options[i]);
	if (command->has_json)
		print_option(&json);
	print_option(&option_help);
	printf("\nExamples:\n%s\n\nThe whole story: man tcpkeep-%s; about keepalive: man 7 tcpkeep\n",
	       command->examples, command->name);
}

void help_print_overview(void)
{
	printf("Usage: tcpkeep COMMAND [ARGUMENT...]\n\n"
	       "TCP keepalive on Linux: see it, set it, prove it.\n\nCommands:\n");
	for (size_t i = 0; i < n_commands; i++)
		printf("  %-8s  %s\n", commands[i]->name, commands[i]->summary);
	printf("\nSettings are written  time=60 intvl=10 probes=6 user-timeout=2m  (and on, off).\n"
	       "\nOptions:\n"
	       "  --help     show this help; 'tcpkeep COMMAND --help' for one command\n"
	       "  --version  show the version\n"
	       "\nExit status: 0 done, 1 failed or \"no\", 2 usage, 3 partly done, 4 a privilege\n"
	       "or kernel feature is missing. Start here: tcpkeep prove; man 7 tcpkeep\n");
}
