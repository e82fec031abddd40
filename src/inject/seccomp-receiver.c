/* SPDX-License-Identifier: MIT */
#include "seccomp-receiver.h"

#include <errno.h>
#include <sys/ioctl.h>

enum give_outcome receiver_give(struct receiver *receiver, int fd, bool quickly)
{
	const struct plan *plan = receiver->seccomp.plan;
	struct give wish = {
		.wanted = &plan->settings,
		.respect = !plan->enforce,
		.verify = receiver->seccomp.report != NULL,
	};
	enum give_outcome outcome;
	int refused;

	outcome = quickly ? give_quickly(fd, &wish, &receiver->memory, &refused)
			  : give(fd, &wish, &refused);
	if (refused && receiver->seccomp.report) {
		receiver_count(receiver, refused);
		report_refused(receiver->seccomp.report, refused);
	}
	return outcome;
}

bool receiver_is_valid(const struct receiver *receiver, const struct seccomp_notif *notif)
{
	uint64_t id = notif->id;

	return ioctl(receiver->seccomp.listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

void receiver_miss(struct receiver *receiver, int r)
{
	if (!receiver->seccomp.report || r == -EBADF || r == -ESRCH)
		return;
	report_missed(receiver->seccomp.report,
		      r == -EPERM || r == -EACCES ? REPORT_MISSED_FORBIDDEN : REPORT_MISSED_SHORT);
}
