/* SPDX-License-Identifier: MIT */
/* Programs that start others: what a command line will come to, as far as it is plain to see. */
#pragma once

#include <stdbool.h>

/* The command behind env(1), nice(1), timeout(1) and the like; argv itself where there is none or
 * it cannot be told. */
char *const *wrapper_skip(char *const argv[]);

/* Is it a program whose work is to start others, a shell or such a one? By its name. */
bool wrapper_starts_others(const char *path);

/*
 * What starts its program without LD_PRELOAD, in a word for the user ("env -i", "sudo"); NULL: it
 * does not, as far as is plain to see.
 */
const char *wrapper_drops_environment(char *const argv[]);
