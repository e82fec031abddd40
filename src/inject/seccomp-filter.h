/* SPDX-License-Identifier: MIT */
/*
 * The seccomp filter of `tcpkeep run`: which system calls of a program wait for the supervisor.
 * Everything else is allowed by a path that the kernel keeps in a bitmap (5.11), so that it costs
 * nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <tcpkeep.h>

/* linux/seccomp.h, where the C library's headers are older than the kernel. */
#define SECCOMP_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* 5.19 */

/*
 * Puts the filter on this thread: connect(), listen(), what may do a TCP Fast Open, setsockopt() of
 * the fields (enum tcpkeep_field) and io_uring_setup(); if they are wanted, stream sockets when
 * they are made. Sets no_new_privs only where the kernel demands it (no CAP_SYS_ADMIN). Returns the
 * listener, close-on-exec.
 *
 * -EBUSY: a listener is there already; -EOPNOTSUPP: this kernel or processor cannot. Words in
 * *error.
 */
int seccomp_filter_install(uint32_t fields, bool sockets, struct tcpkeep_error *error);

/* Could it be installed? Changes nothing; a copy of this process tries where a filter is there. */
int seccomp_filter_probe(struct tcpkeep_error *error);

/* Would it have to set no_new_privs, which is not set yet? Then setuid programs lose their powers.
 */
bool seccomp_filter_takes_privileges(void);
