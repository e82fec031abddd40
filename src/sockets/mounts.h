/* SPDX-License-Identifier: MIT */
/* Where file systems of the kernel's are mounted. */
#pragma once

/*
 * A mount of this type ("cgroup2", "bpf") that is in reach, as a path that the caller frees.
 * -ENOENT: there is none; -ENOMEM.
 */
int mounts_find(const char *type, char **ret);

/*
 * The path at which a directory of such a file system is seen, dir as seen from its root; a mount
 * may show a part of it. -ENOENT: it is not mounted; -EXDEV: no mount shows this directory;
 * -ENOMEM.
 */
int mounts_locate(const char *type, const char *dir, char **ret);
