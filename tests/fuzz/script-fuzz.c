/* SPDX-License-Identifier: MIT */
/* Any bytes as the start of a file: what a "#!" line names is what stands there, without blanks
 * around it. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "inject/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A word of the line, and where: in data at the same place. */
static void check_word(const struct script *script, const char *word, const uint8_t *data)
{
	size_t len = strlen(word), at = (size_t)(word - script->line);

	must(len > 0 && at >= 2 && at + len <= SCRIPT_LINE_MAX);
	must(!is_blank(word[0]) && !is_blank(word[len - 1]) && !memchr(word, '\n', len));
	must(memcmp(data + at, word, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script;
	bool found = script_parse((const char *)data, size, &script);
	bool text = script_is_for_shell((const char *)data, size);

	must(!text || size == 0 || data[0] != '\0');
	if (!found)
		return 0;
	must(data[0] == '#' && data[1] == '!');
	check_word(&script, script.interpreter, data);
	must(strcspn(script.interpreter, " \t") == strlen(script.interpreter));
	if (script.argument) {
		must(script.argument > script.interpreter);
		check_word(&script, script.argument, data);
	}
	return 0;
}
