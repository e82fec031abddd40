/* SPDX-License-Identifier: MIT */
#include "method.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/macro.h"
#include "bpf.h"
#include "inherited.h"
#include "keepalive/error.h"
#include "preload.h"
#include "seccomp-filter.h"
#include "seccomp.h"

/* A path in a message. */
#define SHOWN_MAX 100

static const char *show(const char *path, char shown[SHOWN_MAX])
{
	return escape_text(path, strlen(path), shown, SHOWN_MAX);
}

/* --------------------------------------------------------------------------------- preload */

static int refuse_privileged(const struct program *program, struct tcpkeep_error *error)
{
	const char *slash = strrchr(program->path, '/');
	const char *name = slash ? slash + 1 : program->path;
	char shown[SHOWN_MAX];

	show(program->path, shown);
	if (strcmp(name, "sudo") == 0 || strcmp(name, "doas") == 0)
		return error_set(
			error, -EPERM,
			"%s gains privileges, and the dynamic loader then ignores LD_PRELOAD; put "
			"it in front: %s tcpkeep run ... -- COMMAND",
			shown, name);
	return error_set(error, -EPERM,
			 "%s gains privileges (setuid, setgid or capabilities), and the dynamic "
			 "loader then ignores LD_PRELOAD; run it as the user that it becomes",
			 shown);
}

static int preload_reaches(const struct program *program, struct tcpkeep_error *error)
{
	char shown[SHOWN_MAX], detail[SHOWN_MAX];

	show(program->path, shown);
	switch (program->verdict) {
	case PROGRAM_STATIC:
		return error_set(error, -EINVAL,
				 "%s is statically linked: no dynamic loader, so nothing can be "
				 "preloaded; use a dynamically linked build or method seccomp",
				 shown);
	case PROGRAM_GO:
		return error_set(error, -EINVAL,
				 "%s is a Go program: it calls the kernel past the C library, so "
				 "nothing preloaded sees its sockets; use method seccomp",
				 shown);
	case PROGRAM_OTHER_LIBC:
		return error_set(error, -EINVAL,
				 "%s is loaded by %s, another C library than that of tcpkeep; use "
				 "a tcpkeep that was built with that library or method seccomp",
				 shown, show(program->detail, detail));
	case PROGRAM_OTHER_MACHINE:
		return error_set(error, -EINVAL,
				 "%s is for another processor or word size than tcpkeep; use a "
				 "tcpkeep that was built for it",
				 shown);
	case PROGRAM_PRIVILEGED:
		return refuse_privileged(program, error);
	default:
		return 0;
	}
}

static const char *preload_misses(void)
{
	return "static, Go, setuid and 32-bit programs, programs without the environment (env -i, "
	       "sudo), io_uring";
}

static int preload_probe(struct tcpkeep_error *error)
{
	char library[PATH_MAX];

	return preload_find(library, error);
}

static int preload_enter(struct method_run *run, bool *ret_spoiled, struct tcpkeep_error *error)
{
	char library[PATH_MAX];
	int r;

	*ret_spoiled = false;
	r = preload_find(library, error);
	if (r < 0)
		return r;
	run->plan.root = getpid();
	r = preload_set_environment(library, &run->plan);
	return r < 0 ? error_set(error, r, "cannot set the environment: %s", strerror(-r)) : 0;
}

/* --------------------------------------------------------------------------------- seccomp */

static int seccomp_reaches(const struct program *program, struct tcpkeep_error *error)
{
	char shown[SHOWN_MAX];

	show(program->path, shown);
	if (program->verdict == PROGRAM_OTHER_MACHINE)
		return error_set(error, -EINVAL,
				 "%s is for another processor or word size than tcpkeep, with "
				 "other numbers for the same calls; use a tcpkeep that was built "
				 "for it",
				 shown);
	if (program->verdict == PROGRAM_PRIVILEGED && seccomp_filter_takes_privileges())
		return error_set(error, -EPERM,
				 "%s gains privileges (setuid, setgid or capabilities), which a "
				 "seccomp filter without CAP_SYS_ADMIN takes away from it "
				 "(no_new_privs); run it as the user that it becomes",
				 shown);
	return 0;
}

