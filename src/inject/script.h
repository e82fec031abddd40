/* SPDX-License-Identifier: MIT */
/* The first line of a file that is no program to the kernel. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* fs/binfmt_script.c and include/uapi/linux/binfmts.h: the part of a first line that the kernel
 * reads. */
#define SCRIPT_LINE_MAX 256

/* What a "#!" line names. */
struct script {
	char line[SCRIPT_LINE_MAX + 1]; /* holds the two below */
	char *interpreter;
	char *argument; /* one at most, with its blanks; NULL: none */
};

/* From the start of a file, of which the first SCRIPT_LINE_MAX bytes count. False: no such line. */
bool script_parse(const char *start, size_t n, struct script *ret);

/*
 * What the kernel does not know is a script for the shell, as for execvp(), unless it is plainly no
 * text: an ELF file, or a NUL in its first line. By this shells tell it from a damaged program.
 */
bool script_is_for_shell(const char *start, size_t n);
