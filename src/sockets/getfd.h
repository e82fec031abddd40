/* SPDX-License-Identifier: MIT */
/*
 * A socket's settings through a duplicate of its owner's descriptor: pidfd_getfd(2), Linux 5.6, of
 * processes that one may ptrace.
 */
#pragma once

#include <stddef.h>
#include <tcpkeep.h>

#include "snapshot.h"

struct getfd;

/* -EOPNOTSUPP with words: this kernel, or this sandbox, has no pidfd_getfd(2). -ENOMEM. */
int getfd_new(struct getfd **ret, struct tcpkeep_error *ret_error);
void getfd_free(struct getfd *getfd);

/* For cleanup attributes. */
void getfd_cleanup(struct getfd **getfd);

/*
 * A duplicate of an owner's descriptor, close-on-exec, the caller's to close soon: as long as it
 * lives, the program's close() does not end the connection. -ESTALE: it stands for another socket
 * by now; -EPERM: the owner may not be looked into; -ESRCH, -EBADF: it has gone.
 */
int getfd_open(struct getfd *getfd, const struct socket_owner *owner, uint64_t cookie);

/*
 * Fills in keepalive, the three effective values and the user timeout, as far as this kernel tells
 * them, with their bits in known; ROW_KNOWN_ORIGIN stays 0. The first owner that lets us does; the
 * socket is known again by its cookie, so that a row without one (minisockets) stays as it is.
 *
 * 1: done; 0: the owners have let go of it; -EPERM: no owner may be looked into; -EMFILE, -ENFILE,
 * -ENOMEM: there is no descriptor to be had for it. The row is as it was then.
 */
int getfd_read(struct getfd *getfd, struct socket_row *row, const struct socket_owner *owners,
	       size_t n_owners);
