/* SPDX-License-Identifier: MIT */
/* The two processes that hold the listener: see seccomp.h. */
#pragma once

#include "seccomp-serve.h"

/*
 * In a fresh process without threads: lets go of everything that it inherited, takes the listener
 * from control (SCM_RIGHTS), starts the supervisor, tells control an int (0 or an errno) and guards
 * until the last program has ended.
 */
_Noreturn void seccomp_guard(struct seccomp *seccomp, int control);
