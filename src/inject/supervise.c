/* SPDX-License-Identifier: MIT */
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

/* What this process was started with, which the child gets back. */
struct supervisor {
	sigset_t mask;
	struct sigaction on_child;
	const struct supervise_with *with;
	bool moves; /* into the cgroup by itself */
	pid_t child;
	int told;  /* read end of a pipe: what its execve() came to; -1: it is known */
	int error; /* -errno of that; 0 */
};

/* Where clone3() does not know of cgroups (before Linux 5.7) or is forbidden: moves. */
static int enter_cgroup(int cgroup)
{
	_cleanup_close_ int fd = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "0", 1) != 1 ? -ECHILD : 0;
}

_Noreturn static void execute(const struct supervisor *supervisor, pid_t parent, int tell)
{
	int error, r;

	/* After kill -9 of the parent nobody is left who could be told apart from the program. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	sigaction(SIGCHLD, &supervisor->on_child, NULL);
	sigprocmask(SIG_SETMASK, &supervisor->mask, NULL);
	r = supervisor->moves ? enter_cgroup(supervisor->with->cgroup) : 0;
	if (r == 0)
		r = supervisor->with->execute(supervisor->with->userdata);
	error = -r;
	(void)!write(tell, &error, sizeof(error));
	_exit(EXIT_FAILURE);
}

/* fork(), of which the child is inside the cgroup from its first instruction on. */
static pid_t start_inside(struct supervisor *supervisor)
{
	struct clone_args args = {.flags = CLONE_INTO_CGROUP,
				  .exit_signal = SIGCHLD,
				  .cgroup = (__u64)supervisor->with->cgroup};
	pid_t pid;

	if (supervisor->with->cgroup < 0) {
		pid = fork();
		return pid < 0 ? -errno : pid;
	}
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid >= 0)
		return pid;
	if (errno == EAGAIN || errno == ENOMEM)
		return -errno;
	supervisor->moves = true;
	pid = fork();
	return pid < 0 ? -errno : pid;
}

/* Starts the child. Its execve() is told through a pipe, which a successful one closes. */
static int start(struct supervisor *supervisor)
{
	_cleanup_close_ int tell = -1;
	pid_t parent = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	supervisor->told = fds[0];
	tell = fds[1];
	supervisor->child = start_inside(supervisor);
	if (supervisor->child == 0)
		execute(supervisor, parent, tell);
	return supervisor->child < 0 ? supervisor->child : 0;
}

static void hear_of_start(struct supervisor *supervisor)
{
	int error;
	ssize_t n;

	do
		n = read(supervisor->told, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(error))
		supervisor->error = -error;
	close(steal_fd(&supervisor->told));
}

/* Signals that a terminal sends to a whole group: the child has its own already, while it is in
 * ours. */
static bool is_of_terminal(const struct supervisor *supervisor, const struct signalfd_siginfo *info)
{
	if (info->ssi_code != SI_KERNEL || getpgid(supervisor->child) != getpgrp())
		return false;
	switch (info->ssi_signo) {
	case SIGINT:
	case SIGQUIT:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGHUP:
	case SIGWINCH:
		return true;
	default:
		return false;
	}
}

static void forward(const struct supervisor *supervisor, const struct signalfd_siginfo *info)
{
	union sigval value = {.sival_ptr = (void *)(uintptr_t)info->ssi_ptr};

	/* The child signals its own group: it knows. */
	if (is_of_terminal(supervisor, info) || info->ssi_pid == (uint32_t)supervisor->child)
		return;
	if (info->ssi_code == SI_QUEUE)
		sigqueue(supervisor->child, (int)info->ssi_signo, value);
	else
		kill(supervisor->child, (int)info->ssi_signo);
}

/* Stops as the child did, so that the shell sees the job stop; returns when somebody continues it.
 */
