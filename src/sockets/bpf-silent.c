/* SPDX-License-Identifier: MIT */
#include "bpf-silent.h"

#include <bpf/libbpf.h>

static int say_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

void bpf_be_silent(void)
{
	libbpf_set_print(say_nothing);
}
