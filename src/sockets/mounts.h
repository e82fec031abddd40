/* SPDX-License-Identifier: MIT */
/* Where file systems of the kernel's are mounted. */
#pragma once

/*
 * A mount of this type ("cgroup2", "bpf") that is in reach, as a path that the caller frees.
 * -ENOENT: there is none; -ENOMEM.
 */
int mounts_find(const char *type, char **ret);

/* The same; *ret_root is the directory of the file system that is seen there, most often "/". */
int mounts_find_root(const char *type, char **ret, char **ret_root);
