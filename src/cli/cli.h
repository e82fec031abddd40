/* SPDX-License-Identifier: MIT */
/* What every command shares: how it is described, how it is called, how it ends and how it speaks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macro.h"

/* Exit statuses, the same for every command. A command may also pass on that of a program it ran.
 */
enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1, /* failed, or answered "no" */
	EXIT_USAGE = 2,
	EXIT_PARTLY = 3,
	EXIT_LACKING = 4, /* a privilege or a kernel feature is missing; the message says which */
	EXIT_NOT_EXECUTABLE = 126, /* as a shell says it */
	EXIT_NOT_FOUND = 127,
};

/* Of a command that deals with sockets and fails with this errno, negative: -EPERM and the like are
 * EXIT_LACKING. */
int exit_status_of(int r);

/* What a shell may offer where an option's value or an operand is expected. */
enum completes {
	COMPLETES_NOTHING = 0,
	COMPLETES_FILES,
	COMPLETES_NETNS,
	COMPLETES_PIDS,
	COMPLETES_SETTINGS, /* time= intvl= ... and the command's words */
	COMPLETES_SYSCTLS,  /* time= intvl= probes= alone */
	COMPLETES_COMMAND,
	COMPLETES_SELECTORS,          /* pid= peer= ... */
	COMPLETES_SETTINGS_SELECTORS, /* both */
	COMPLETES_COLUMNS,            /* of tcpkeep list */
	COMPLETES_CHOICES,            /* the option's own */
};

enum option_kind {
	OPTION_FLAG, /* the target is a bool */
	OPTION_TEXT, /* the target is a const char *, the last one given wins */
};

/* A row of the option table: parsing, --help, the completions and the test of the man pages read
 * it. */
struct option {
	const char *name;    /* without the dashes */
	const char *metavar; /* NULL for a flag */
	const char *help;    /* one line */
	enum option_kind kind;
	size_t target; /* offset in the command's own struct of arguments */
	enum completes completes;
	char short_name;     /* -x beside --name; 0: none */
	const char *choices; /* COMPLETES_CHOICES: the words, with blanks between */
	/* A flag: --name=WORD is --name WORD, an operand; what --help calls that word. */
	const char *joins_operand;
};

/* One use of a command. */
struct invocation {
	const struct command *command;
	void *args; /* the command's own struct, filled by its options */
	const char *const *operands;
	size_t n_operands;
	char **rest; /* what follows "--", NULL-terminated; NULL when there was no "--" */
	bool json;
};

/* A row of the command table. */
struct command {
	const char *name;
	const char *summary;  /* one line */
	const char *synopsis; /* after "tcpkeep NAME " */
	const char *about;    /* some lines: what it does and what to know, for --help */
	const char *examples; /* lines of "  command   what it does" */
	const struct option *options;
	size_t n_options;
	size_t args_size;
	enum completes operands;
	const char *verbs; /* what the first operand may be, with blanks between; NULL: no such */
	bool has_json;
	const char *json_help; /* what --json prints; NULL: an object for each row */
	bool takes_rest;       /* takes "-- COMMAND..." */
	/* Of an unknown option: is it that of a COMMAND without its "--"? Then this has said so.
	 * NULL: is not asked. */
	bool (*tell_command)(const struct invocation *invocation);
	int (*run)(const struct invocation *invocation);
};

extern const struct command *const commands[];
extern const size_t n_commands;

extern const struct command command_explain;
extern const struct command command_list;
extern const struct command command_policy;
extern const struct command command_prove;
extern const struct command command_run;
extern const struct command command_set;
extern const struct command command_sysctl;

/* "tcpkeep: ..." and a newline on stderr: what, object, reason, what to do. */
void say_error(const char *format, ...) PRINTF_LIKE(1, 2);

/* The same for what is no error, and was asked for. */
void say_note(const char *format, ...) PRINTF_LIKE(1, 2);

/* "tcpkeep: warning: ..." on stderr. */
void say_warning(const char *format, ...) PRINTF_LIKE(1, 2);

/* Says each warning that the settings earn (tcpkeep_settings_warnings()). */
struct tcpkeep_settings;
void say_settings_warnings(const struct tcpkeep_settings *settings);

/*
 * Parses the operands as settings, all of them. On a fault it says it and returns EXIT_USAGE, with
 * *ret as it was; no operands at all leave *ret empty and are EXIT_DONE.
 */
int parse_settings_operands(const struct invocation *invocation, int scope,
			    struct tcpkeep_settings *ret);

/* Flushes stdout; EXIT_FAILED with a message when it could not be written (a closed pipe is
 * silent). */
int finish_output(int status);
