/* SPDX-License-Identifier: MIT */
/* Getting the preload library into a program: where it is, and the environment that loads it. */
#pragma once

#include <limits.h>
#include <tcpkeep.h>

#include "plan.h"

#define PRELOAD_LIBRARY "libtcpkeep-preload.so"

/*
 * The library's path: beside this executable in a build tree, otherwise where it was installed.
 * -ENOENT: in neither place; -EINVAL: the dynamic loader cannot be told such a path. The words are
 * in *error.
 */
int preload_find(char ret[PATH_MAX], struct tcpkeep_error *error);

/* Sets LD_PRELOAD (a library that stands there stays, behind ours) and TCPKEEP in this process. */
int preload_set_environment(const char *library, const struct plan *plan);
