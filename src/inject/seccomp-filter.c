/* SPDX-License-Identifier: MIT */
#include "seccomp-filter.h"

#include <endian.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "keepalive/error.h"
#include "keepalive/socket.h"
#include "keepalive/visit.h"

/* Calls of another architecture (32 bits, x32) have other numbers: they are allowed unseen. */
#if defined(__x86_64__) && !defined(__ILP32__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCH AUDIT_ARCH_RISCV64
#else
#define NATIVE_ARCH 0
#endif

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425 /* one number on all architectures */
#endif

/* include/linux/net.h: what else is in the type are flags. */
#define SOCK_TYPE_MASK 0xf

/* The lower half of an argument: these are ints, of whose upper half the kernel takes no notice. */
#define ARGUMENT(i)                                                                                \
	((uint32_t)(offsetof(struct seccomp_data, args) + (i) * sizeof(uint64_t) +                 \
		    (BYTE_ORDER == BIG_ENDIAN ? 4 : 0)))

/* ------------------------------------------------------------------------------ the program */

#define INSTRUCTIONS_MAX 64

struct program {
	struct sock_filter code[INSTRUCTIONS_MAX];
	unsigned short n;
};

static void emit(struct program *program, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	program->code[program->n++] = (struct sock_filter){code, yes, no, k};
}

static void load(struct program *program, uint32_t offset)
{
	emit(program, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void end(struct program *program, uint32_t action)
{
	emit(program, BPF_RET | BPF_K, action, 0, 0);
}

/* What is loaded equals value: ask the supervisor. */
static void notify_if(struct program *program, uint32_t value)
{
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	end(program, SECCOMP_RET_USER_NOTIF);
}

/* A call that is a connect() when its flags say so. */
static void notify_fastopen(struct program *program, uint32_t call, int flags)
{
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4);
	load(program, ARGUMENT(flags));
	emit(program, BPF_JMP | BPF_JSET | BPF_K, MSG_FASTOPEN, 0, 1);
	end(program, SECCOMP_RET_USER_NOTIF);
	end(program, SECCOMP_RET_ALLOW);
}

/* A stream of IPv4 or IPv6 is made. */
static void notify_socket(struct program *program)
{
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 8);
	load(program, ARGUMENT(0));
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0);
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 4);
	load(program, ARGUMENT(1));
	emit(program, BPF_ALU | BPF_AND | BPF_K, SOCK_TYPE_MASK, 0, 0);
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 0, 1);
	end(program, SECCOMP_RET_USER_NOTIF);
	end(program, SECCOMP_RET_ALLOW);
}

/* setsockopt() of one of the options; the program's last part. */
static void notify_options(struct program *program, uint32_t fields)
{
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 1, 0);
	end(program, SECCOMP_RET_ALLOW);
	load(program, ARGUMENT(1));
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, SOL_SOCKET, 0, fields & TCPKEEP_ON ? 4 : 1);
	if (fields & TCPKEEP_ON) {
		load(program, ARGUMENT(2));
		notify_if(program, SO_KEEPALIVE);
	}
	end(program, SECCOMP_RET_ALLOW);
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 1, 0);
	end(program, SECCOMP_RET_ALLOW);
	load(program, ARGUMENT(2));
	for (size_t i = 0; i < SOCKET_OPTIONS; i++)
		if (fields & socket_options[i].field && socket_options[i].level == IPPROTO_TCP)
			notify_if(program, (uint32_t)socket_options[i].name);
	end(program, SECCOMP_RET_ALLOW);
}

static void compose(struct program *program, uint32_t fields, bool sockets)
{
	program->n = 0;
	load(program, offsetof(struct seccomp_data, arch));
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
	end(program, SECCOMP_RET_ALLOW);
	load(program, offsetof(struct seccomp_data, nr));
	notify_if(program, SYS_connect);
	notify_if(program, SYS_listen);
	notify_if(program, SYS_io_uring_setup);
	notify_fastopen(program, SYS_sendto, 3);
	notify_fastopen(program, SYS_sendmsg, 2);
	notify_fastopen(program, SYS_sendmmsg, 3);
	if (sockets)
		notify_socket(program);
	notify_options(program, fields);
}

/* ------------------------------------------------------------------------------- the kernel */

static int load_filter(const struct program *program, unsigned long flags)
{
	struct sock_fprog fprog = {program->n, (struct sock_filter *)program->code};
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog);

	return fd < 0 ? -errno : (int)fd;
}

/*
 * No mitigation of Spectre comes with it: the filter guards nothing, and the program is to run as
 * fast as without. Signals wait while the supervisor has the call (5.19), for microseconds.
 */
static int load_with_flags(const struct program *program, bool signals_wait)
{
	static const unsigned long flags[] = {
		SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW |
			SECCOMP_FLAG_WAIT_KILLABLE_RECV,
		SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
	};
	int fd = -EINVAL;

	for (size_t i = 0; i < (signals_wait ? 1 : ARRAY_SIZE(flags)) && fd == -EINVAL; i++)
		fd = load_filter(program, flags[i]);
	return fd;
}

static int fail(int r, struct tcpkeep_error *error)
{
	if (r == -EBUSY)
		return error_set(
			error, r,
			"a seccomp supervisor is in charge of this process already (a container "
			"manager, a sandbox or another tcpkeep run), and the kernel allows one");
	if (r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP)
		return error_set(error, -EOPNOTSUPP,
				 "this kernel has no seccomp user notification (Linux 5.5), or a "
				 "sandbox forbids it");
	if (r == -EPERM || r == -EACCES)
		return error_set(error, r, "seccomp is forbidden here (a sandbox?): %s",
				 strerror(-r));
	return error_set(error, r, "the seccomp filter cannot be set: %s", strerror(-r));
}

int seccomp_filter_install(uint32_t fields, bool sockets, struct tcpkeep_error *error)
{
	struct program program;
	int fd;

	if (NATIVE_ARCH == 0)
		return error_set(error, -EOPNOTSUPP, "seccomp: not for this processor yet");
	compose(&program, fields, sockets);
	/* A signal between the two steps by which a program gets a socket would lose it. */
	fd = load_with_flags(&program, sockets);
	/* Without CAP_SYS_ADMIN the kernel wants a promise: seccomp_prepare_filter(). */
	if (fd == -EACCES && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		fd = load_with_flags(&program, sockets);
	return fd < 0 ? fail(fd, error) : fd;
}

/* In a copy of this process, which ends at once. */
static int try_install(void)
{
	struct tcpkeep_error error;
	int status;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		int fd = seccomp_filter_install(0, false, &error);

		_exit(fd < 0 ? -fd : 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0; /* SIGCHLD is ignored: the attempt itself will tell */
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPERM;
}

int seccomp_filter_probe(struct tcpkeep_error *error)
{
	uint32_t action = SECCOMP_RET_USER_NOTIF;
	struct seccomp_notif_sizes sizes;
	int r = 0;

	if (NATIVE_ARCH == 0)
		return error_set(error, -EOPNOTSUPP, "not for this processor yet");
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return fail(errno == EOPNOTSUPP ? -ENOSYS : -errno, error);
	/* Somebody's filter is there: whether it has a listener is told by trying alone. */
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0)
		r = try_install();
	return r < 0 ? fail(r, error) : 0;
}

bool seccomp_filter_takes_privileges(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 && !visit_has_capability(CAP_SYS_ADMIN);
}
