/* SPDX-License-Identifier: MIT */
#include "errno-name.h"

#include <errno.h>
#include <stdio.h>

#include "macro.h"

const char *errno_name(int number, char buf[ERRNO_NAME_MAX])
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
		{EACCES, "EACCES"},   {EBADF, "EBADF"},         {EINVAL, "EINVAL"},
		{ENOBUFS, "ENOBUFS"}, {ENOMEM, "ENOMEM"},       {ENOPROTOOPT, "ENOPROTOOPT"},
		{ENOSYS, "ENOSYS"},   {ENOTSOCK, "ENOTSOCK"},   {EOPNOTSUPP, "EOPNOTSUPP"},
		{EPERM, "EPERM"},     {ETIMEDOUT, "ETIMEDOUT"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].number == number)
			return names[i].name;
	snprintf(buf, ERRNO_NAME_MAX, "unknown(%d)", number);
	return buf;
}
