/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's user notification costs by itself: a command whose connect() calls wait for a
 * supervisor that looks at nothing and lets each go on. One thread receives. Asleep: it sleeps in
 * between, and the kernel may run it where the caller ran, which is the quickest for one caller.
 * Awake: it looks for the next call for up to 100 us and runs where it will, which is the quickest
 * for several.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* linux/seccomp.h, 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

static int install(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {ARRAY_SIZE(code), code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &program);
}

/* Until there is a call, or 100 us have passed. */
static void look(int listener)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN};
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		if (poll(&fd, 1, 0) != 0)
			return;
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec < 100000);
}

_Noreturn static void serve(int listener, bool awake)
{
	struct seccomp_notif_resp resp = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
	struct seccomp_notif notif;

	if (!awake)
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	for (;;) {
		if (awake)
			look(listener);
		/* The kernel wants it empty. */
		memset(&notif, 0, sizeof(notif));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notif) < 0)
			continue;
		resp.id = notif.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	}
}

/* notify-floor asleep|awake COMMAND [ARGUMENT...] */
int main(int argc, char **argv)
{
	int listener = install();
	pid_t parent = getpid(), pid;

	if (argc < 3 || listener < 0) {
		fprintf(stderr, "notify-floor: %s\n", argc < 3 ? "no command" : strerror(errno));
		return EXIT_FAILURE;
	}
	pid = fork();
	if (pid == 0) {
		/* It has the filter itself, so that the listener never hears of the end. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(EXIT_SUCCESS);
		/* A pipe ends with the command. */
		close(STDOUT_FILENO);
		serve(listener, strcmp(argv[1], "awake") == 0);
	}
	close(listener);
	if (pid > 0)
		execvp(argv[2], argv + 2);
	fprintf(stderr, "notify-floor: %s: %s\n", argv[2], strerror(errno));
	return EXIT_FAILURE;
}
