/* SPDX-License-Identifier: MIT */
/*
 * The way to the kernel's variables of a network namespace, and the words for what bars it. The
 * files below /proc/sys/net show the namespace of the thread that opens them, whoever mounted /proc
 * (fs/proc/proc_sysctl.c: lookup by current->nsproxy), so that a thread inside is all it takes.
 */
#pragma once

#include <tcpkeep.h>

/*
 * Opens /proc/sys/net/ipv4/NAME, as the calling thread's namespace has it: O_RDONLY or O_RDWR.
 * Never another file that happens to lie there. On failure the words say what is missing and what
 * to do.
 */
int procfs_open_ipv4(const char *name, int flags, struct tcpkeep_error *ret_error);

/* One whole number; from the start of the file, as often as wanted. */
int procfs_read_int(int fd, int *ret);
int procfs_write_int(int fd, int value);

/*
 * Whether the directories of /proc are those of this process's PID namespace; otherwise /proc/PID
 * is somebody else. -ENOENT, -EXDEV with words.
 */
int procfs_check_pids(struct tcpkeep_error *ret_error);
