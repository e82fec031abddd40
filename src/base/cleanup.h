/* SPDX-License-Identifier: MIT */
/* Scope-bound cleanup: _cleanup_(fn) calls fn(&variable) when the variable goes out of scope. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((__cleanup__(fn)))

/* Keeps errno through a cleanup, so that `return -errno` may stand after the failing call. */
static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_fclose(FILE **f)
{
	int saved = errno;

	if (*f)
		fclose(*f);
	errno = saved;
}

#define _cleanup_free_   _cleanup_(cleanup_free)
#define _cleanup_close_  _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

/* Takes the descriptor out of the variable, so that its cleanup leaves it open. */
static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline void *steal_pointer_(void *p)
{
	void *taken = *(void **)p;

	*(void **)p = NULL;
	return taken;
}
#define steal_pointer(p) ((__typeof__(*(p)))steal_pointer_(p))
