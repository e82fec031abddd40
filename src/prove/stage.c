/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "keepalive/error.h"

static void stop_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGHUP);
}

/*
 * The parent holds lifeline's other end: closed before PR_SET_PDEATHSIG took effect, it tells that
 * the parent has already died.
 */
static _Noreturn void be_first(int lifeline, int (*play)(int stop, void *userdata), void *userdata)
{
	struct pollfd parent = {.fd = lifeline, .events = POLLIN};
	sigset_t signals;
	int stop;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || poll(&parent, 1, 0) > 0)
		_exit(1);
	/* The parent has blocked them: none is lost. */
	stop_signals(&signals);
	stop = signalfd(-1, &signals, SFD_CLOEXEC);
	if (stop < 0)
		_exit(1);
	_exit(play(stop, userdata));
}

/* Passes signals on until the child has ended. */
static int attend(pid_t child, int signals, int *ret_signal)
{
	struct signalfd_siginfo info;
	int status;

	for (;;) {
		if (read(signals, &info, sizeof(info)) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (info.ssi_signo == SIGCHLD) {
			if (waitpid(child, &status, WNOHANG) == child)
				break;
			continue;
		}
		*ret_signal = (int)info.ssi_signo;
		kill(child, (int)info.ssi_signo);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

/* Forks into a PID namespace of its own. What refuses one is passed over: PR_SET_PDEATHSIG then has
 * to do. */
static pid_t fork_first(void)
{
	_cleanup_close_ int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	bool apart = own >= 0 && unshare(CLONE_NEWPID) == 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	/* As long as children belong elsewhere, this process can have no thread. */
	if (child != 0 && apart)
		setns(own, CLONE_NEWPID);
	return child < 0 ? -errno : child;
}

int stage_run(int (*play)(int stop, void *userdata), void *userdata, int *ret_signal,
	      struct tcpkeep_error *error)
{
	_cleanup_close_ int lifeline = -1, signals = -1;
	int ends[2], r, came = 0;
	sigset_t wanted, before;
	pid_t child;

	stop_signals(&wanted);
	sigaddset(&wanted, SIGCHLD);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
	lifeline = ends[1];
	sigprocmask(SIG_BLOCK, &wanted, &before);
	signals = signalfd(-1, &wanted, SFD_CLOEXEC);
	child = signals < 0 ? -errno : fork_first();
	if (child == 0) {
		close(ends[1]);
		be_first(ends[0], play, userdata);
	}
	close(ends[0]);
	r = child < 0 ? child : attend(child, signals, &came);
	sigprocmask(SIG_SETMASK, &before, NULL);
	*ret_signal = came;
	if (r == -ECHILD)
		return error_set(error, r, "the experiment was killed");
	if (r < 0)
		return error_set(error, r, "cannot begin: %s", strerror(-r));
	return r;
}
