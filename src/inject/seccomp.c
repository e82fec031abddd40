/* SPDX-License-Identifier: MIT */
#include "seccomp.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apart.h"
#include "base/cleanup.h"
#include "inherited.h"
#include "keepalive/error.h"
#include "seccomp-filter.h"
#include "seccomp-pair.h"
#include "target.h"

int seccomp_probe(struct tcpkeep_error *error)
{
	int r;

	r = seccomp_filter_probe(error);
	if (r < 0)
		return r;
	if (!seccomp_sizes_fit())
		return error_set(error, -EOPNOTSUPP,
				 "this kernel's seccomp notifications are larger than this tcpkeep "
				 "knows");
	r = target_probe();
	if (r < 0)
		return error_set(error, -EOPNOTSUPP,
				 "pidfd_getfd: %s: this kernel has none (Linux 5.6), or a sandbox "
				 "forbids it",
				 strerror(-r));
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

static int send_listener(int control, int listener)
{
	alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {0};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &listener, sizeof(listener));
	return sendmsg(control, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Waits for what the guardian says. */
static int hear(int control)
{
	int error;
	ssize_t n;

	do
		n = read(control, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(error) ? -error : -EPIPE;
}

/* Which options of setsockopt() have to be looked at. */
static uint32_t watched_fields(const struct plan *plan)
{
	/* By default a value of the program's own is seen on the socket; off alone is not. */
	return plan->enforce ? plan->settings.fields : TCPKEEP_ON;
}

int seccomp_enter(const struct plan *plan, struct report *report, bool *ret_turned,
		  struct tcpkeep_error *error)
{
	_cleanup_close_ int ours = -1, theirs = -1, listener = -1;
	struct seccomp seccomp = {.plan = plan, .report = report, .listener = -1};
	struct guardian guardian;
	int fds[2], r;

	*ret_turned = false;
	inherited_give(plan, report);
	seccomp.shared = mmap(NULL, sizeof(*seccomp.shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seccomp.shared == MAP_FAILED)
		return error_set(error, -errno, "seccomp: no memory: %s", strerror(errno));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set(error, -errno, "seccomp: no descriptors: %s", strerror(errno));
	ours = fds[0];
	theirs = fds[1];
	guardian = (struct guardian){&seccomp, theirs};
	r = apart_start(guard, &guardian);
	if (r < 0)
		return error_set(error, r, "seccomp: the supervisor cannot be started: %s",
				 strerror(-r));
	close(steal_fd(&theirs));
	listener = seccomp_filter_install(watched_fields(plan), error);
	if (listener < 0)
		return listener;
	*ret_turned = true;
	r = send_listener(ours, listener);
	if (r == 0)
		r = hear(ours);
	if (r < 0)
		return error_set(error, r, "seccomp: the supervisor cannot be started: %s",
				 strerror(-r));
	*ret_turned = false;
	return 0;
}
