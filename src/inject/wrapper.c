/* SPDX-License-Identifier: MIT */
#include "wrapper.h"

#include <stddef.h>
#include <string.h>

#include "base/macro.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* What stands between the name and the command: options, then so many operands. */
static const struct wrapper {
	const char *name;
	const char *with_value; /* short options that take the next word */
	int operands;
	bool assigns; /* NAME=value words */
} wrappers[] = {
	{"env", "", 0, true},        {"nice", "n", 0, false},  {"ionice", "cn", 0, false},
	{"nohup", "", 0, false},     {"setsid", "", 0, false}, {"stdbuf", "ioe", 0, false},
	{"timeout", "ks", 1, false}, {"time", "fo", 0, false}, {"taskset", "", 1, false},
	{"chrt", "TPD", 1, false},
};

static const struct wrapper *find_wrapper(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrappers); i++)
		if (strcmp(base_name(path), wrappers[i].name) == 0)
			return &wrappers[i];
	return NULL;
}

/* Behind the options; NULL where one changes too much to guess. */
static char *const *skip_options(const struct wrapper *wrapper, char *const *at)
{
	for (; *at && (*at)[0] == '-'; at++) {
		const char *word = *at;

		if (strcmp(word, "--") == 0)
			return at + 1;
		/* env's options change what is started, and where it is found. */
		if (wrapper->assigns || word[1] == '\0')
			return NULL;
		/* A long option may take the next word: only with '=' it is plain. */
		if (word[1] == '-' && !strchr(word, '='))
			return NULL;
		if (word[1] != '-' && word[2] == '\0' && strchr(wrapper->with_value, word[1]) &&
		    !*++at)
			return NULL;
	}
	return at;
}

static char *const *skip_one(const struct wrapper *wrapper, char *const argv[])
{
	char *const *at = skip_options(wrapper, argv + 1);

	while (at && *at && wrapper->assigns && strchr(*at, '=')) {
		/* Where the command is found, and what is loaded with it, is another matter then.
		 */
		if (strncmp(*at, "PATH=", 5) == 0 || strncmp(*at, "LD_", 3) == 0)
			return NULL;
		at++;
	}
	for (int i = 0; at && i < wrapper->operands; i++)
		at = *at ? at + 1 : NULL;
	return at && *at ? at : NULL;
}

static char *const *skip(char *const argv[])
{
	const struct wrapper *wrapper;

	while (argv[0] && (wrapper = find_wrapper(argv[0]))) {
		char *const *next = skip_one(wrapper, argv);

		if (!next)
			break;
		argv = next;
	}
	return argv;
}

/* The text behind -S, and in *at the last word that it takes. NULL: there is none. */
static const char *text_to_split(char *const **at)
{
	static const char whole[] = "--split-string";
	const char *word = **at;

	if (strcmp(word, "-S") == 0 || strcmp(word, whole) == 0)
		return (*at)[1] ? *++*at : NULL;
	if (strncmp(word, "-S", 2) == 0)
		return word + 2;
	return strncmp(word, "--split-string=", sizeof(whole)) == 0 ? word + sizeof(whole) : NULL;
}

/* Where env(1) is told to split a text into words: the command line that it makes of that. argv
 * itself where it is not, or where quotes, escapes and variables would have to be understood. */
static char *const *split(char *const argv[], struct wrapper_words *words)
{
	char *const *at = argv + 1;
	char *rest = NULL;
	const char *text;
	size_t n = 1;

	if (!argv[0] || strcmp(base_name(argv[0]), "env") != 0 || !argv[1])
		return argv;
	text = text_to_split(&at);
	if (!text || strlen(text) >= sizeof(words->text) || strpbrk(text, "\"'\\$#"))
		return argv;
	strcpy(words->text, text);
	words->argv[0] = argv[0];
	for (char *word = strtok_r(words->text, " \t\n\v\f\r", &rest); word;
	     word = strtok_r(NULL, " \t\n\v\f\r", &rest)) {
		if (n == WRAPPER_WORDS_MAX)
			return argv;
		words->argv[n++] = word;
	}
	while (*++at) {
		if (n == WRAPPER_WORDS_MAX)
			return argv;
		words->argv[n++] = *at;
	}
	words->argv[n] = NULL;
	return words->argv;
}

