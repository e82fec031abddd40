/* SPDX-License-Identifier: MIT */
#pragma once

/* How many columns the terminal behind a descriptor has; 80 where it does not say; 0: it is none,
 * and what goes there is as wide as it gets. */
unsigned terminal_width(int fd);
