/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(struct tcpkeep_error *error, int r, const char *format, ...)
{
	va_list args;

	if (!error)
		return r;
	error->offset = error->length = 0;
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return r;
}

int error_set_at(struct tcpkeep_error *error, int r, size_t offset, size_t length,
		 const char *format, ...)
{
	va_list args;

	if (!error)
		return r;
	error->offset = offset;
	error->length = length;
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return r;
}
