/* SPDX-License-Identifier: MIT */
/* The two processes that hold the listener: see seccomp.h. */
#pragma once

#include "seccomp-serve.h"

/* What the program's process is told when all is ready. */
struct seccomp_guard_says {
	int error; /* 0 or an errno: no supervisor could be started */
	int pid;   /* the guardian's: the supervisors are its descendants */
};

/*
 * In a fresh process without threads: lets go of everything that it inherited, takes the listener
 * from control (SCM_RIGHTS), starts the supervisor, tells control how it went and guards until the
 * last program has ended.
 */
_Noreturn void seccomp_guard(struct seccomp *seccomp, int control);
