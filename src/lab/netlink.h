/* SPDX-License-Identifier: MIT */
/* One request to the kernel's rtnetlink, and its acknowledgement. */
#pragma once

#include <libmnl/libmnl.h>
#include <stdint.h>

/* Room for every request that is made here. */
#define NETLINK_REQUEST_MAX 1024

struct netlink_request {
	_Alignas(struct nlmsghdr) char buf[NETLINK_REQUEST_MAX];
	struct nlmsghdr *header;
};

/* Starts a request; returns its zeroed family header (struct ifinfomsg and the like) of size bytes.
 */
void *netlink_request_init(struct netlink_request *request, uint16_t type, uint16_t flags,
			   size_t size);

/* Sends it inside the namespace and waits for the acknowledgement. 0 or what the kernel says. */
int netlink_request_send(int netns, struct netlink_request *request);

/* The index of a link. */
int netlink_ifindex(int netns, const char *ifname);
