/* SPDX-License-Identifier: MIT */
/* "ETIMEDOUT" for a number of errno. Not every C library has strerrorname_np() (glibc 2.32). */
#pragma once

#define ERRNO_NAME_MAX 32

/* Of what sockets say; "unknown(123)", in buf, for any other. */
const char *errno_name(int number, char buf[ERRNO_NAME_MAX]);
