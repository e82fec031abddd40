/* SPDX-License-Identifier: MIT */
/* A process's descriptor, and the descriptors that it has. The C library has the calls since glibc
 * 2.36. */
#pragma once

#include <errno.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* One number on all architectures since 5.1, 5.3 and 5.6: include/uapi/asm-generic/unistd.h */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* pidfd_open(2); close-on-exec by itself. -errno. */
static inline int pidfd_of(pid_t pid, unsigned flags)
{
	long fd = syscall(SYS_pidfd_open, pid, flags);

	return fd < 0 ? -errno : (int)fd;
}

/* pidfd_send_signal(2). -errno. */
static inline int pidfd_signal(int pidfd, int signal_number)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0) < 0 ? -errno : 0;
}

/* pidfd_getfd(2): a duplicate of its descriptor, close-on-exec by itself. -errno. */
static inline int pidfd_duplicate(int pidfd, int fd)
{
	long copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	return copy < 0 ? -errno : (int)copy;
}
