/* SPDX-License-Identifier: MIT */
/* Completion scripts for the shells, made from the option table: nothing is written down twice. */
#include <stdio.h>
#include <string.h>

#include "options.h"

/* The words that settings start with; those that end in = want a value next. */
static const char *const setting_words[] = {
	"time=", "intvl=", "probes=", "user-timeout=", "on", "off"};

/* The words that selectors start with: src/sockets/selector.h. Not silent>, which a shell would
 * take as a redirection. */
static const char *const selector_words[] = {
	"pid=",  "program=", "user=",  "unit=",      "cgroup=",   "local=",
	"peer=", "state=",   "netns=", "keepalive=", "direction="};

/* Every socket: where changing none is not the same as changing all. */
static const char *const everything_words[] = {"all"};

static bool takes_everything(const struct command *command)
{
	return command->operands == COMPLETES_SETTINGS_SELECTORS;
}

static bool takes_selectors(const struct command *command)
{
	return command->operands == COMPLETES_SELECTORS ||
	       command->operands == COMPLETES_SETTINGS_SELECTORS;
}

/* How many of the words a command takes: the sysctls are the first three. */
static size_t n_setting_words(const struct command *command)
{
	if (command->operands == COMPLETES_SYSCTLS)
		return 3;
	return command->operands == COMPLETES_SETTINGS ||
			       command->operands == COMPLETES_SETTINGS_SELECTORS
		       ? ARRAY_SIZE(setting_words)
		       : 0;
}

/* ------------------------------------------------------------------------------------ bash */

/* The first column of a list: what follows a comma is left to the person. */
#define COLUMN_WORDS "$(tcpkeep list --columns 2>/dev/null | cut -d\" \" -f1)"

static const char *bash_action(enum completes completes)
{
	switch (completes) {
	case COMPLETES_COLUMNS:
		return "compgen -W \"" COLUMN_WORDS "\" -- \"$cur\"";
	case COMPLETES_FILES:
		return "compgen -f -- \"$cur\"";
	case COMPLETES_NETNS:
		return "compgen -W \"$(command ls /run/netns 2>/dev/null)\" -- \"$cur\"";
	case COMPLETES_PIDS:
		return "compgen -W \"$(cd /proc && printf '%s ' [0-9]*)\" -- \"$cur\"";
	case COMPLETES_COMMAND:
		return "compgen -c -- \"$cur\"";
	case COMPLETES_NOTHING:
	case COMPLETES_SETTINGS:
	case COMPLETES_SYSCTLS:
	case COMPLETES_SELECTORS:
	case COMPLETES_SETTINGS_SELECTORS:
	case COMPLETES_CHOICES:
		break;
	}
	return "true";
}

static void bash_value(const struct option *option)
{
	printf("\t\t");
	if (option->short_name)
		printf("-%c|", option->short_name);
	printf("--%s) COMPREPLY=($(", option->name);
	if (option->choices)
		printf("compgen -W \"%s\" -- \"$cur\"", option->choices);
	else
		fputs(bash_action(option->completes), stdout);
	printf(")); return ;;\n");
}

static void bash_command(const struct command *command)
{
	printf("\t%s)\n\t\twords=\"--help", command->name);
	if (command->has_json)
		printf(" --json");
	for (size_t i = 0; i < command->n_options; i++)
		printf(" --%s", command->options[i].name);
	for (size_t i = 0; i < n_setting_words(command); i++)
		printf(" %s", setting_words[i]);
	for (size_t i = 0; takes_selectors(command) && i < ARRAY_SIZE(selector_words); i++)
		printf(" %s", selector_words[i]);
	if (command->verbs)
		printf(" %s", command->verbs);
	if (takes_everything(command))
		printf(" %s", everything_words[0]);
	printf("%s\"\n\t\tcase $prev in\n", command->takes_rest ? " --" : "");
	for (size_t i = 0; i < command->n_options; i++)
		if (command->options[i].metavar)
			bash_value(&command->options[i]);
	printf("\t\tesac\n");
	/* After the verb comes the file, whose name does not begin with a dash. */
	if (command->verbs)
		printf("\t\tif [ \"$COMP_CWORD\" -gt 2 ] && [[ $cur != -* ]]; then\n"
		       "\t\t\tCOMPREPLY=($(%s)); return\n\t\tfi\n",
		       bash_action(command->operands));
	printf("\t\t;;\n");
}