static const char *seccomp_misses(void)
{
	enum seccomp_reach reach = seccomp_reach();

	if (reach == SECCOMP_MAKES_SOCKETS)
		return "32-bit programs, io_uring; because programs may not be looked into (Yama, "
		       "a sandbox), those of another user, network namespace or cgroup, and what "
		       "is not dumpable";
	if (reach == SECCOMP_SEES_COMMAND_ALONE)
		return "what the program starts, because it may not be looked into (Yama); "
		       "32-bit programs, io_uring";
	if (seccomp_filter_takes_privileges())
		return "32-bit programs, io_uring, programs that may not be looked into";
	return "32-bit programs, io_uring";
}

/* Below a tcpkeep run that preloads, its library is to ask for the same as we do. */
static void agree_with_preload(const struct plan *plan)
{
	struct plan inner = {.settings = plan->settings, .enforce = plan->enforce};
	const char *preloaded = getenv("LD_PRELOAD");
	char text[PLAN_TEXT_MAX];

	if (preloaded && strstr(preloaded, PRELOAD_LIBRARY) &&
	    plan_format(&inner, text, sizeof(text)) >= 0)
		setenv(PLAN_VARIABLE, text, 1);
}

static int seccomp_method_prepare(struct method_run *run, struct tcpkeep_error *error)
{
	return seccomp_check_plan(&run->plan, error);
}

static int seccomp_method_enter(struct method_run *run, bool *ret_spoiled,
				struct tcpkeep_error *error)
{
	agree_with_preload(&run->plan);
	return seccomp_enter(&run->plan, run->report, ret_spoiled, error);
}

/* ------------------------------------------------------------------------------------- bpf */

static int bpf_reaches(const struct program *program, struct tcpkeep_error *error)
{
	(void)program;
	(void)error;
	return 0;
}

static const char *bpf_misses(void)
{
	return "sockets made outside of its cgroup: by a service that it asks (systemd, docker), "
	       "or received from another process";
}

/* A socket belongs to the cgroup in which it was made, and so does what a listener accepts. */
static int bpf_method_prepare(struct method_run *run, struct tcpkeep_error *error)
{
	int inherited = run->plan.enforce ? inherited_first() : -1;

	if (inherited >= 0)
		return error_set(error, -EINVAL,
				 "descriptor %d is a TCP socket that was made outside of its "
				 "cgroup, where nothing can be enforced; close it (%d<&-) or use "
				 "another method",
				 inherited, inherited);
	return bpf_prepare(&run->plan, &run->bpf, error);
}

/* A child of tcpkeep was started in its cgroup; tcpkeep itself, which becomes the program, moves.
 */
static int bpf_enter(struct method_run *run, bool *ret_spoiled, struct tcpkeep_error *error)
{
	int r = run->report ? 0 : bpf_move(run->bpf, error);

	*ret_spoiled = false;
	if (r < 0) {
		bpf_free(&run->bpf);
		return r;
	}
	agree_with_preload(&run->plan);
	inherited_give(&run->plan, run->report);
	return 0;
}

/* ------------------------------------------------------------------------------- the choice */

enum { PRELOAD, SECCOMP, BPF };

const struct method methods[] = {
	[PRELOAD] =
		{
			.name = "preload",
			.misses = preload_misses,
			.reaches = preload_reaches,
			.probe = preload_probe,
			.enter = preload_enter,
		},
	[SECCOMP] =
		{
			.name = "seccomp",
			.misses = seccomp_misses,
			.reaches = seccomp_reaches,
			.takes_privileges = seccomp_filter_takes_privileges,
			.probe = seccomp_probe,
			.prepare = seccomp_method_prepare,
			.enter = seccomp_method_enter,
		},
	[BPF] =
		{
			.name = "bpf",
			.misses = bpf_misses,
			.reaches = bpf_reaches,
			.probe = bpf_probe,
			.prepare = bpf_method_prepare,
			.enter = bpf_enter,
		},
};
const size_t n_methods = ARRAY_SIZE(methods);

bool method_takes_privileges(const struct method *method)
{
	return method->takes_privileges && method->takes_privileges();
}

