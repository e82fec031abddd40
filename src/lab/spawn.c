/* SPDX-License-Identifier: MIT */
/*
 * Programs inside a namespace. The child enters it itself: PR_SET_PDEATHSIG is bound to the thread
 * that forked, so a short-lived one must not.
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/pidfd.h"
#include "keepalive/error.h"

extern char **environ;

/* How a child tells why it never became the program. */
struct failure {
	const char *what; /* static: the same address in the child */
	int error;
};

struct plan {
	int netns;
	char *const *argv;
	char **environment;
	const int *stdio;
	bool keep_privilege;
	pid_t parent;
	int report; /* the pipe's end for struct failure */
};

static bool same_name(const char *a, const char *b)
{
	size_t len = strcspn(a, "=");

	return strncmp(a, b, len) == 0 && b[len] == '=';
}

/* The caller's environment with additions, which win. An array to free; the strings are borrowed.
 */
static char **environment_with(char *const additions[])
{
	size_t n = 0, n_additions = 0, used = 0;
	char **all;

	while (environ && environ[n])
		n++;
	while (additions && additions[n_additions])
		n_additions++;
	all = calloc(n + n_additions + 1, sizeof(*all));
	if (!all)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		bool replaced = false;

		for (size_t j = 0; j < n_additions && !replaced; j++)
			replaced = same_name(additions[j], environ[i]);
		if (!replaced)
			all[used++] = environ[i];
	}
	for (size_t j = 0; j < n_additions; j++)
		all[used++] = additions[j];
	return all;
}

static int raise_ambient(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[0].inheritable |= 1U << CAP_NET_ADMIN;
	if (syscall(SYS_capset, &header, data) < 0)
		return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) < 0)
		return -errno;
	return 0;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL); /* SIGKILL, SIGSTOP and libc's own refuse: no harm */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Each goes to 3 or above first, so that none is overwritten before it is used. */
static int place_stdio(const int stdio[3])
{
	int high[3];

	for (int i = 0; i < 3; i++) {
		high[i] = fcntl(stdio[i] >= 0 ? stdio[i] : i, F_DUPFD_CLOEXEC, 3);
		if (high[i] < 0 && (stdio[i] >= 0 || errno != EBADF))
			return -errno;
	}
	for (int i = 0; i < 3; i++)
		if (high[i] >= 0 && dup2(high[i], i) < 0)
			return -errno;
	return 0;
}

static _Noreturn void give_up(const struct plan *plan, const char *what, int error)
{
	struct failure failure = {what, error};
	ssize_t n = write(plan->report, &failure, sizeof(failure));

	_exit(n == sizeof(failure) ? 127 : 126);
}

static _Noreturn void become(struct plan *plan)
{
	int r;

	/* With the caller's stdio closed, the pipe may lie where stdio goes. */
	plan->report = fcntl(plan->report, F_DUPFD_CLOEXEC, 3);
	if (plan->report < 0)
		_exit(127);
	reset_signals();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		give_up(plan, "PR_SET_PDEATHSIG", errno);
	if (getppid() != plan->parent)
		_exit(127); /* it died before it could be watched */
	if (setns(plan->netns, CLONE_NEWNET) < 0)
		give_up(plan, "network namespace", errno);
	if (plan->keep_privilege) {
		r = raise_ambient();
		if (r < 0)
			give_up(plan, "CAP_NET_ADMIN", -r);
	}
	r = place_stdio(plan->stdio);
	if (r < 0)
		give_up(plan, "stdio", -r);
	execvpe(plan->argv[0], plan->argv, plan->environment);
	give_up(plan, plan->argv[0], errno);
}

/* Waits until exec has closed the pipe or the child has told why not. */
static int hear_failure(int report, struct failure *ret)
{
	ssize_t n;

	do
		n = read(report, ret, sizeof(*ret));
	while (n < 0 && errno == EINTR);
	return n == sizeof(*ret) ? -ret->error : 0;
}

pid_t spawn(int netns, char *const argv[], char *const env[], const int stdio[3],
	    bool keep_privilege, int *ret_pidfd, struct tcpkeep_error *error)
{
	static const int own[3] = {-1, -1, -1};
	_cleanup_free_ char **environment = environment_with(env);
	_cleanup_close_ int report = -1, pidfd = -1;
	struct failure failure;
	struct plan plan = {.netns = netns, .argv = argv, .environment = environment};
	int ends[2], r;
	pid_t pid;

	plan.stdio = stdio ? stdio : own;
	plan.keep_privilege = keep_privilege;
	plan.parent = getpid();
	if (!environment)
		return error_set(error, -ENOMEM, "%s: %s", argv[0], strerror(ENOMEM));
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(error, -errno, "%s: %s", argv[0], strerror(errno));
	report = ends[0];
	plan.report = ends[1];
	pid = fork();
	if (pid == 0)
		become(&plan);
	r = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (r < 0)
		return error_set(error, r, "%s: %s", argv[0], strerror(-r));

	/* Nobody else waits for it, so the number cannot be another's yet. */
	pidfd = pidfd_of(pid, 0);
	r = pidfd < 0 ? pidfd : 0;
	if (r < 0) {
		kill(pid, SIGKILL);
		failure.what = "pidfd_open";
	} else {
		r = hear_failure(report, &failure);
	}
	if (r < 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return error_set(error, r, "%s: %s", failure.what, strerror(-r));
	}
	*ret_pidfd = steal_fd(&pidfd);
	return pid;
}

pid_t lab_spawn(int netns, char *const argv[], char *const env[], const int stdio[3],
		int *ret_pidfd, struct tcpkeep_error *error)
{
	return spawn(netns, argv, env, stdio, false, ret_pidfd, error);
}
