/* SPDX-License-Identifier: MIT */
#include "report-offer.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "pass-fd.h"
#include "report.h"

/* Whoever asks without end does not keep us from the program's signals. */
#define AT_ONCE 16

/*
 * What does not begin with the nonce stays with whoever sends it: no stranger fills the queue, nor
 * leaves us with a descriptor whose close() waits (SO_LINGER, a file of FUSE).
 */
static int let_in(int fd, uint64_t nonce)
{
	uint32_t half[2];
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(*half)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = {ARRAY_SIZE(code), code};

	memcpy(half, &nonce, sizeof(half));
	code[1].k = ntohl(half[0]);
	code[3].k = ntohl(half[1]);
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

int report_offer(const struct plan_report *where)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	socklen_t len = report_address(where, &address);

	if (fd < 0 || let_in(fd, where->nonce) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, len) < 0)
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
		 * full is its own: nobody is waited for, whatever it makes of the socket meanwhile.
		 */
		if (reply >= 0 && nonce == where->nonce)
			pass_fd_send(reply, &nonce, sizeof(nonce), where->fd, MSG_DONTWAIT, NULL,
				     0);
		cleanup_close(&reply);
	}
}
