/* SPDX-License-Identifier: MIT */
#include "script.h"

#include <elf.h>
#include <string.h>

#include "base/macro.h"

bool script_parse(const char *start, size_t n, struct script *ret)
{
	char *end;

	n = MIN(n, (size_t)SCRIPT_LINE_MAX);
	if (n < 3 || memcmp(start, "#!", 2) != 0)
		return false;
	memcpy(ret->line, start, n);
	ret->line[n] = '\0';
	end = ret->line + strcspn(ret->line, "\n");
	while (end > ret->line + 2 && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	ret->interpreter = ret->line + 2 + strspn(ret->line + 2, " \t");
	ret->argument = ret->interpreter + strcspn(ret->interpreter, " \t");
	if (*ret->argument) {
		*ret->argument++ = '\0';
		ret->argument += strspn(ret->argument, " \t");
	} else {
		ret->argument = NULL;
	}
	return *ret->interpreter != '\0';
}

bool script_is_for_shell(const char *start, size_t n)
{
	const char *end = memchr(start, '\n', n);

	if (n >= SELFMAG && memcmp(start, ELFMAG, SELFMAG) == 0)
		return false;
	return !memchr(start, '\0', end ? (size_t)(end - start) : n);
}
