/* SPDX-License-Identifier: MIT */
/* The verifier, too, says "permission denied", when it finds fault with a program. */
#pragma once

#include <stdbool.h>

/*
 * What a failed load means: -EPERM: the process may load no programs of that kind (iterators, and
 * cgroup programs when cgroup is true); -EACCES: it may, and these were refused; any other r as it
 * is. Asked of the kernel with the smallest program there is: it knows of the user namespaces and
 * security modules that capabilities alone do not tell of.
 */
int bpf_denied(int r, bool cgroup);
