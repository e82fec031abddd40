/* SPDX-License-Identifier: MIT */
#include "apart.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"

#ifndef SYS_close_range
#define SYS_close_range 436 /* one number on all architectures */
#endif

int apart_start(void (*main)(void *userdata), void *userdata)
{
	pid_t between, pid;
	int status;

	between = (pid_t)syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL);
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
	setsid();
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
