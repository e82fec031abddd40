/* SPDX-License-Identifier: MIT */
#include "report-offer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "pass-fd.h"
#include "report.h"

/* Whoever asks without end does not keep us from the program's signals. */
#define AT_ONCE 16

int report_offer(const struct plan_report *where)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	socklen_t len = report_address(where, &address);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, len) < 0)
		return -errno;
	return steal_fd(&fd);
}

void report_hand_out(int socket, const struct plan_report *where)
{
	uint64_t nonce;
	int reply;

	for (int i = 0; i < AT_ONCE; i++) {
		reply = pass_fd_receive(socket, &nonce, sizeof(nonce), MSG_DONTWAIT);
		if (reply < 0 && reply != -EPROTO)
			return;
		/* Whoever sent something else is answered by the end of its socket. A queue that is
		 * full is its own: nobody is waited for. */
		if (reply >= 0 && nonce == where->nonce && fcntl(reply, F_SETFL, O_NONBLOCK) == 0)
			pass_fd_send(reply, &nonce, sizeof(nonce), where->fd, NULL, 0);
		cleanup_close(&reply);
	}
}
