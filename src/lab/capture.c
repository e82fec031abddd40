/* SPDX-License-Identifier: MIT */
/* TCP segments as a link sees them: packet(7), stamped by the kernel. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "keepalive/error.h"
#include "lab.h"
#include "netlink.h"

/* Two headers at their longest; what follows only counts. */
#define SNAP 128
/* Some thousand segments, while the reader is busy elsewhere. */
#define BUFFER_BYTES (4 << 20)

/* A cooked packet socket sees the packet from the network header on: IPv4 or IPv6, and TCP in it.
 */
static struct sock_filter tcp_only[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
	BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 3, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 5),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), /* protocol */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 2, 3),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6), /* next header */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SNAP),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static int prepare(int fd, int ifindex)
{
	const struct sock_fprog program = {ARRAY_SIZE(tcp_only), tcp_only};
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = ifindex,
	};
	const int on = 1, bytes = BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)); /* what one may */
	return bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

int lab_capture_open(int netns, const char *ifname, struct tcpkeep_error *error)
{
	_cleanup_close_ int fd = -1;
	int ifindex, r;

	ifindex = netlink_ifindex(netns, ifname);
	if (ifindex < 0)
		return error_set(error, ifindex, "link %s: %s", ifname, strerror(-ifindex));
	/* Protocol 0: nothing arrives before the filter is there and bind() names the link. */
	fd = lab_socket(netns, AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd == -EAFNOSUPPORT)
		return error_set(
			error, fd,
			"capture on %s: this kernel has no packet sockets; load the module: modprobe af_packet",
			ifname);
	if (fd < 0)
		return error_set(error, fd, "capture on %s: %s", ifname, strerror(-fd));
	r = prepare(fd, ifindex);
	if (r < 0)
		return error_set(error, r, "capture on %s: %s", ifname, strerror(-r));
	return steal_fd(&fd);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The stamp is in the clock that can be set; the distance of the two clocks is that of now. */
static uint64_t to_monotonic(uint64_t real_ns)
{
	uint64_t before = now_ns(CLOCK_MONOTONIC);
	uint64_t real = now_ns(CLOCK_REALTIME);
	uint64_t after = now_ns(CLOCK_MONOTONIC);

	return before + (after - before) / 2 - (real - real_ns);
}

static uint64_t stamp_of(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct timespec stamp;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
		return to_monotonic((uint64_t)stamp.tv_sec * 1000000000 + (uint64_t)stamp.tv_nsec);
	}
	return now_ns(CLOCK_MONOTONIC);
}

static void map_v4(uint32_t address, struct in6_addr *ret)
{
	*ret = (struct in6_addr){0};
	ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
	memcpy(&ret->s6_addr[12], &address, sizeof(address));
}

/* Fills in the network layer; returns where TCP starts, in *ret_end where the packet ends, or 0. */
static size_t parse_network(const uint8_t *data, size_t len, struct lab_packet *ret,
			    size_t *ret_end)
{
	struct ip6_hdr ip6;
	struct iphdr ip;

	if (len >= sizeof(ip) && data[0] >> 4 == 4) {
		memcpy(&ip, data, sizeof(ip));
		ret->family = AF_INET;
		map_v4(ip.saddr, &ret->source);
		map_v4(ip.daddr, &ret->destination);
		*ret_end = ntohs(ip.tot_len);
		return (size_t)ip.ihl * 4;
	}
	if (len >= sizeof(ip6) && data[0] >> 4 == 6) {
		memcpy(&ip6, data, sizeof(ip6));
		ret->family = AF_INET6;
		ret->source = ip6.ip6_src;
		ret->destination = ip6.ip6_dst;
		*ret_end = sizeof(ip6) + ntohs(ip6.ip6_plen);
		return sizeof(ip6);
	}
	return 0;
}

static bool parse(const uint8_t *data, size_t len, struct lab_packet *ret)
{
	size_t start, end, payload_start;
	struct tcphdr tcp;

	start = parse_network(data, len, ret, &end);
	if (start == 0 || len < start + sizeof(tcp))
		return false;
	memcpy(&tcp, data + start, sizeof(tcp));
	payload_start = start + (size_t)tcp.th_off * 4;
	if (end < payload_start)
		return false;
	ret->source_port = ntohs(tcp.th_sport);
	ret->destination_port = ntohs(tcp.th_dport);
	ret->seq = ntohl(tcp.th_seq);
	ret->ack = ntohl(tcp.th_ack);
	ret->flags = tcp.th_flags;
	ret->window = ntohs(tcp.th_win);
	ret->payload = (uint32_t)(end - payload_start);
	return true;
}

int lab_capture_next(int capture, struct lab_packet *ret)
{
	for (;;) {
		char control[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(64)];
		uint8_t data[SNAP];
		struct sockaddr_ll from;
		struct iovec iov = {data, sizeof(data)};
		struct msghdr message = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		struct lab_packet packet = {0};
		ssize_t n;

		n = recvmsg(capture, &message, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (!parse(data, (size_t)n, &packet))
			continue;
		packet.outgoing = from.sll_pkttype == PACKET_OUTGOING;
		packet.time_ns = stamp_of(&message);
		*ret = packet;
		return 1;
	}
}

unsigned lab_capture_dropped(int capture)
{
	struct tpacket_stats stats = {0};
	socklen_t len = sizeof(stats);

	/* Reading them sets them back. */
	if (getsockopt(capture, SOL_PACKET, PACKET_STATISTICS, &stats, &len) < 0)
		return 0;
	return stats.tp_drops;
}
