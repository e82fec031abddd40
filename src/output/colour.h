/* SPDX-License-Identifier: MIT */
/* Colour, where it is wanted: on a terminal, without NO_COLOR (https://no-color.org) and not
 * TERM=dumb. */
#pragma once

enum colour {
	COLOUR_NONE = 0,
	COLOUR_GOOD,
	COLOUR_BAD,
	COLOUR_WARN,
	COLOUR_DIM,
	COLOUR_BOLD,
};

/* The sequence that starts the colour on stdout, "" when colour is off. Static. COLOUR_NONE ends
 * it. */
const char *colour(enum colour colour);
