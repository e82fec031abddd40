/* SPDX-License-Identifier: MIT */
/* Addresses and routes, through rtnetlink. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/number.h"
#include "keepalive/error.h"
#include "lab.h"
#include "netlink.h"

struct prefix {
	uint8_t family;
	uint8_t len;  /* in bits */
	uint8_t size; /* of addr, in bytes */
	uint8_t addr[sizeof(struct in6_addr)];
};

static int prefix_parse_address(const char *text, struct prefix *ret)
{
	*ret = (struct prefix){0};
	if (inet_pton(AF_INET, text, ret->addr) == 1) {
		ret->family = AF_INET;
		ret->size = sizeof(struct in_addr);
	} else if (inet_pton(AF_INET6, text, ret->addr) == 1) {
		ret->family = AF_INET6;
		ret->size = sizeof(struct in6_addr);
	} else {
		return -EINVAL;
	}
	ret->len = (uint8_t)(ret->size * 8);
	return 0;
}

/* ADDRESS/LEN */
static int prefix_parse(const char *text, struct prefix *ret)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	struct prefix prefix;
	int64_t len;
	int r;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	r = prefix_parse_address(address, &prefix);
	if (r < 0)
		return r;
	r = number_parse(slash + 1, strlen(slash + 1), 0, prefix.len, &len);
	if (r < 0)
		return r;
	prefix.len = (uint8_t)len;
	*ret = prefix;
	return 0;
}

int lab_address(int netns, const char *ifname, const char *address, struct tcpkeep_error *error)
{
	struct netlink_request request;
	struct ifaddrmsg *message;
	struct prefix prefix;
	int index, r;

	r = prefix_parse(address, &prefix);
	if (r < 0)
		return error_set(error, r, "address %s: not ADDRESS/LENGTH", address);
	index = netlink_ifindex(netns, ifname);
	if (index < 0)
		return error_set(error, index, "link %s: %s", ifname, strerror(-index));

	message = netlink_request_init(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL,
				       sizeof(*message));
	message->ifa_family = prefix.family;
	message->ifa_prefixlen = prefix.len;
	message->ifa_index = (uint32_t)index;
	/* Duplicate address detection would keep the address tentative for a second. */
	message->ifa_flags = prefix.family == AF_INET6 ? IFA_F_NODAD : 0;
	mnl_attr_put(request.header, IFA_LOCAL, prefix.size, prefix.addr);
	mnl_attr_put(request.header, IFA_ADDRESS, prefix.size, prefix.addr);

	r = netlink_request_send(netns, &request);
	if (r == -EACCES && prefix.family == AF_INET6)
		return error_set(
			error, r,
			"address %s on %s: IPv6 is disabled (net.ipv6.conf.default.disable_ipv6)",
			address, ifname);
	if (r == -EOPNOTSUPP)
		return error_set(error, r, "address %s on %s: this kernel lacks %s", address,
				 ifname, prefix.family == AF_INET6 ? "IPv6" : "IPv4");
	if (r < 0)
		return error_set(error, r, "address %s on %s: %s", address, ifname, strerror(-r));
	return 0;
}

int lab_route(int netns, const char *to, const char *via, struct tcpkeep_error *error)
{
	struct netlink_request request;
	struct prefix prefix, gateway;
	struct rtmsg *message;
	int r;

	r = prefix_parse(to, &prefix);
	if (r < 0)
		return error_set(error, r, "route to %s: not ADDRESS/LENGTH", to);
	r = prefix_parse_address(via, &gateway);
	if (r < 0 || gateway.family != prefix.family)
		return error_set(error, -EINVAL,
				 "route to %s via %s: not an address of the same family", to, via);

	message = netlink_request_init(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL,
				       sizeof(*message));
	message->rtm_family = prefix.family;
	message->rtm_dst_len = prefix.len;
	message->rtm_table = RT_TABLE_MAIN;
	message->rtm_protocol = RTPROT_STATIC;
	message->rtm_scope = RT_SCOPE_UNIVERSE;
	message->rtm_type = RTN_UNICAST;
	if (prefix.len > 0)
		mnl_attr_put(request.header, RTA_DST, prefix.size, prefix.addr);
	mnl_attr_put(request.header, RTA_GATEWAY, gateway.size, gateway.addr);

	r = netlink_request_send(netns, &request);
	if (r < 0)
		return error_set(error, r, "route to %s via %s: %s", to, via, strerror(-r));
	return 0;
}