static void print_bash(void)
{
	printf("# bash completion for tcpkeep, made from its option table\n"
	       "_tcpkeep()\n{\n\tlocal cur=$2 prev=$3 words= i\n\tCOMPREPLY=()\n"
	       "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\tCOMPREPLY=($(compgen -W \"--help --version");
	for (size_t i = 0; i < n_commands; i++)
		printf(" %s", commands[i]->name);
	printf("\" -- \"$cur\"))\n\t\treturn\n\tfi\n"
	       "\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	       "\t\tif [ \"${COMP_WORDS[i]}\" = -- ]; then\n"
	       "\t\t\tif declare -F _command_offset >/dev/null; then _command_offset $((i + 1));\n"
	       "\t\t\telse COMPREPLY=($(compgen -c -f -- \"$cur\")); fi\n"
	       "\t\t\treturn\n\t\tfi\n\tdone\n\tcase ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; i < n_commands; i++)
		bash_command(commands[i]);
	printf("\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	       "\t[[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null\n"
	       "\treturn 0\n}\ncomplete -F _tcpkeep tcpkeep\n");
}

/* ------------------------------------------------------------------------------------- zsh */

/* In a single-quoted _arguments spec: what zsh would read as syntax is escaped. */
static void zsh_escaped(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (strchr("[]:\\", *text))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static const char *zsh_action(enum completes completes)
{
	switch (completes) {
	case COMPLETES_FILES:
		return "_files";
	case COMPLETES_NETNS:
		return "_files -W /run/netns";
	case COMPLETES_PIDS:
		return "_pids";
	case COMPLETES_COMMAND:
		return "_command_names -e";
	case COMPLETES_COLUMNS:
		return "_tcpkeep_columns";
	case COMPLETES_NOTHING:
	case COMPLETES_SETTINGS:
	case COMPLETES_SYSCTLS:
	case COMPLETES_SELECTORS:
	case COMPLETES_SETTINGS_SELECTORS:
	case COMPLETES_CHOICES:
		break;
	}
	return " ";
}

static void zsh_spec(const char *dashes, const char *name, const struct option *option)
{
	printf(" \\\n\t\t\t'%s%s[", dashes, name);
	zsh_escaped(option->help);
	putchar(']');
	if (option->choices)
		printf(":%s:(%s)", option->metavar, option->choices);
	else if (option->metavar)
		printf(":%s:%s", option->metavar, zsh_action(option->completes));
	putchar('\'');
}

static void zsh_option(const struct option *option)
{
	const char short_name[] = {option->short_name, '\0'};

	if (option->short_name)
		zsh_spec("-", short_name, option);
	zsh_spec("--", option->name, option);
}

static void zsh_command(const struct command *command)
{
	const struct option json = options_json_of(command);

	printf("\t%s)\n\t\t_arguments -S", command->name);
	for (size_t i = 0; i < command->n_options; i++)
		zsh_option(&command->options[i]);
	if (command->has_json)
		zsh_option(&json);
	zsh_option(&option_help);
	if (n_setting_words(command) == 3)
		printf(" \\\n\t\t\t'*:setting:_tcpkeep_sysctls'");
	else if (takes_selectors(command) && n_setting_words(command) > 0)
		printf(" \\\n\t\t\t'*:setting or selector:{_tcpkeep_settings; _tcpkeep_selectors; "
		       "compadd -- %s}'",
		       everything_words[0]);
	else if (n_setting_words(command) > 0)
		printf(" \\\n\t\t\t'*:setting:_tcpkeep_settings'");
	else if (takes_selectors(command))
		printf(" \\\n\t\t\t'*:selector:_tcpkeep_selectors'");
	if (command->verbs)
		printf(" \\\n\t\t\t'1:verb:(%s)' \\\n\t\t\t'2:file:%s'", command->verbs,
		       zsh_action(command->operands));
	printf("\n\t\t;;\n");
}

static void print_zsh(void)
{
	printf("#compdef tcpkeep\n# zsh completion for tcpkeep, made from its option table\n"
	       "_tcpkeep_sysctls()\n{\n\tcompadd -S '' -- time= intvl= probes=\n}\n\n"
	       "_tcpkeep_settings()\n{\n\tcompadd -S '' --");
	for (size_t i = 0; i < ARRAY_SIZE(setting_words); i++)
		if (strchr(setting_words[i], '='))
			printf(" %s", setting_words[i]);
	printf("\n\tcompadd -- on off\n}\n\n_tcpkeep_selectors()\n{\n\tcompadd -S '' --");
	for (size_t i = 0; i < ARRAY_SIZE(selector_words); i++)
		printf(" '%s'", selector_words[i]);
	printf("\n}\n\n_tcpkeep_columns()\n{\n\tcompadd -- ${${(f)\"$(tcpkeep list --columns 2>/dev/null)\"}%%%% *}\n}\n"
	       "\n_tcpkeep()\n{\n\tlocal -a commands\n\tlocal dashes\n\tcommands=(\n");
	for (size_t i = 0; i < n_commands; i++) {
		printf("\t\t'%s:", commands[i]->name);
		zsh_escaped(commands[i]->summary);
		printf("'\n");
	}
	printf("\t)\n\tif ((CURRENT == 2)); then\n\t\t_describe command commands\n"
	       "\t\tcompadd -- --help --version\n\t\treturn\n\tfi\n"
	       "\tdashes=${words[(i)--]}\n"
	       "\tif ((dashes < CURRENT)); then\n"
	       "\t\tshift dashes words\n\t\t((CURRENT -= dashes))\n"
	       "\t\tif ((CURRENT == 1)); then _command_names -e; else _normal; fi\n\t\treturn\n\tfi\n"
	       "\tlocal command=$words[2]\n\tshift words\n\t((CURRENT--))\n\tcase $command in\n");
	for (size_t i = 0; i < n_commands; i++)
		zsh_command(commands[i]);
	printf("\tesac\n}\n\n_tcpkeep \"$@\"\n");
}

/* ------------------------------------------------------------------------------------ fish */

static void fish_quoted(const char *text)
{
	putchar('\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('\'');
}

static const char *fish_action(enum completes completes)
{
	switch (completes) {
	case COMPLETES_FILES:
		return " -r -F";
	case COMPLETES_NETNS:
		return " -x -a '(command ls /run/netns 2>/dev/null)'";
	case COMPLETES_PIDS:
		return " -x -a '(__fish_complete_pids)'";
	case COMPLETES_COMMAND:
		return " -x -a '(__fish_complete_command)'";
	case COMPLETES_COLUMNS:
		return " -x -a '(tcpkeep list --columns 2>/dev/null | string replace -r \" .*\" \"\")'";
	case COMPLETES_NOTHING:
	case COMPLETES_SETTINGS:
	case COMPLETES_SYSCTLS:
	case COMPLETES_SELECTORS:
	case COMPLETES_SETTINGS_SELECTORS:
	case COMPLETES_CHOICES:
		break;
	}
	return " -x";
}

static void fish_option(const char *command, const struct option *option)
{
	printf("complete -c tcpkeep -n '__fish_seen_subcommand_from %s'", command);
	if (option->short_name)
		printf(" -s %c", option->short_name);
	printf(" -l %s", option->name);
	if (option->choices)
		printf(" -x -a '%s'", option->choices);
	else if (option->metavar)
		fputs(fish_action(option->completes), stdout);
	printf(" -d ");
	fish_quoted(option->help);
	putchar('\n');
}

static void fish_words(const char *command, const char *const *words, size_t n, const char *what)
{
	printf("complete -c tcpkeep -n '__fish_seen_subcommand_from %s' -a '", command);
	for (size_t i = 0; i < n; i++)
		printf("%s%s", i ? " " : "", words[i]);
	printf("' -d %s\n", what);
}

static void fish_command(const struct command *command)
{
	const struct option json = options_json_of(command);

	printf("complete -c tcpkeep -n __fish_use_subcommand -a %s -d ", command->name);
	fish_quoted(command->summary);
	putchar('\n');
	for (size_t i = 0; i < command->n_options; i++)
		fish_option(command->name, &command->options[i]);
	if (command->has_json)
		fish_option(command->name, &json);
	fish_option(command->name, &option_help);
	if (n_setting_words(command) > 0)
		fish_words(command->name, setting_words, n_setting_words(command), "setting");
	if (takes_selectors(command))
		fish_words(command->name, selector_words, ARRAY_SIZE(selector_words), "selector");
	if (command->verbs)
		printf("complete -c tcpkeep -n '__fish_seen_subcommand_from %s; and not "
		       "__fish_seen_subcommand_from %s' -a '%s' -d verb\n"
		       "complete -c tcpkeep -n '__fish_seen_subcommand_from %s; and "
		       "__fish_seen_subcommand_from %s' -F\n",
		       command->name, command->verbs, command->verbs, command->name,
		       command->verbs);
	if (takes_everything(command))
		fish_words(command->name, everything_words, ARRAY_SIZE(everything_words),
			   "selector");
}

static void print_fish(void)
{
	printf("# fish completion for tcpkeep, made from its option table\n"
	       "function __tcpkeep_command\n"
	       "\tset -l words (commandline -opc) (commandline -ct)\n"
	       "\tset -l dashes (contains -i -- -- $words)\n"
	       "\tcomplete -C (string join ' ' -- $words[(math $dashes + 1)..-1])\n"
	       "end\n"
	       "complete -c tcpkeep -f\n"
	       "complete -c tcpkeep -n 'contains -- -- (commandline -opc)' -a '(__tcpkeep_command)'\n"
	       "complete -c tcpkeep -n __fish_use_subcommand -l help -d 'show the help'\n"
	       "complete -c tcpkeep -n __fish_use_subcommand -l version -d 'show the version'\n");
	for (size_t i = 0; i < n_commands; i++)
		fish_command(commands[i]);
}

bool options_print_completion(const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		print_bash();
	else if (strcmp(shell, "zsh") == 0)
		print_zsh();
	else if (strcmp(shell, "fish") == 0)
		print_fish();
	else
		return false;
	return true;
}