const struct method *method_find(const char *name)
{
	for (size_t i = 0; i < n_methods; i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}

enum { OF_ONE_PROGRAM, OF_ANY_PROGRAMS, WITHOUT_ENVIRONMENT };

static const struct preference {
	const char *why;
	size_t order[METHODS_MAX];
	size_t n;
} preferences[] = {
	[OF_ONE_PROGRAM] = {"it costs least, and the program is dynamically linked",
			    {PRELOAD, SECCOMP},
			    2},
	[OF_ANY_PROGRAMS] = {"whatever this program starts is reached, static and Go programs too",
			     {SECCOMP, PRELOAD},
			     2},
	[WITHOUT_ENVIRONMENT] =
		{"this program takes the environment away, and with it what preload hangs on",
		 {SECCOMP, PRELOAD},
		 2},
};

/*
 * For whom the kernel does not do it: a program that starts others may start any. The filter misses
 * none of them; without CAP_SYS_ADMIN, though, it takes their powers from sudo, su and ping, and to
 * break one is worse than to miss one.
 */
static const struct preference *prefer(const struct program *program)
{
	if (program->starts_others && !seccomp_filter_takes_privileges())
		return &preferences[OF_ANY_PROGRAMS];
	return &preferences[program->drops_environment ? WITHOUT_ENVIRONMENT : OF_ONE_PROGRAM];
}

static bool consider(const struct method *method, const struct program *program, const char *why,
		     struct choice *choice)
{
	struct tcpkeep_error *error = &choice->refused[choice->n_refused].error;

	if (method->reaches(program, error) < 0 || method->probe(error) < 0) {
		choice->refused[choice->n_refused++].method = method;
		return false;
	}
	choice->why[choice->n] = why;
	choice->order[choice->n++] = method;
	return true;
}

void method_choose(const struct program *program, const struct method *forced, struct choice *ret)
{
	const struct preference *preference = prefer(program);
	const char *why = preference->why;

	memset(ret, 0, sizeof(*ret));
	if (forced) {
		consider(forced, program, "as you say", ret);
		return;
	}
	consider(&methods[BPF], program, "it misses least, and costs nothing for each call", ret);
	for (size_t i = 0; i < preference->n; i++)
		if (!consider(&methods[preference->order[i]], program, why, ret))
			why = "no other one can";
}

const char *method_why_behind(const struct choice *choice, size_t i)
{
	if (choice->order[0] != &methods[PRELOAD])
		return "it misses more";
	if (method_takes_privileges(choice->order[i]))
		return "it takes their powers from setuid programs (no_new_privs) and costs more "
		       "for each connect(); what it misses";
	return "it costs more for each connect(); what it misses";
}

/* Takes the first out of the order. */
static void refuse_first(struct choice *choice, const struct tcpkeep_error *error)
{
	choice->refused[choice->n_refused].method = choice->order[0];
	choice->refused[choice->n_refused++].error = *error;
	choice->n--;
	memmove(choice->order, choice->order + 1, choice->n * sizeof(choice->order[0]));
	memmove(choice->why, choice->why + 1, choice->n * sizeof(choice->why[0]));
}

void method_prepare(struct choice *choice, struct method_run *run)
{
	struct tcpkeep_error error;

	while (choice->n > 0 && choice->order[0]->prepare &&
	       choice->order[0]->prepare(run, &error) < 0)
		refuse_first(choice, &error);
}

int method_cgroup(const struct method_run *run)
{
	return run->bpf ? bpf_cgroup(run->bpf) : -1;
}

void method_finish(struct method_run *run)
{
	if (run->bpf && run->report)
		bpf_count(run->bpf, run->report);
	bpf_free(&run->bpf);
}

int method_enter(const struct choice *choice, struct method_run *run, struct tcpkeep_error *error)
{
	int r = -EINVAL;

	for (size_t i = 0; i < choice->n; i++) {
		bool spoiled;

		r = choice->order[i]->enter(run, &spoiled, error);
		if (r == 0 && run->report)
			run->report->method = (uint64_t)(choice->order[i] - methods) + 1;
		if (r == 0 || spoiled)
			return r;
	}
	return r;
}
