/* SPDX-License-Identifier: MIT */
/* cmocka with the headers that it wants before it, and its output as TAP for meson. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define run_unit_tests(name, tests)                                                                \
	(cmocka_set_message_output(CM_OUTPUT_TAP),                                                 \
	 cmocka_run_group_tests_name(name, tests, NULL, NULL))
