/* SPDX-License-Identifier: MIT */
#include "file.h"

#include <errno.h>
#include <unistd.h>

int file_write_synced(int fd, const void *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, (const char *)bytes + at, len - at);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			at += (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}
