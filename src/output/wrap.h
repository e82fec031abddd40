/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/* What wrap_text() makes of len bytes takes no more. */
#define WRAP_MAX(len, indent) ((len) * ((indent) + 1))

/*
 * Text for a terminal of so many columns: lines are broken at blanks, those after the first begin
 * with indent blanks. A word that no line has room for is left whole. width 0: nothing is broken.
 * Returns how many bytes stand at out, which has WRAP_MAX(len, indent).
 */
size_t wrap_text(const char *text, size_t len, unsigned width, unsigned indent, char *out);
