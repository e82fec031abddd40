/* SPDX-License-Identifier: MIT */
/* The preload library's start: what the environment asks for, made ready for the hooks. */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "keepalive/socket.h"
#include "shim.h"

/* Not zero, so that it lies in .data: one page holds this, the pointers and the low end of the
 * table. */
struct shim shim = {.respected = SHIM_FIELDS_MASK};

_Static_assert(SHIM_OPTIONS_MAX == SOCKET_OPTIONS, "the plan has room for every option");

/* Writes without the signals that a write may raise: they could end the program. */
static void write_quietly(int fd, const char *line, size_t size)
{
	static const struct timespec now = {0, 0};
	sigset_t raised, before, pending;

	sigemptyset(&raised);
	sigaddset(&raised, SIGPIPE);
	sigaddset(&raised, SIGXFSZ);
	if (pthread_sigmask(SIG_BLOCK, &raised, &before) != 0)
		return;
	/* What waits already is the program's. */
	if (sigpending(&pending) == 0) {
		if (sigismember(&pending, SIGPIPE))
			sigdelset(&raised, SIGPIPE);
		if (sigismember(&pending, SIGXFSZ))
			sigdelset(&raised, SIGXFSZ);
	}
	syscall(SYS_write, fd, line, size);
	sigtimedwait(&raised, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/*
 * One line on stderr, past stdio, if there is somebody to take it at once. Not into a socket:
 * descriptor 2 of a daemon may be a connection, on which a line of ours would be data.
 */
static void complain(const char *message)
{
	struct pollfd stderr_fd = {STDERR_FILENO, POLLOUT, 0};
	char line[400];
	socklen_t len = sizeof(int);
	int type, n;

	if (getsockopt(STDERR_FILENO, SOL_SOCKET, SO_TYPE, &type, &len) == 0)
		return;
	if (poll(&stderr_fd, 1, 0) != 1 || stderr_fd.revents != POLLOUT)
		return;
	n = snprintf(line, sizeof(line), "tcpkeep: %s\n", message);
	if (n > 0)
		write_quietly(STDERR_FILENO, line, MIN((size_t)n, sizeof(line) - 1));
}

static const char *lookup(const char *name)
{
	return secure_getenv(name);
}

void shim_read_plan_again(struct plan *ret)
{
	/* The programs that ask for this set variables while they run; what is wrong was told at
	 * the start. */
	plan_read(lookup, NULL, ret);
}

unsigned shim_options(const struct tcpkeep_settings *settings,
		      struct shim_option options[SHIM_OPTIONS_MAX])
{
	unsigned n = 0;

	for (size_t i = 0; i < SOCKET_OPTIONS; i++) {
		const struct socket_option *option = &socket_options[i];

		if (settings->fields & option->field)
			options[n++] =
				(struct shim_option){option->field, option->level, option->name,
						     socket_option_value(settings, option->field)};
	}
	return n;
}

static void tell_debug(void)
{
	char text[PLAN_TEXT_MAX], message[PLAN_TEXT_MAX + 80];

	if (plan_format(&shim.plan, text, sizeof(text)) < 0)
		return;
	snprintf(message, sizeof(message), "DD_DEBUG: process %d gives its sockets: %s", getpid(),
		 *text ? text : "nothing");
	complain(message);
}

/* Whose memory this is. A child of fork() has its own; a child of vfork() has not, and runs no such
 * handler. */
static pid_t owner;

static void learn_owner(void)
{
	owner = (pid_t)syscall(SYS_getpid);
}

static void after_fork(void)
{
	learn_owner();
	if (shim.report)
		shim_report_forget();
}

/*
 * What pthread_atfork() of glibc's static part calls. A program of another C library that is
 * started in the tree loads us as well, and musl ends it when a symbol is missing: this one may be,
 * and there pthread_atfork() is a symbol like any other.
 */
extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
			     void *dso) __attribute__((weak));
extern void *__dso_handle;

static void learn_owner_after_fork(void)
{
	int (*at_fork)(void (*)(void), void (*)(void), void (*)(void));

	if (__register_atfork) {
		__register_atfork(NULL, NULL, after_fork, &__dso_handle);
		return;
	}
	*(void **)&at_fork = dlsym(RTLD_DEFAULT, "pthread_atfork");
	if (at_fork)
		at_fork(NULL, NULL, after_fork);
}

bool shim_in_vfork(void)
{
	return owner && (pid_t)syscall(SYS_getpid) != owner;
}

/*
 * The sockets that were handed down are met once, by the first program. Only a walk that meets what
 * the parent has chosen can be wrong: enforced settings hold anyway. In another PID namespace the
 * numbers differ, and nothing is met.
 */
static bool meets_inherited(void)
{
	return shim.plan.enforce || shim.plan.root == (pid_t)syscall(SYS_getpid);
}

/* A root that executes another program, or itself, keeps its number, and has chosen since. */
static void forget_root(void)
{
	char *text = secure_getenv(PLAN_VARIABLE);

	if (text)
		plan_remove_root(text);
}

static void start(void)
{
	unsigned n_options;

	shim_resolve();
	learn_owner();
	learn_owner_after_fork();
	/* A program that gained privileges: its environment is not to be believed. */
	if (getauxval(AT_SECURE))
		return;
	plan_read(lookup, complain, &shim.plan);
	if (shim.plan.debug)
		tell_debug();
	if (shim.plan.report.pid)
		shim.report = report_attach(&shim.plan.report);
	shim_count(programs);
	shim.respected = shim.plan.enforce ? 0 : SHIM_FIELDS_MASK;
	shim.reread = shim.plan.reread;
	n_options = shim_options(&shim.plan.settings, shim.options);
	__atomic_store_n(&shim.n_options, n_options, __ATOMIC_RELEASE);
	if (n_options && meets_inherited()) {
		shim_meet_inherited();
		forget_root();
	}
}

void shim_init(void)
{
	static bool started;
	int saved = errno;

	if (__atomic_exchange_n(&started, true, __ATOMIC_ACQ_REL))
		return;
	start();
	errno = saved;
}

__attribute__((constructor(101))) static void construct(void)
{
	shim_init();
}
