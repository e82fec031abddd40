/* SPDX-License-Identifier: MIT */
#include "apart.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

#ifndef SYS_close_range
#define SYS_close_range 436 /* one number on all architectures */
#endif

/* A child that its parent finds with __WALL alone, and whose end sends no signal. */
static pid_t fork_unseen(void)
{
	return (pid_t)syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL);
}

/* Is this process, and so the program, given orphans? The first of a container;
 * PR_SET_CHILD_SUBREAPER lasts over execve(). */
static bool adopts(void)
{
	int subreaper = 0;

	return getpid() == 1 ||
	       (prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0) == 0 && subreaper);
}

/* Keeps whatever is started apart for its own, and ends with the last of them. */
_Noreturn static void adopt(void)
{
	apart_leave(NULL, 0);
	prctl(PR_SET_NAME, "tcpkeep-apart");
	while (wait(NULL) >= 0 || errno == EINTR)
		;
	_exit(0);
}

/* The one in between stays: as an orphan, what it started would be the program's to wait for. */
static int start_below(void (*main)(void *userdata), void *userdata)
{
	_cleanup_close_ int told = -1, tell = -1;
	int fds[2], error = 0;
	pid_t between, pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	told = fds[0];
	tell = fds[1];
	between = fork_unseen();
	if (between < 0)
		return -errno;
	if (between == 0) {
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		pid = fork();
		if (pid == 0)
			main(userdata);
		error = errno;
		if (pid < 0)
			(void)!write(tell, &error, sizeof(error));
		adopt();
	}
	close(steal_fd(&tell));
	while (read(told, &error, sizeof(error)) < 0 && errno == EINTR)
		;
	return -error;
}

/* The one in between is gone when this returns. */
static int start_as_orphan(void (*main)(void *userdata), void *userdata)
{
	pid_t between, pid;
	int status;

	between = fork_unseen();
	if (between < 0)
		return -errno;
	if (between == 0) {
		pid = fork();
		if (pid == 0)
			main(userdata);
		_exit(pid < 0 ? errno : 0);
	}
	while (waitpid(between, &status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EAGAIN;
}

/*
 * With signals blocked: a ^Z is for the program. A stop that comes in the midst of a fork() is the
 * new process's as well, and a SIGCONT that comes in the same moment is not (send_signal_locked()
 * drops it as ignored before it looks at forks): such a process would stay stopped.
 */
int apart_start(void (*main)(void *userdata), void *userdata)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	r = adopts() ? start_below(main, userdata) : start_as_orphan(main, userdata);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

static bool is_kept(int fd, const int *kept, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (kept[i] == fd)
			return true;
	return false;
}

/* The lowest of those that are kept, from fd on. */
static int next_kept(int fd, const int *kept, size_t n)
{
	int next = INT_MAX;

	for (size_t i = 0; i < n; i++)
		if (kept[i] >= fd)
			next = MIN(next, kept[i]);
	return next;
}

/* Before Linux 5.9 one by one, as far as a usual limit goes. */
void apart_close_others(const int *kept, size_t n)
{
	struct rlimit limit = {.rlim_cur = 1024};
	int next;

	for (int from = 0;; from = next + 1) {
		next = next_kept(from, kept, n);
		if (next > from &&
		    syscall(SYS_close_range, from, next == INT_MAX ? ~0U : (unsigned)next - 1, 0))
			break;
		if (next == INT_MAX)
			return;
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	for (int fd = 0; fd < (int)MIN(limit.rlim_cur, (rlim_t)65536); fd++)
		if (!is_kept(fd, kept, n))
			close(fd);
}

/* Signals of the terminal and of who ends a whole service are not for us: we go last. */
static void block_signals(void)
{
	static const int bugs[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	sigset_t all;

	sigfillset(&all);
	for (size_t i = 0; i < ARRAY_SIZE(bugs); i++) {
		signal(bugs[i], SIG_DFL);
		sigdelset(&all, bugs[i]);
	}
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGCHLD, SIG_IGN); /* no zombies */
}

void apart_leave(int *fds, size_t n)
{
	int null;

	block_signals();
	setpgid(0, 0);
	(void)!chdir("/");
	/* Closed first: the program's own may be all that the limit allows. */
	apart_close_others(fds, n);
	for (size_t i = 0; i < n; i++) {
		int higher = fcntl(fds[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

		if (higher < 0)
			continue;
		close(fds[i]);
		fds[i] = higher;
	}
	null = open("/dev/null", O_RDWR);
	while (null >= 0 && null < STDERR_FILENO)
		null = dup(null);
}
