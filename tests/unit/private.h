/* SPDX-License-Identifier: MIT */
/*
 * A place of one's own for tests that need the real kernel: new network and mount namespaces, in a
 * user namespace when the test has no root. Nothing of the machine's own /proc, /run or sysctls is
 * touched.
 */
#pragma once

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <tcpkeep.h>
#include <unistd.h>

/* Before any thread starts. Ends the test as skipped where namespaces cannot be made. */
static inline void enter_private_place(void)
{
	unsigned uid = geteuid(), gid = getegid();
	static const char *const files[] = {"setgroups", "uid_map", "gid_map"};

	if (uid != 0 && unshare(CLONE_NEWUSER) == 0)
		for (int i = 0; i < 3; i++) {
			char path[32];
			FILE *f;

			snprintf(path, sizeof(path), "/proc/self/%s", files[i]);
			f = fopen(path, "we");
			if (!f)
				continue;
			if (i == 0)
				fputs("deny", f);
			else
				fprintf(f, "0 %u 1", i == 1 ? uid : gid);
			fclose(f);
		}
	if (geteuid() == 0 && unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 &&
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		return;
	printf("1..0 # SKIP no private namespaces: run as root, or allow user namespaces\n");
	exit(0);
}

/* What a child found. */
struct finding {
	int result;
	struct tcpkeep_error error;
	struct tcpkeep_sysctls sysctls;
};

/* Runs fn in a child with mounts of its own, and takes over what it found. -EPROTO: the child
 * failed. */
static inline struct finding in_child(void (*fn)(struct finding *finding))
{
	struct finding finding = {.result = -71};
	int pipe_fds[2], status;
	pid_t pid;

	if (pipe(pipe_fds) < 0)
		return finding;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNS) == 0)
			fn(&finding);
		_exit(write(pipe_fds[1], &finding, sizeof(finding)) != sizeof(finding));
	}
	close(pipe_fds[1]);
	if (read(pipe_fds[0], &finding, sizeof(finding)) != sizeof(finding))
		finding.result = -71;
	close(pipe_fds[0]);
	waitpid(pid, &status, 0);
	return finding;
}

/* For children: what has to work there. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "# %s:%d: %s: %m\n", __FILE__, __LINE__, #condition);      \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)