char *const *wrapper_command(char *const argv[], struct wrapper_words *words)
{
	return skip(split(skip(argv), words));
}

bool wrapper_starts_others(const char *path)
{
	static const char *const names[] = {
		"sh",       "bash",    "dash",        "ash",     "zsh",   "ksh",       "mksh",
		"fish",     "csh",     "tcsh",        "busybox", "xargs", "find",      "make",
		"gmake",    "ninja",   "parallel",    "sudo",    "doas",  "su",        "runuser",
		"setpriv",  "chroot",  "unshare",     "nsenter", "flock", "watch",     "script",
		"tmux",     "screen",  "npm",         "npx",     "tini",  "dumb-init", "s6-svscan",
		"runsvdir", "prlimit", "supervisord",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(base_name(path), names[i]) == 0)
			return true;
	return find_wrapper(path) != NULL;
}

/* Of the options in front of the first operand, is it one of these two words? */
static bool has_option(char *const argv[], const char *one, const char *other)
{
	for (char *const *at = argv + 1; *at && (*at)[0] == '-' && strcmp(*at, "--") != 0; at++)
		if (strcmp(*at, one) == 0 || strcmp(*at, other) == 0)
			return true;
	return false;
}

static bool is_our_variable(const char *word)
{
	return strcmp(word, "LD_PRELOAD") == 0;
}

/* The short options of env(1) that stand in one word; *at moves on where a value is the next one.
 * NULL: they leave LD_PRELOAD alone. */
static const char *short_of_env(char *const **at)
{
	for (const char *letter = **at + 1; *letter; letter++) {
		const char *value;

		if (*letter == 'i')
			return "env -i";
		if (*letter != 'u' && *letter != 'C')
			continue;
		value = letter[1] ? letter + 1 : (*at)[1] ? *++*at : "";
		return *letter == 'u' && is_our_variable(value) ? "env -u LD_PRELOAD" : NULL;
	}
	return NULL;
}

static const char *long_of_env(char *const **at)
{
	static const char unset[] = "--unset", chdir[] = "--chdir";
	const char *word = **at;

	if (strcmp(word, "--ignore-environment") == 0)
		return "env -i";
	if (strncmp(word, "--unset=", sizeof(unset)) == 0)
		return is_our_variable(word + sizeof(unset)) ? "env -u LD_PRELOAD" : NULL;
	if ((strcmp(word, unset) == 0 || strcmp(word, chdir) == 0) && (*at)[1])
		return is_our_variable(*++*at) && strcmp(word, unset) == 0 ? "env -u LD_PRELOAD"
									   : NULL;
	return NULL;
}

/* Its options, and the NAME=value words behind them. */
static const char *env_drops(char *const argv[])
{
	const char *dropper = NULL;
	char *const *at = argv + 1;

	for (; !dropper && *at && (*at)[0] == '-' && strcmp(*at, "--") != 0; at++) {
		if (strcmp(*at, "-") == 0)
			return "env -i";
		dropper = (*at)[1] == '-' ? long_of_env(&at) : short_of_env(&at);
	}
	if (*at && strcmp(*at, "--") == 0)
		at++;
	for (; !dropper && *at && strchr(*at, '='); at++)
		if (strncmp(*at, "LD_PRELOAD=", 11) == 0)
			dropper = "env LD_PRELOAD=...";
	return dropper;
}

const char *wrapper_drops_environment(char *const argv[])
{
	const char *name;

	if (!argv[0] || !argv[1])
		return NULL;
	name = base_name(argv[0]);
	/* These two remove LD_* whatever their options and their rules say. */
	if (strcmp(name, "sudo") == 0)
		return "sudo";
	if (strcmp(name, "doas") == 0)
		return "doas";
	if (strcmp(name, "env") == 0)
		return env_drops(argv);
	if (strcmp(name, "su") == 0 &&
	    (has_option(argv, "-", "-l") || has_option(argv, "--login", "")))
		return "su -";
	if (strcmp(name, "runuser") == 0 &&
	    (has_option(argv, "-", "-l") || has_option(argv, "--login", "")))
		return "runuser -l";
	if (strcmp(name, "setpriv") == 0 && has_option(argv, "--reset-env", ""))
		return "setpriv --reset-env";
	return NULL;
}
