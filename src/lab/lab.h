/* SPDX-License-Identifier: MIT */
/*
 * Private networks, for `tcpkeep prove` and the tests: namespaces that are known by a descriptor
 * alone, veth links, addresses, nft rules, sockets made inside, programs started inside. Nothing
 * has a name or a file outside, so that the kernel tidies up when the last descriptor and process
 * is gone: also after kill -9.
 *
 * 0 or a descriptor, or -errno; error (may be NULL) says in words what the kernel lacks or refuses.
 */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <tcpkeep.h>

/*
 * Makes sure that this process may make network namespaces: with CAP_SYS_ADMIN and CAP_NET_ADMIN
 * nothing is done, otherwise a user namespace is entered, in which the caller keeps its own uid and
 * gid. Single-threaded processes only. -EPERM with the words for what forbids it (sysctls that
 * distributions use).
 */
int lab_enter(struct tcpkeep_error *error);

/* A new network namespace with its loopback up. Returns its descriptor. */
int lab_netns_new(struct tcpkeep_error *error);

/* Runs fn in a thread inside the namespace and returns its result. */
int lab_in_netns(int netns, int (*fn)(void *userdata), void *userdata);

/* A veth pair, both ends up (rtnetlink). */
int lab_link(int netns_a, const char *ifname_a, int netns_b, const char *ifname_b,
	     struct tcpkeep_error *error);

/* "192.0.2.1/24" or "2001:db8::1/64"; an IPv6 address is usable at once (no DAD). */
int lab_address(int netns, const char *ifname, const char *address, struct tcpkeep_error *error);

/* to: "0.0.0.0/0", "::/0" or a prefix. */
int lab_route(int netns, const char *to, const char *via, struct tcpkeep_error *error);

/* Writes a sysctl of the namespace: "net/ipv4/ip_forward", "1". -ENOENT: this kernel has none. */
int lab_sysctl(int netns, const char *path, const char *value, struct tcpkeep_error *error);

/*
 * Loads an nftables ruleset by nft(8), found on PATH and in the sbin directories. Its statements
 * and closing braces end with newlines: nft 1.0 takes no "} }".
 */
int lab_rules(int netns, const char *ruleset, struct tcpkeep_error *error);

/* socket(2) inside the namespace, close-on-exec: usable from outside. */
int lab_socket(int netns, int domain, int type, int protocol);

/*
 * Starts argv inside the namespace; it is killed when the caller dies (PR_SET_PDEATHSIG). stdio:
 * three descriptors to give it, -1 = the caller's own. env: additional "NAME=value" strings,
 * NULL-terminated, or NULL. Returns the pid, in *ret_pidfd a descriptor that polls readable at its
 * end. A command that cannot be executed is -errno here, not a dead child.
 */
pid_t lab_spawn(int netns, char *const argv[], char *const env[], const int stdio[3],
		int *ret_pidfd, struct tcpkeep_error *error);

/* ------------------------------------------------------------------------------- capture */

/* A TCP segment seen on a link. */
struct lab_packet {
	uint64_t time_ns;                    /* CLOCK_MONOTONIC, the kernel's own stamp */
	bool outgoing;                       /* left by this link; otherwise it came in */
	int family;                          /* AF_INET, AF_INET6 */
	struct in6_addr source, destination; /* IPv4 as v4-mapped */
	uint16_t source_port, destination_port;
	uint32_t seq, ack;
	uint8_t flags; /* TH_SYN ... of netinet/tcp.h */
	uint16_t window;
	uint32_t payload; /* bytes */
};

/* A packet socket on the link, non-blocking, close-on-exec: poll it. */
int lab_capture_open(int netns, const char *ifname, struct tcpkeep_error *error);

/* The next TCP segment: 1, or 0 when there is none now. Others are passed over. */
int lab_capture_next(int capture, struct lab_packet *ret);

/* Segments that the kernel dropped because the capture was not read in time. */
unsigned lab_capture_dropped(int capture);