static void stop_as(int signal_number)
{
	struct sigaction stop = {.sa_handler = SIG_DFL}, before;
	sigset_t one, mask;

	sigemptyset(&one);
	sigaddset(&one, signal_number);
	sigaction(signal_number, &stop, &before);
	/* The terminal's own may be pending as well: still blocked, the two become one. */
	raise(signal_number);
	sigprocmask(SIG_UNBLOCK, &one, &mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	sigaction(signal_number, &before, NULL);
}

/* Takes the SIGCONT that was sent to this process, if one was: it is blocked, so it waits. */
static bool take_continue(void)
{
	static const struct timespec now = {0, 0};
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, SIGCONT);
	return sigtimedwait(&one, NULL, &now) == SIGCONT;
}

/*
 * True when the child has ended. When it has stopped, so does this process; when this one is
 * continued, so is the child, unless it was by the same kill() of the whole group: another SIGCONT
 * could then undo a stop that came after it.
 */
static bool take_child_news(const struct supervisor *supervisor, int *ret_status)
{
	bool owes_continue = false;
	pid_t pid;
	int status;

	/* Whichever child: as the first process of a container this one inherits orphans. */
	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		if (pid != supervisor->child)
			continue;
		if (WIFCONTINUED(status)) {
			owes_continue = false;
		} else if (WIFSTOPPED(status)) {
			/* Stopped and continued as a group, we were quicker: it is not to stop
			 * again. */
			owes_continue = take_continue();
			if (!owes_continue) {
				stop_as(WSTOPSIG(status));
				/* Without a shell that could continue it, a group does not stop at
				 * all. */
				owes_continue = take_continue();
			}
		} else {
			*ret_status = status;
			return true;
		}
	}
	if (owes_continue)
		kill(supervisor->child, SIGCONT);
	return false;
}

/* Waits for a signal and passes it on. */
static void take_signal(struct supervisor *supervisor, int signals)
{
	const struct supervise_with *with = supervisor->with;
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
			       {.fd = with->watched, .events = POLLIN},
			       {.fd = supervisor->told, .events = POLLIN}};
	struct signalfd_siginfo info;

	if (poll(fds, ARRAY_SIZE(fds), -1) <= 0)
		return; /* EINTR: stopped and continued */
	if (fds[2].revents)
		hear_of_start(supervisor);
	if (fds[1].revents)
		with->on_watched(with->userdata);
	if (fds[0].revents && read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info) &&
	    info.ssi_signo != SIGCHLD)
		forward(supervisor, &info);
}

/* What this process was started with. */
static void give_back(const struct supervisor *supervisor)
{
	sigaction(SIGCHLD, &supervisor->on_child, NULL);
	sigprocmask(SIG_SETMASK, &supervisor->mask, NULL);
}

int supervise(const struct supervise_with *with, int *ret_status)
{
	struct sigaction by_default = {.sa_handler = SIG_DFL};
	struct supervisor supervisor = {.with = with, .told = -1};
	_cleanup_close_ int signals = -1;
	int status = 0, r;
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &supervisor.mask);
	/* An ignored SIGCHLD would take the exit status away. */
	sigaction(SIGCHLD, &by_default, &supervisor.on_child);
	signals = signalfd(-1, &all, SFD_CLOEXEC);
	r = signals < 0 ? -errno : start(&supervisor);
	if (r == 0) {
		while (!take_child_news(&supervisor, &status))
			take_signal(&supervisor, signals);
		if (supervisor.told >= 0)
			hear_of_start(&supervisor);
		r = supervisor.error;
	}
	cleanup_close(&supervisor.told);
	if (r < 0) {
		give_back(&supervisor);
		return r;
	}
	*ret_status = status;
	return 0;
}

_Noreturn void supervise_end_as(int status)
{
	static const struct rlimit none = {0, 0};
	struct sigaction by_default = {.sa_handler = SIG_DFL};
	sigset_t one;

	if (!WIFSIGNALED(status))
		_exit(WEXITSTATUS(status));
	/* The pipe form of core_pattern ignores the limit, not the flag. */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	sigaction(WTERMSIG(status), &by_default, NULL);
	sigemptyset(&one);
	sigaddset(&one, WTERMSIG(status));
	raise(WTERMSIG(status));
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	_exit(128 + WTERMSIG(status));
}
