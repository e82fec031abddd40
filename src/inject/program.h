/* SPDX-License-Identifier: MIT */
/* Can the preload library get into a program? Told from its file, before it is started. */
#pragma once

#include <limits.h>
#include <stdbool.h>

enum program_verdict {
	PROGRAM_FITS = 0,
	PROGRAM_NOT_FOUND,
	PROGRAM_NOT_EXECUTABLE, /* error says why */
	PROGRAM_STATIC,         /* no dynamic loader: nobody reads LD_PRELOAD */
	PROGRAM_GO,             /* talks to the kernel itself, past the C library */
	PROGRAM_OTHER_LIBC,     /* another dynamic loader than that of the preload library */
	PROGRAM_OTHER_MACHINE,  /* 32 bits, another processor */
	PROGRAM_PRIVILEGED,     /* setuid, setgid, capabilities: the loader ignores LD_PRELOAD */
};

struct program {
	enum program_verdict verdict;
	char path[PATH_MAX]; /* the file that was judged: the last in the chain of interpreters */
	char command[PATH_MAX];        /* what was asked for, as it was found */
	char detail[PATH_MAX];         /* OTHER_LIBC: the loader */
	int error;                     /* NOT_EXECUTABLE: errno */
	const char *drops_environment; /* "env -i", "sudo": what it starts will not know of us; or
					  NULL */
	bool for_shell;                /* no program to the kernel, and text: a script for sh */
	bool starts_others;            /* a shell or the like: what it starts may be anything */
};

/* argv as for execvp(). Follows "#!" lines and env(1). */
void program_inspect(char *const argv[], struct program *ret);

/* Becomes the program that was inspected, with the same argv; returns -errno when it cannot. */
int program_execute(const struct program *program, char *const argv[]);
