/* SPDX-License-Identifier: MIT */
#include "own-addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "keepalive/visit.h"
#include "match.h"
#include "netns-list.h"

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(uint32_t[4]));
}

static int add(struct own_addresses *addresses, const struct sockaddr *address)
{
	uint32_t value[4] = {0, 0, htonl(0xffff), 0};
	void *grown;

	if (address->sa_family == AF_INET)
		value[3] = ((const struct sockaddr_in *)address)->sin_addr.s_addr;
	else
		memcpy(value, &((const struct sockaddr_in6 *)address)->sin6_addr, sizeof(value));
	grown = array_grow(addresses->items, addresses->n, &addresses->room,
			   sizeof(*addresses->items));
	if (!grown)
		return -ENOMEM;
	addresses->items = grown;
	memcpy(addresses->items[addresses->n++], value, sizeof(value));
	return 0;
}

/* Of the namespace that the thread is in. */
static int read_here(void *userdata)
{
	struct own_addresses *addresses = userdata;
	struct ifaddrs *list;
	int r = 0;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (const struct ifaddrs *at = list; r == 0 && at; at = at->ifa_next)
		if (at->ifa_addr &&
		    (at->ifa_addr->sa_family == AF_INET || at->ifa_addr->sa_family == AF_INET6))
			r = add(addresses, at->ifa_addr);
	freeifaddrs(list);
	return r;
}

static int read_netns(const struct snapshot_netns *netns, int fd, void *userdata,
		      struct tcpkeep_error *ret_error)
{
	(void)netns;
	return netns_visit(fd, read_here, userdata, ret_error);
}

int own_addresses_read(struct own_addresses *ret)
{
	struct own_addresses addresses = {0};
	size_t hidden = 0, processes_hidden = 0;
	struct tcpkeep_error error;
	int r;

	r = netns_list_all(read_netns, &addresses, &hidden, &processes_hidden, &error);
	if (r == -ENOMEM) {
		own_addresses_clear(&addresses);
		return r;
	}
	/* What even this capability cannot look into is the keeper of a container, and few. */
	addresses.known = r == 0 && hidden == 0 &&
			  (processes_hidden == 0 || visit_has_capability(CAP_SYS_PTRACE));
	if (addresses.n > 0)
		qsort(addresses.items, addresses.n, sizeof(*addresses.items), compare);
	*ret = addresses;
	return 0;
}

void own_addresses_clear(struct own_addresses *addresses)
{
	free(addresses->items);
	*addresses = (struct own_addresses){0};
}

static bool is_loopback(const uint32_t address[4])
{
	static const uint32_t loopback6[4] = {0, 0, 0, MATCH_BE32(1)};

	if (match_is_ipv4(address))
		return ntohl(address[3]) >> 24 == 127;
	return memcmp(address, loopback6, sizeof(loopback6)) == 0;
}

bool own_addresses_have(const struct own_addresses *addresses, const uint32_t address[4])
{
	return !addresses->known || is_loopback(address) ||
	       (addresses->n > 0 && bsearch(address, addresses->items, addresses->n,
					    sizeof(*addresses->items), compare));
}
