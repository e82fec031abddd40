/* SPDX-License-Identifier: MIT */
#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "keepalive/error.h"
#include "lab/lab.h"

#define LISTEN_BACKLOG 16

/*
 * A stateful NAT. What it has forgotten is invalid or would begin a new connection without a SYN:
 * it is dropped, in both directions and without a word, as most of the boxes on the way do.
 */
static const char router_rules[] =
	"table ip tcpkeep_prove {\n"
	"	chain postrouting {\n"
	"		type nat hook postrouting priority 100; policy accept;\n"
	"		oifname \"server\" masquerade\n"
	"	}\n"
	"	chain forward {\n"
	"		type filter hook forward priority 0; policy accept;\n"
	"		ct state invalid drop\n"
	"		tcp flags & (syn | ack | rst) != syn ct state new drop\n"
	"	}\n"
	"	chain input {\n"
	"		type filter hook input priority 0; policy drop;\n"
	"	}\n"
	"}\n";

static const char every_port_rules[] =
	"table ip tcpkeep_prove {\n"
	"	chain prerouting {\n"
	"		type nat hook prerouting priority -100; policy accept;\n"
	"		meta l4proto tcp redirect to :%d\n"
	"	}\n"
	"}\n";

/* Before connection tracking, so that nothing is noticed there either. */
static const char vanish_rules[] =
	"table ip tcpkeep_vanished {\n"
	"	chain prerouting { type filter hook prerouting priority -300; policy drop; }\n"
	"	chain output { type filter hook output priority -300; policy drop; }\n"
	"}\n";

void network_close(struct network *network)
{
	int *const fds[] = {&network->diag,   &network->listener, &network->capture,
			    &network->server, &network->router,   &network->client};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static int make_links(struct network *network, struct tcpkeep_error *error)
{
	const struct {
		int netns;
		const char *ifname, *address;
	} addresses[] = {
		{network->client, "router", "192.0.2.2/24"},
		{network->router, "client", "192.0.2.1/24"},
		{network->router, "server", "198.51.100.1/24"},
		{network->server, "router", PROVE_HOST "/24"},
	};
	int r;

	r = lab_link(network->client, "router", network->router, "client", error);
	if (r < 0)
		return r;
	r = lab_link(network->router, "server", network->server, "router", error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		r = lab_address(addresses[i].netns, addresses[i].ifname, addresses[i].address,
				error);
		if (r < 0)
			return r;
	}
	/* The server needs no route: the router speaks with its own address there. */
	return lab_route(network->client, "0.0.0.0/0", "192.0.2.1", error);
}

static int make_router(const struct network *network, unsigned nat_timeout_s,
		       struct tcpkeep_error *error)
{
	static const char timeout_sysctl[] = "net/netfilter/nf_conntrack_tcp_timeout_established";
	struct tcpkeep_error why;
	char value[16];
	int r;

	r = lab_sysctl(network->router, "net/ipv4/ip_forward", "1", error);
	if (r < 0)
		return r;
	/* The rules load connection tracking, which brings its sysctls. */
	r = lab_rules(network->router, router_rules, &why);
	if (r == -EINVAL)
		return error_set(error, r,
				 "%s; a NAT needs the modules nf_tables, nft_masq and nft_ct",
				 why.message);
	if (r < 0)
		return error_set(error, r, "%s", why.message);
	if (!nat_timeout_s)
		return 0;
	snprintf(value, sizeof(value), "%u", nat_timeout_s);
	r = lab_sysctl(network->router, timeout_sysctl, value, error);
	if (r == -ENOENT)
		return error_set(
			error, r,
			"this kernel has no connection tracking; it needs the module nf_conntrack");
	return r;
}

static int make_server(struct network *network, bool every_port, struct tcpkeep_error *error)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PROVE_PORT)};
	char rules[sizeof(every_port_rules) + 16];
	int r;

	network->listener = lab_socket(network->server, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (network->listener < 0)
		return error_set(error, network->listener, "cannot make the server's socket: %s",
				 strerror(-network->listener));
	if (bind(network->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(network->listener, LISTEN_BACKLOG) < 0) {
		r = -errno;
		return error_set(error, r, "the server cannot listen: %s", strerror(-r));
	}
	if (!every_port)
		return 0;
	snprintf(rules, sizeof(rules), every_port_rules, PROVE_PORT);
	return lab_rules(network->server, rules, error);
}

static int make(struct network *network, unsigned nat_timeout_s, bool every_port,
		struct tcpkeep_error *error)
{
	int *const namespaces[] = {&network->client, &network->router, &network->server};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		*namespaces[i] = lab_netns_new(error);
		if (*namespaces[i] < 0)
			return *namespaces[i];
	}
	r = make_links(network, error);
	if (r < 0)
		return r;
	r = make_router(network, nat_timeout_s, error);
	if (r < 0)
		return r;
	r = make_server(network, every_port, error);
	if (r < 0)
		return r;
	network->capture = lab_capture_open(network->client, "router", error);
	if (network->capture < 0)
		return network->capture;
	network->diag = lab_socket(network->client, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
	if (network->diag < 0)
		return error_set(error, network->diag, "cannot ask the kernel for sockets: %s",
				 strerror(-network->diag));
	return 0;
}

int network_make(struct network *ret, unsigned nat_timeout_s, bool every_port,
		 struct tcpkeep_error *error)
{
	_cleanup_(network_close) struct network network = NETWORK_NONE;
	int r;

	r = make(&network, nat_timeout_s, every_port, error);
	if (r < 0)
		return r;
	*ret = network;
	network = (struct network)NETWORK_NONE;
	return 0;
}

int network_vanish_server(const struct network *network, struct tcpkeep_error *error)
{
	return lab_rules(network->server, vanish_rules, error);
}
