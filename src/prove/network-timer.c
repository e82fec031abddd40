/* SPDX-License-Identifier: MIT */
/* Which timer the kernel has armed for a connection: the proof of "never" for one that has none. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "network.h"

/* Every state but LISTEN and those without a full socket: a connection that is still there. */
#define LIVING_STATES ((0xfffU & ~(1U << TCP_LISTEN)) & ~(1U << TCP_TIME_WAIT) & ~(1U << TCP_CLOSE))

static int request(int diag)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	} message = {
		.header = {.nlmsg_len = sizeof(message),
			   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.body = {.sdiag_family = AF_INET,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_states = LIVING_STATES},
	};

	return send(diag, &message, sizeof(message), 0) < 0 ? -errno : 0;
}

/* True when the dump is over. */
static bool take(const struct nlmsghdr *header, uint16_t client_port, struct network_timer *timer,
		 int *error)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);

	if (header->nlmsg_type == NLMSG_DONE)
		return true;
	if (header->nlmsg_type == NLMSG_ERROR) {
		*error = ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
		return true;
	}
	if (ntohs(message->id.idiag_sport) == client_port) {
		timer->found = true;
		timer->timer = message->idiag_timer;
		timer->expires_us = message->idiag_expires * 1000ULL;
	}
	return false;
}

int network_read_timer(const struct network *network, uint16_t client_port,
		       struct network_timer *ret)
{
	_Alignas(struct nlmsghdr) char buf[16384];
	struct network_timer timer = {0};
	int r, error = 0;

	r = request(network->diag);
	if (r < 0)
		return r;
	for (;;) {
		ssize_t n = recv(network->diag, buf, sizeof(buf), 0);

		if (n < 0)
			return -errno;
		for (struct nlmsghdr *header = (struct nlmsghdr *)buf; NLMSG_OK(header, n);
		     header = NLMSG_NEXT(header, n)) {
			if (!take(header, client_port, &timer, &error))
				continue;
			if (error)
				return error;
			*ret = timer;
			return 0;
		}
	}
}
