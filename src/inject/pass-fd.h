/* SPDX-License-Identifier: MIT */
/* A descriptor from one process to another, through a socket of the Unix domain. Allocation-free.
 */
#pragma once

#include <stddef.h>
#include <sys/socket.h>

/* Sends the bytes and the descriptor with them, to an address or (NULL) to whom the socket is
 * connected. flags: of sendmsg(). 0 or -errno. */
int pass_fd_send(int socket, const void *bytes, size_t size, int fd, int flags,
		 const struct sockaddr *to, socklen_t to_len);

/*
 * Receives so many bytes and one descriptor, close-on-exec: returns it. -errno; -EPROTO: what came
 * was something else.
 */
int pass_fd_receive(int socket, void *bytes, size_t size, int flags);
