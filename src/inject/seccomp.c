/* SPDX-License-Identifier: MIT */
#include "seccomp.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "apart.h"
#include "base/cleanup.h"
#include "base/number.h"
#include "inherited.h"
#include "keepalive/error.h"
#include "pass-fd.h"
#include "seccomp-filter.h"
#include "seccomp-pair.h"
#include "target.h"

/* True when its number cannot be understood. */
static bool is_kernel_at_least(int64_t wanted_major, int64_t wanted_minor)
{
	struct utsname name;
	int64_t major, minor;
	size_t n;

	if (uname(&name) < 0)
		return true;
	n = strcspn(name.release, ".");
	if (number_parse(name.release, n, 0, INT32_MAX, &major) < 0 || name.release[n] == '\0' ||
	    number_parse(name.release + n + 1, strspn(name.release + n + 1, "0123456789"), 0,
			 INT32_MAX, &minor) < 0)
		return true;
	return major > wanted_major || (major == wanted_major && minor >= wanted_minor);
}

enum seccomp_reach seccomp_reach(void)
{
	enum target_reach reach = target_reach();

	if (reach == TARGET_ALL)
		return SECCOMP_SEES_ALL;
	/* From there on signals wait meanwhile: SECCOMP_FLAG_WAIT_KILLABLE_RECV. */
	if (is_kernel_at_least(5, 19) && target_can_compare())
		return SECCOMP_MAKES_SOCKETS;
	return reach == TARGET_DECLARED ? SECCOMP_SEES_COMMAND_ALONE : SECCOMP_SEES_NOTHING;
}

static int probe_reach(struct tcpkeep_error *error)
{
	enum target_reach reach;
	int r;

	r = target_probe(&reach);
	if (r == -EMFILE || r == -ENFILE)
		return error_set(error, r, "no descriptors: %s; raise the limit (ulimit -n)",
				 strerror(-r));
	if (r < 0)
		return error_set(error, -EOPNOTSUPP, "pidfd_open: %s: a sandbox forbids it",
				 strerror(-r));
	if (seccomp_reach() == SECCOMP_SEES_NOTHING)
		return error_set(error, -EPERM,
				 "a sandbox without pidfd_getfd, or kernel.yama.ptrace_scope, "
				 "forbids to look into programs, and to do without takes Linux "
				 "5.19 and a /proc of this PID namespace; run it with "
				 "CAP_SYS_PTRACE");
	return 0;
}

int seccomp_probe(struct tcpkeep_error *error)
{
	int r;

	/* Before, nobody hears of the end of the last program (seccomp_notify_poll(): EPOLLHUP),
	 * and the supervisor would stay for ever. */
	if (!is_kernel_at_least(5, 9))
		return error_set(error, -EOPNOTSUPP,
				 "this kernel is older than Linux 5.9, which method seccomp needs");
	r = seccomp_filter_probe(error);
	if (r < 0)
		return r;
	if (!seccomp_sizes_fit())
		return error_set(error, -EOPNOTSUPP,
				 "this kernel's seccomp notifications are larger than this tcpkeep "
				 "knows");
	return probe_reach(error);
}

int seccomp_check_plan(const struct plan *plan, struct tcpkeep_error *error)
{
	if (plan->enforce && target_reach() == TARGET_NONE)
		return error_set(error, -EPERM,
				 "a sandbox without pidfd_getfd, or kernel.yama.ptrace_scope, "
				 "forbids to look into programs, so that nothing can be enforced; "
				 "run it with CAP_SYS_PTRACE, or without --enforce");
	return 0;
}

struct guardian {
	struct seccomp *seccomp;
	int control;
};

static void guard(void *userdata)
{
	const struct guardian *guardian = userdata;

	seccomp_guard(guardian->seccomp, guardian->control);
}

static int fail_start(int r, struct tcpkeep_error *error)
{
	const char *advice = "";

	if (r == -EAGAIN)
		advice = "; raise the limit of processes (ulimit -u, pids.max of the cgroup) or "
			 "use method preload";
	else if (r == -EMFILE)
		advice = "; raise the limit (ulimit -n) or use method preload";
	return error_set(error, r, "seccomp: the supervisor cannot be started: %s%s", strerror(-r),
			 advice);
}

/* Waits for what guardian or supervisor says. */
static int hear(int control)
{
	struct seccomp_guard_says says;
	ssize_t n;

	do
		n = read(control, &says, sizeof(says));
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(says))
		return -EPIPE;
	/* With Yama a process has to say who may look into it: this one can, its children cannot.
	 * Without, the kernel does not know the word. */
	if (says.error == 0)
		prctl(PR_SET_PTRACER, (unsigned long)says.pid, 0, 0, 0);
	return -says.error;
}

/* Which options of setsockopt() have to be looked at. */
static uint32_t watched_fields(const struct plan *plan, const struct report *report)
{
	if (plan->enforce)
		return plan->settings.fields;
	/* A value of the program's own is seen on the socket; off alone is not. What it changes
	 * later is only counted. */
	return report ? plan->settings.fields | TCPKEEP_ON : TCPKEEP_ON;
}

int seccomp_enter(const struct plan *plan, struct report *report, bool *ret_turned,
		  struct tcpkeep_error *error)
{
	_cleanup_close_ int ours = -1, theirs = -1, listener = -1;
	struct seccomp seccomp = {
		.plan = plan,
		.report = report,
		.makes_sockets = seccomp_reach() == SECCOMP_MAKES_SOCKETS,
		.listener = -1,
		.control = -1,
	};
	struct guardian guardian;
	const char byte = 0;
	int fds[2], r;

	*ret_turned = false;
	inherited_give(plan, report);
	seccomp.shared = mmap(NULL, sizeof(*seccomp.shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seccomp.shared == MAP_FAILED)
		return error_set(error, -errno, "seccomp: no memory: %s", strerror(errno));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set(error, -errno,
				 "seccomp: no descriptors: %s; raise the limit (ulimit -n)",
				 strerror(errno));
	ours = fds[0];
	theirs = fds[1];
	guardian = (struct guardian){&seccomp, theirs};
	r = apart_start(guard, &guardian);
	if (r < 0)
		return fail_start(r, error);
	close(steal_fd(&theirs));
	listener =
		seccomp_filter_install(watched_fields(plan, report), seccomp.makes_sockets, error);
	if (listener < 0)
		return listener;
	*ret_turned = true;
	r = pass_fd_send(ours, &byte, 1, listener, 0, NULL, 0);
	if (r == 0)
		r = hear(ours);
	if (r < 0)
		return fail_start(r, error);
	*ret_turned = false;
	return 0;
}
