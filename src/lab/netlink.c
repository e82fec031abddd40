/* SPDX-License-Identifier: MIT */
#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "lab.h"

void *netlink_request_init(struct netlink_request *request, uint16_t type, uint16_t flags,
			   size_t size)
{
	request->header = mnl_nlmsg_put_header(request->buf);
	request->header->nlmsg_type = type;
	request->header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	request->header->nlmsg_seq = 1;
	return mnl_nlmsg_put_extra_header(request->header, size);
}

static void cleanup_mnl(struct mnl_socket **nl)
{
	int saved = errno;

	if (*nl)
		mnl_socket_close(*nl);
	errno = saved;
}

int netlink_request_send(int netns, struct netlink_request *request)
{
	_cleanup_(cleanup_mnl) struct mnl_socket *nl = NULL;
	_cleanup_close_ int fd = -1;
	char answer[8192]; /* MNL_SOCKET_BUFFER_SIZE, which is no constant */
	ssize_t n;

	fd = lab_socket(netns, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	if (fd < 0)
		return fd;
	nl = mnl_socket_fdopen(fd);
	if (!nl)
		return -errno;
	steal_fd(&fd); /* mnl_socket_close() closes it */
	if (mnl_socket_sendto(nl, request->header, request->header->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(nl, answer, sizeof(answer));
	if (n < 0)
		return -errno;
	if (mnl_cb_run(answer, (size_t)n, 1, mnl_socket_get_portid(nl), NULL, NULL) < 0)
		return -errno;
	return 0;
}

int netlink_ifindex(int netns, const char *ifname)
{
	_cleanup_close_ int fd = -1;
	struct ifreq request = {0};
	size_t len = strlen(ifname);

	if (len >= sizeof(request.ifr_name))
		return -ENODEV;
	memcpy(request.ifr_name, ifname, len);
	fd = lab_socket(netns, AF_UNIX, SOCK_DGRAM, 0);
	if (fd < 0)
		return fd;
	if (ioctl(fd, SIOCGIFINDEX, &request) < 0)
		return -errno;
	return request.ifr_ifindex;
}
