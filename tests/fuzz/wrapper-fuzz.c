/* SPDX-License-Identifier: MIT */
/* Any words as a command line, one a line of the text: the command behind it ends as that ends, or
 * is made of what stands in it. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "inject/wrapper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 64

static void must(bool holds)
{
	if (!holds)
		abort();
}

static size_t length(char *const argv[])
{
	size_t n = 0;

	while (argv[n])
		n++;
	return n;
}

static bool is_in(char *const argv[], const char *part)
{
	while (*argv && !strstr(*argv, part))
		argv++;
	return *argv;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = calloc(size + 1, 1);
	static struct wrapper_words words;
	char *argv[WORDS_MAX + 1] = {0}, *rest = text;
	char *const *command;
	const char *dropper;
	size_t n = 0;

	if (!text)
		return 0;
	memcpy(text, data, size);
	while (n < WORDS_MAX && (argv[n] = strsep(&rest, "\n")))
		n++;
	argv[n] = NULL;
	command = wrapper_command(argv, &words);
	must(n == 0 || command[0]);
	if (command >= argv && command <= argv + n)
		must(length(command) == n - (size_t)(command - argv));
	for (size_t i = 0; command[i]; i++)
		must(i <= WRAPPER_WORDS_MAX && is_in(argv, command[i]));
	dropper = wrapper_drops_environment(command);
	must(!dropper || dropper[0]);
	/* A name is told by its last part, wherever it stands. */
	if (n > 0 && wrapper_starts_others(argv[0]))
		must(argv[0][0] != '\0' && argv[0][strlen(argv[0]) - 1] != '/');
	return 0;
}
