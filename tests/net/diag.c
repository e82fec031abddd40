/* SPDX-License-Identifier: MIT */
/* Is there still a socket between two addresses? sock_diag(7), one exact question. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "model.h"

static void fill_end(const struct sockaddr_storage *address, __be16 *port, __be32 *ip)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;

	if (address->ss_family == AF_INET6) {
		*port = v6->sin6_port;
		memcpy(ip, &v6->sin6_addr, sizeof(v6->sin6_addr));
	} else {
		*port = v4->sin_port;
		*ip = v4->sin_addr.s_addr;
	}
}

int diag_look(int diag, const struct sockaddr_storage *local, const struct sockaddr_storage *remote,
	      unsigned *ret_timer, uint64_t *ret_left_us)
{
	_Alignas(struct nlmsghdr) char buf[8192] = {0};
	const struct inet_diag_msg *message;
	struct inet_diag_req_v2 *request;
	struct nlmsghdr *header;
	ssize_t n;

	header = mnl_nlmsg_put_header(buf);
	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	header->nlmsg_flags = NLM_F_REQUEST;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->sdiag_family = (uint8_t)local->ss_family;
	request->sdiag_protocol = IPPROTO_TCP;
	request->idiag_states = UINT32_MAX;
	request->id.idiag_cookie[0] = request->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	fill_end(local, &request->id.idiag_sport, request->id.idiag_src);
	fill_end(remote, &request->id.idiag_dport, request->id.idiag_dst);
	if (send(diag, header, header->nlmsg_len, 0) < 0)
		return -errno;
	/* The answer is there when send() returns. */
	n = recv(diag, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < (ssize_t)sizeof(*header))
		return n < 0 ? -errno : -EBADMSG;
	header = (struct nlmsghdr *)buf;
	if (header->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = mnl_nlmsg_get_payload(header);

		return error->error == -ENOENT ? 0 : error->error;
	}
	message = mnl_nlmsg_get_payload(header);
	*ret_timer = message->idiag_timer;
	*ret_left_us = (uint64_t)message->idiag_expires * 1000;
	return 1;
}
