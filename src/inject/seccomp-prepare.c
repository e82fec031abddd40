/* SPDX-License-Identifier: MIT */
#include "seccomp-prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

/* Puts a copy of fd into the program, whose call waits on: its number there, or -errno. */
static int put(int listener, uint64_t id, int fd, unsigned flags)
{
	/* Not with SECCOMP_ADDFD_FLAG_SEND: whoever is killed in it leaves a call that returns 0,
	 * as if standard input were what it made (seccomp_notify_addfd(); Linux 6.18). */
	struct seccomp_notif_addfd addfd = {.id = id, .srcfd = (uint32_t)fd, .newfd_flags = flags};
	int number = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd);

	return number < 0 ? -errno : number;
}

static bool may_look_into(struct receiver *receiver, pid_t tid)
{
	/* __pidfd_fget() looks for the right before it looks for the descriptor. */
	return target_fd(&receiver->targets, tid, -1) != -EPERM;
}

/* As the caller asked for. -errno; whatever is wrong with it the kernel will say to the caller. */
static int make_socket(struct receiver *receiver, const struct seccomp_data *call)
{
	int type = (int)call->args[1] | SOCK_CLOEXEC;
	int fd = socket((int)call->args[0], type, (int)call->args[2]);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		targets_forget(&receiver->targets);
		fd = socket((int)call->args[0], type, (int)call->args[2]);
	}
	return fd < 0 ? -errno : fd;
}

/* For the report. */
static void note_prepared(struct receiver *receiver, int fd)
{
	struct stat st;

	if (receiver->seccomp.report && fstat(fd, &st) == 0)
		number_set_add(&receiver->seccomp.shared->prepared, (uint64_t)st.st_ino << 1);
}

int receiver_prepare(struct receiver *receiver, const struct seccomp_notif *notif)
{
	_cleanup_close_ int fd = -1;
	unsigned flags = notif->data.args[1] & SOCK_CLOEXEC ? O_CLOEXEC : 0;
	int r;

	if (may_look_into(receiver, (pid_t)notif->pid))
		return GOES_ON;
	r = target_is_alike(&receiver->targets, (pid_t)notif->pid);
	if (r > 0)
		r = fd = make_socket(receiver, &notif->data);
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOBUFS)
		receiver_miss(receiver, r);
	if (fd < 0 || !give_is_tcp(fd) || receiver_give(receiver, fd, true) != GIVE_SET ||
	    !receiver_is_valid(receiver, notif))
		return GOES_ON;
	note_prepared(receiver, fd);
	/* It lasts until the program has run. */
	turn_pass(&receiver->turn);
	r = put(receiver->seccomp.listener, notif->id, fd, flags);
	return r < 0 ? GOES_ON : r;
}

static void count_unseen(struct receiver *receiver, bool listens, uint64_t socket)
{
	struct number_set *prepared = &receiver->seccomp.shared->prepared;

	receiver_count(receiver, seen);
	if (!number_set_remove(prepared, socket << 1))
		return;
	number_set_add(prepared, socket << 1 | 1);
	if (listens)
		receiver_count(receiver, listening);
	else
		receiver_count(receiver, tried);
}

static bool is_prepared(const struct receiver *receiver, uint64_t socket)
{
	const struct number_set *prepared = &receiver->seccomp.shared->prepared;

	return socket &&
	       (number_set_has(prepared, socket << 1) || number_set_has(prepared, socket << 1 | 1));
}

void receiver_meet_unseen(struct receiver *receiver, const struct seccomp_notif *notif)
{
	pid_t tid = (pid_t)notif->pid;
	bool sets = notif->data.nr == SYS_setsockopt;
	uint64_t socket;

	if (!receiver->seccomp.report)
		return;
	socket = target_socket(tid, (int)notif->data.args[0]);
	if (!is_prepared(receiver, socket)) {
		/* What such a program has and we did not make is most likely no TCP. */
		if (!receiver->seccomp.makes_sockets ||
		    target_is_alike(&receiver->targets, tid) <= 0)
			receiver_miss(receiver, -EPERM);
	} else if (sets && receiver->seccomp.plan->enforce) {
		receiver_miss(receiver, -EPERM);
	} else if (!sets && receiver_is_valid(receiver, notif)) {
		count_unseen(receiver, notif->data.nr == SYS_listen, socket);
	}
}
