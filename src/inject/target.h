/* SPDX-License-Identifier: MIT */
/*
 * A descriptor of a thread that waits in a system call: duplicated with pidfd_getfd(2), Linux 5.6.
 * One struct for one thread of the supervisor, without locks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Threads whose pidfds are kept open, at most. */
#define TARGET_SLOTS 128

/* What Yama (kernel.yama.ptrace_scope), or a sandbox that has no pidfd_getfd(), leaves of it to
 * this caller, who is no ancestor of the threads. */
enum target_reach {
	TARGET_ALL = 0,
	TARGET_DECLARED, /* processes that declared it: PR_SET_PTRACER */
	TARGET_NONE,
};

struct target_slot {
	pid_t tid; /* 0: free */
	int pidfd;
};

struct targets {
	enum target_reach reach;
	bool has_proc;   /* one with the numbers by which the kernel tells us of threads */
	dev_t netns_dev; /* this process's */
	ino_t netns_ino;
	unsigned n_slots;
	struct target_slot slots[TARGET_SLOTS];
};

/* n_slots: how many may be kept open, 1 to TARGET_SLOTS. */
void targets_init(struct targets *targets, unsigned n_slots);

/* Closes what is kept: descriptors are short. */
void targets_forget(struct targets *targets);

/*
 * A duplicate of the thread's descriptor, close-on-exec, or -errno: -EBADF, it has none of this
 * number; -ESRCH, it is gone; -EPERM, it may not be looked into; -EMFILE and the like.
 *
 * The number of a thread may be another's by now: the caller asks the kernel whether the call still
 * waits before it believes what it got. So it is with all below.
 */
int target_fd(struct targets *targets, pid_t tid, int fd);

/*
 * Is a socket that this process makes one that the thread could have made: the same user, network
 * namespace and cgroups? 1 or 0, this also where it cannot be told; -errno: descriptors or memory
 * are short.
 */
int target_is_alike(const struct targets *targets, pid_t tid);

/* The inode of the thread's socket, by which to know it again. 0: no socket, or it cannot be told.
 */
uint64_t target_socket(pid_t tid, int fd);

/* 0, or -errno: it cannot be told, for want of descriptors or of pidfds. */
int target_probe(enum target_reach *ret);
enum target_reach target_reach(void);

/* Can threads be compared with this process at all? By /proc, which may be missing, or that of
 * another PID namespace. */
bool target_can_compare(void);
