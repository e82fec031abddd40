/* SPDX-License-Identifier: MIT */
/* Programs that start others: what a command line will come to, as far as it is plain to see. */
#pragma once

#include <stdbool.h>

#define WRAPPER_TEXT_MAX  4096
#define WRAPPER_WORDS_MAX 256

/* Room for a command line that is not argv's own: of `env -S`. */
struct wrapper_words {
	char text[WRAPPER_TEXT_MAX];
	char *argv[WRAPPER_WORDS_MAX + 1];
};

/*
 * The command behind env(1), nice(1), timeout(1) and the like, in argv or in words; what is left
 * begins with such a wrapper where its command cannot be told.
 */
char *const *wrapper_command(char *const argv[], struct wrapper_words *words);

/* Is it a program whose work is to start others, a shell or such a one? By its name. */
bool wrapper_starts_others(const char *path);

/*
 * What starts its program without LD_PRELOAD, in a word for the user ("env -i", "sudo"); NULL: it
 * does not, as far as is plain to see.
 */
const char *wrapper_drops_environment(char *const argv[]);
