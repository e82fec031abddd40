/* SPDX-License-Identifier: MIT */
/* Files of this system, or of one that lies in a directory: links are followed inside of it. */
#pragma once

#include <tcpkeep.h>

/* Configuration that a person wrote is smaller. */
#define ROOTED_FILE_MAX (1024 * 1024)

/* Opens path ("/etc/...") below root ("" = this system). */
int rooted_open(const char *root, const char *path, int flags);

/*
 * Reads a regular file whole; *ret has a NUL behind its len bytes and is the caller's to free.
 * Never blocks and never disturbs a device: what is not a regular file is -EINVAL. -EFBIG beyond
 * ROOTED_FILE_MAX.
 */
int rooted_read(const char *root, const char *path, char **ret, size_t *ret_len);

/* The same for a descriptor that is open for reading. */
int rooted_read_fd(int fd, char **ret, size_t *ret_len);
