/* SPDX-License-Identifier: MIT */
#include "colour.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool wanted(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (no_color && *no_color)
		return false;
	return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

const char *colour(enum colour colour)
{
	static const char *const sequences[] = {
		[COLOUR_NONE] = "\033[0m",  [COLOUR_GOOD] = "\033[32m", [COLOUR_BAD] = "\033[31m",
		[COLOUR_WARN] = "\033[33m", [COLOUR_DIM] = "\033[2m",   [COLOUR_BOLD] = "\033[1m",
	};
	static int on = -1;

	if (on < 0)
		on = wanted();
	return on ? sequences[colour] : "";
}
