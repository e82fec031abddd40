/* SPDX-License-Identifier: MIT */
/* One question to sock_diag(7), and its many answers: netlink, nothing of what they mean. */
#pragma once

#include <linux/inet_diag.h>
#include <netinet/in.h>
#include <stddef.h>
#include <tcpkeep.h>

/* Newer than the C library may be: linux/in.h (5.6). */
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct diag_question {
	int family;   /* AF_INET, AF_INET6 */
	int protocol; /* IPPROTO_TCP, IPPROTO_MPTCP */
	unsigned states;
	unsigned extensions; /* 1 << (INET_DIAG_... - 1) */
};

/* One socket; attributes by their number, NULL for what is not there. Valid during the call only.
 */
struct diag_answer {
	const struct inet_diag_msg *message;
	const struct nlattr *attributes[INET_DIAG_CGROUP_ID + 1];
};

/* A netlink socket in the namespace, close-on-exec, for diag_dump(). */
int diag_open(int netns, struct tcpkeep_error *ret_error);

/*
 * Asks, and calls fn for every socket; its non-zero result ends the dump and is returned: the
 * descriptor is good for nothing then but to be closed. *interrupted is added to. -ENOENT, -EINVAL:
 * the kernel has no answer to such questions.
 */
int diag_dump(int fd, const struct diag_question *question,
	      int (*fn)(const struct diag_answer *answer, void *userdata), void *userdata,
	      size_t *interrupted);
