/* SPDX-License-Identifier: MIT */
/* veth pairs: drivers/net/veth.c, through rtnetlink. */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>

#include "keepalive/error.h"
#include "lab.h"
#include "netlink.h"

static int make_pair(int netns_a, const char *ifname_a, int netns_b, const char *ifname_b)
{
	struct netlink_request request;
	struct nlattr *info, *data, *peer;

	netlink_request_init(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
			     sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request.header, IFLA_IFNAME, ifname_a);
	info = mnl_attr_nest_start(request.header, IFLA_LINKINFO);
	mnl_attr_put_strz(request.header, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(request.header, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(request.header, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(request.header, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request.header, IFLA_IFNAME, ifname_b);
	mnl_attr_put_u32(request.header, IFLA_NET_NS_FD, (uint32_t)netns_b);
	mnl_attr_nest_end(request.header, peer);
	mnl_attr_nest_end(request.header, data);
	mnl_attr_nest_end(request.header, info);
	return netlink_request_send(netns_a, &request);
}

/* Apart from making it: veth_open() refuses an end whose other end does not exist yet. */
static int bring_up(int netns, const char *ifname)
{
	struct netlink_request request;
	struct ifinfomsg *link;

	link = netlink_request_init(&request, RTM_NEWLINK, 0, sizeof(*link));
	link->ifi_flags = link->ifi_change = IFF_UP;
	mnl_attr_put_strz(request.header, IFLA_IFNAME, ifname);
	return netlink_request_send(netns, &request);
}

int lab_link(int netns_a, const char *ifname_a, int netns_b, const char *ifname_b,
	     struct tcpkeep_error *error)
{
	int r;

	if (strlen(ifname_a) >= IF_NAMESIZE || strlen(ifname_b) >= IF_NAMESIZE)
		return error_set(error, -EINVAL, "link %s to %s: a name has at most %d letters",
				 ifname_a, ifname_b, IF_NAMESIZE - 1);
	r = make_pair(netns_a, ifname_a, netns_b, ifname_b);
	if (r == -EOPNOTSUPP)
		return error_set(error, r,
				 "link %s: this kernel has no veth; load the module: modprobe veth",
				 ifname_a);
	if (r == 0)
		r = bring_up(netns_a, ifname_a);
	if (r == 0)
		r = bring_up(netns_b, ifname_b);
	if (r < 0)
		return error_set(error, r, "link %s to %s: %s", ifname_a, ifname_b, strerror(-r));
	return 0;
}
