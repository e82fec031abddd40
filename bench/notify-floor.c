/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's user notification costs one caller by itself: a command whose connect() calls
 * wait for a supervisor that looks at nothing and lets each go on. It sleeps in between, and the
 * kernel may run it where the caller ran.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
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

_Noreturn static void serve(int listener)
{
	struct seccomp_notif_resp resp = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
	struct seccomp_notif notif;

	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	for (;;) {
		/* The kernel wants it empty. */
		memset(&notif, 0, sizeof(notif));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notif) < 0)
			continue;
		resp.id = notif.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	}
}

/* notify-floor COMMAND [ARGUMENT...] */
int main(int argc, char **argv)
{
	int listener = install();
	pid_t parent = getpid(), pid;

	if (argc < 2 || listener < 0) {
		fprintf(stderr, "notify-floor: %s\n", argc < 2 ? "no command" : strerror(errno));
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
		serve(listener);
	}
	close(listener);
	if (pid > 0)
		execvp(argv[1], argv + 1);
	fprintf(stderr, "notify-floor: %s: %s\n", argv[1], strerror(errno));
	return EXIT_FAILURE;
}
