/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/nearest.h"

/* Options that every command has, and --json for those that say so. */
const struct option option_help = {.name = "help", .help = "show this help", .short_name = 'h'};
const struct option option_json = {.name = "json", .help = "one JSON object per row"};

struct option options_json_of(const struct command *command)
{
	struct option option = option_json;

	if (command->json_help)
		option.help = command->json_help;
	return option;
}

#define MAX_OPTIONS 32
#define SHOWN_MAX   64

static const struct option *find_option(const struct command *command, const char *name, size_t len)
{
	for (size_t i = 0; i < command->n_options; i++)
		if (strlen(command->options[i].name) == len &&
		    memcmp(command->options[i].name, name, len) == 0)
			return &command->options[i];
	if (len == 4 && memcmp(name, "help", 4) == 0)
		return &option_help;
	if (command->has_json && len == 4 && memcmp(name, "json", 4) == 0)
		return &option_json;
	return NULL;
}

static int fail_unknown(const struct command *command, const char *word, size_t len)
{
	const char *names[MAX_OPTIONS];
	char shown[SHOWN_MAX];
	const char *hint;
	size_t n = 0;

	for (; n < command->n_options && n < MAX_OPTIONS - 2; n++)
		names[n] = command->options[n].name;
	names[n++] = option_help.name;
	if (command->has_json)
		names[n++] = option_json.name;

	escape_text(word, len, shown, sizeof(shown));
	hint = nearest(word + strspn(word, "-"), len - strspn(word, "-"), names, n);
	if (hint)
		say_error("%s: unknown option '%s'; did you mean '--%s'?", command->name, shown,
			  hint);
	else
		say_error("%s: unknown option '%s'; see 'tcpkeep %s --help'", command->name, shown,
			  command->name);
	return EXIT_USAGE;
}

static const struct option *find_short(const struct command *command, char name)
{
	for (size_t i = 0; i < command->n_options; i++)
		if (command->options[i].short_name && command->options[i].short_name == name)
			return &command->options[i];
	return name == option_help.short_name ? &option_help : NULL;
}

/* The option that a word names; the value that is joined to it, as in "--name=value" and "-nvalue",
 * or NULL. */
static const struct option *match_option(const struct command *command, const char *word,
					 size_t len, const char **ret_value)
{
	*ret_value = word[len] == '=' ? word + len + 1 : NULL;
	if (word[1] == '-')
		return len > 2 ? find_option(command, word + 2, len - 2) : NULL;
	*ret_value = word[2] ? word + 2 : NULL;
	return find_short(command, word[1]);
}

static void set_flag(const struct option *option, struct invocation *invocation, bool *ret_help)
{
	if (option == &option_help)
		*ret_help = true;
	else if (option == &option_json)
		invocation->json = true;
	else
		*(bool *)((char *)invocation->args + option->target) = true;
}

/* "-nv" is "-n -v": taken when each letter but the last one is a flag. Returns the last one's. */
static const char *take_bundle(const struct command *command, const char *word,
			       struct invocation *invocation, bool *ret_help)
{
	const char *last = word + 1;

	if (word[1] == '-' || word[1] == '\0')
		return word;
	for (; last[1]; last++) {
		const struct option *option = find_short(command, *last);

		if (!option || option->metavar)
			break;
	}
	if (last == word + 1 || !find_short(command, *last))
		return word;
	for (const char *at = word + 1; at < last; at++)
		set_flag(find_short(command, *at), invocation, ret_help);
	return last - 1;
}

/* "-nx": value is what follows the letters that are known. */
static int fail_bundle(const struct command *command, const char *word, const char *value)
{
	char shown[SHOWN_MAX], letter[SHOWN_MAX];

	while (value[1] && find_short(command, *value))
		value++;
	escape_text(word, strlen(word), shown, sizeof(shown));
	escape_text(value, 1, letter, sizeof(letter));
	say_error("%s: unknown option '-%s' in '%s'; see 'tcpkeep %s --help'", command->name,
		  letter, shown, command->name);
	return EXIT_USAGE;
}

static int fail_no_value(const struct command *command, const struct option *option)
{
	say_error("%s: --%s needs a value; write --%s %s", command->name, option->name,
		  option->name, option->metavar);
	return EXIT_USAGE;
}

/* One "--name", "--name=value", "--name" "value", or "-n" likewise. Returns how many words it took,
 * or -EXIT_USAGE. What is joined to a flag that says so is an operand. */
static int take_option(const struct command *command, char **argv, struct invocation *invocation,
		       const char **operands, bool *ret_help)
{
	const char *word = argv[0], *value;
	size_t len = strcspn(word, "=");
	const struct option *option = match_option(command, word, len, &value);
	int taken = 1;

	if (!option && command->tell_command && command->tell_command(invocation))
		return -EXIT_USAGE;
	if (!option)
		return -fail_unknown(command, word, len);

	if (value && option->joins_operand && *value) {
		operands[invocation->n_operands++] = value;
	} else if (!option->metavar && value && word[1] != '-') {
		return -fail_bundle(command, word, value);
	} else if (!option->metavar && value) {
		say_error("%s: --%s takes no value", command->name, option->name);
		return -EXIT_USAGE;
	}
	if (!option->metavar) {
		set_flag(option, invocation, ret_help);
	} else {
		if (!value) {
			value = argv[1];
			taken = 2;
		}
		if (!value || *value == '\0' || (taken == 2 && strncmp(value, "--", 2) == 0))
			return -fail_no_value(command, option);
		*(const char **)((char *)invocation->args + option->target) = value;
	}
	return taken;
}

int options_parse(const struct command *command, int argc, char **argv,
		  struct invocation *invocation, const char **operands, bool *ret_help)
{
	invocation->command = command;
	invocation->operands = operands;
	for (int i = 1; i < argc;) {
		if (strcmp(argv[i], "--") == 0) {
			if (!command->takes_rest) {
				say_error("%s: takes no command after '--'", command->name);
				return EXIT_USAGE;
			}
			invocation->rest = argv + i + 1;
			break;
		}
		if (argv[i][0] == '-' && argv[i][1] != '\0') {
			int taken;

			argv[i] = (char *)take_bundle(command, argv[i], invocation, ret_help);
			taken = take_option(command, argv + i, invocation, operands, ret_help);

			if (taken < 0)
				return -taken;
			i += taken;
			continue;
		}
		operands[invocation->n_operands++] = argv[i++];
	}
	return EXIT_DONE;
}
