/* SPDX-License-Identifier: MIT */
#include "visit.h"

#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"

bool visit_has_capability(unsigned capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[capability / 32].effective & (1U << (capability % 32));
}

struct visit {
	int netns;
	int (*fn)(void *userdata);
	void *userdata;
	struct tcpkeep_error *error;
	int result;
};

static int fail_enter(int r, struct tcpkeep_error *ret_error)
{
	if (r == -EPERM && !visit_has_capability(CAP_SYS_ADMIN))
		return error_set(
			ret_error, r,
			"entering another network namespace needs CAP_SYS_ADMIN; run as root");
	if (r == -EPERM)
		return error_set(
			ret_error, r,
			"the network namespace belongs to another user namespace, in which this "
			"process has no CAP_SYS_ADMIN; ask root there, or root of the host");
	if (r == -EINVAL)
		return error_set(ret_error, r, "the descriptor is not that of a network namespace");
	return error_set(ret_error, r, "cannot enter the network namespace: %s", strerror(-r));
}

static void *visit_thread(void *userdata)
{
	struct visit *visit = userdata;

	if (visit->netns == NETNS_NEW ? unshare(CLONE_NEWNET) < 0
				      : setns(visit->netns, CLONE_NEWNET) < 0)
		visit->result = fail_enter(-errno, visit->error);
	else
		visit->result = visit->fn(visit->userdata);
	return NULL;
}

/* Being there already, no privilege is needed. */
static bool is_own(int netns)
{
	struct stat own, other;

	return netns >= 0 && stat("/proc/thread-self/ns/net", &own) == 0 &&
	       fstat(netns, &other) == 0 && own.st_dev == other.st_dev &&
	       own.st_ino == other.st_ino;
}

int netns_visit(int netns, int (*fn)(void *userdata), void *userdata,
		struct tcpkeep_error *ret_error)
{
	struct visit visit = {netns, fn, userdata, ret_error, 0};
	int r, cancel_state, ignored;
	sigset_t all, saved;
	pthread_t thread;

	/*
	 * The thread must not run the program's signal handlers, and the caller must not go away,
	 * by a signal or a pthread_cancel(), while the thread uses the caller's stack.
	 */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	if (netns == TCPKEEP_NETNS_OWN || is_own(netns)) {
		visit.result = fn(userdata);
	} else {
		r = pthread_create(&thread, NULL, visit_thread, &visit);
		if (r == 0)
			pthread_join(thread, NULL);
		else
			visit.result =
				error_set(ret_error, -r, "cannot start a thread: %s", strerror(r));
	}
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	pthread_setcancelstate(cancel_state, &ignored);
	return visit.result;
}
