/* SPDX-License-Identifier: MIT */
/* Programs that start others: what a command line will come to, as far as it is plain to see. */
#pragma once

#include <stdbool.h>

/* The command behind env(1), nice(1), timeout(1) and the like; argv itself where there is none or
 * it cannot be told. */
char *const *wrapper_skip(char *const argv[]);

/* Is it a program whose work is to start others, a shell or such a one? By its name. */
bool wrapper_starts_others(const char *path);

/* Does env(1) start its program with an empty environment? Only what is plain to see. */
bool wrapper_drops_environment(char *const argv[]);
