/* SPDX-License-Identifier: MIT */
/* Files as a whole. */
#pragma once

#include <stddef.h>

/* All of it, on disk when this returns. 0 or -errno. */
int file_write_synced(int fd, const void *bytes, size_t len);
