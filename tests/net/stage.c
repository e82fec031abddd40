/* SPDX-License-Identifier: MIT */
/* The stage of a scenario: two namespaces, a link, a capture, a connection in the state that is
 * asked for. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "model.h"

#define CONNECT_WAIT_MS  10000
#define STATE_WAIT_MS    10000
#define FILL_BYTES       (128 << 10)
#define PACKETS_AT_FIRST 64

int stage_trouble(struct stage *stage, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(stage->trouble, sizeof(stage->trouble), format, args);
	va_end(args);
	return r;
}

/* ------------------------------------------------------------------------------- the network */

static int build_sysctls(struct stage *stage, struct tcpkeep_error *error)
{
	const struct scenario *scenario = stage->scenario;
	int r;

	/* The probe of a lost tail is a retransmission by another timer. */
	r = lab_sysctl(stage->netns, "net/ipv4/tcp_early_retrans",
		       scenario->tail_loss_probe ? "3" : "0", error);
	/* At most one answer in half a second: the peer's protection against loops. */
	if (r == 0)
		r = lab_sysctl(stage->peer_netns, "net/ipv4/tcp_invalid_ratelimit", "0", error);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(scenario->sysctls) && scenario->sysctls[i];
	     i++) {
		const char *value = strchr(scenario->sysctls[i], '=');
		char path[64];

		snprintf(path, sizeof(path), "net/ipv4/%.*s", (int)(value - scenario->sysctls[i]),
			 scenario->sysctls[i]);
		r = lab_sysctl(stage->netns, path, value + 1, error);
		if (r == -ENOENT && strstr(path, "tcp_rto_max_ms")) {
			snprintf(stage->skip, sizeof(stage->skip),
				 "this kernel has no tcp_rto_max_ms (Linux 6.15)");
			return r;
		}
	}
	return r;
}

static int build_network(struct stage *stage, struct tcpkeep_error *error)
{
	bool ipv6 = stage->scenario->ipv6;
	int r;

	stage->netns = lab_netns_new(error);
	if (stage->netns < 0)
		return stage->netns;
	stage->peer_netns = lab_netns_new(error);
	if (stage->peer_netns < 0)
		return stage->peer_netns;
	r = lab_link(stage->netns, "link", stage->peer_netns, "link", error);
	if (r == 0)
		r = lab_address(stage->netns, "link", ipv6 ? "2001:db8::1/64" : "192.0.2.1/24",
				error);
	if (r == 0)
		r = lab_address(stage->peer_netns, "link", ipv6 ? "2001:db8::2/64" : "192.0.2.2/24",
				error);
	if (r == 0)
		r = build_sysctls(stage, error);
	if (r < 0)
		return r;
	stage->capture = lab_capture_open(stage->netns, "link", error);
	return MIN(stage->capture, 0);
}

/* ---------------------------------------------------------------------------- the connection */

static struct sockaddr_storage address_of(bool ipv6, bool peer)
{
	struct sockaddr_storage address = {0};
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address;

	if (ipv6) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(PORT);
		inet_pton(AF_INET6, peer ? "2001:db8::2" : "2001:db8::1", &v6->sin6_addr);
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(PORT);
		inet_pton(AF_INET, peer ? "192.0.2.2" : "192.0.2.1", &v4->sin_addr);
	}
	return address;
}

static int listen_in(struct stage *stage, int netns, const struct sockaddr_storage *address)
{
	const struct scenario *scenario = stage->scenario;
	_cleanup_close_ int fd = lab_socket(netns, address->ss_family, SOCK_STREAM, 0);
	const int small = SMALL_BUFFER;
	int r;

	if (fd < 0)
		return fd;
	if (scenario->small && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) < 0)
		return -errno;
	if (scenario->accepted) {
		r = tcpkeep_socket_apply(fd, &stage->settings, 0, NULL);
		if (r < 0)
			return r;
	}
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 || listen(fd, 1) < 0)
		return -errno;
	return steal_fd(&fd);
}

static int wait_for(int fd, short events)
{
	struct pollfd pollfd = {fd, events, 0};
	int r;

	do
		r = poll(&pollfd, 1, CONNECT_WAIT_MS);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return r > 0 ? 0 : -ETIMEDOUT;
}

static int connect_to(int fd, const struct sockaddr_storage *address)
{
	int r, error;
	socklen_t len = sizeof(error);

	r = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	if (r < 0 && errno != EINPROGRESS)
		return -errno;
	r = wait_for(fd, POLLOUT);
	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int build_connection(struct stage *stage)
{
	const struct scenario *scenario = stage->scenario;
	struct sockaddr_storage address = address_of(scenario->ipv6, !scenario->accepted);
	int netns = scenario->accepted ? stage->netns : stage->peer_netns;
	int other = scenario->accepted ? stage->peer_netns : stage->netns;
	_cleanup_close_ int listener = -1, connector = -1;
	socklen_t len = sizeof(stage->local);
	int accepted, r;

	listener = listen_in(stage, netns, &address);
	if (listener < 0)
		return listener;
	connector = lab_socket(other, address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connector < 0)
		return connector;
	if (scenario->arming == ARMING_CONNECT && !scenario->accepted) {
		r = tcpkeep_socket_apply(connector, &stage->settings, 0, NULL);
		if (r < 0)
			return r;
	}
	r = connect_to(connector, &address);
	if (r == 0)
		r = wait_for(listener, POLLIN);
	if (r < 0)
		return r;
	accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (accepted < 0)
		return -errno;
	stage->subject = scenario->accepted ? accepted : steal_fd(&connector);
	stage->peer = scenario->accepted ? steal_fd(&connector) : accepted;
	if (getsockname(stage->subject, (struct sockaddr *)&stage->local, &len) < 0)
		return -errno;
	len = sizeof(stage->remote);
	if (getpeername(stage->subject, (struct sockaddr *)&stage->remote, &len) < 0)
		return -errno;
	stage->connected_ns = monotonic_ns();
	return 0;
}

/* Segments between two namespaces of one machine are there when send() returns, nearly always. */
static int wait_for_state(struct stage *stage, int fd, uint8_t state)
{
	uint64_t until = monotonic_ns() + STATE_WAIT_MS * NS_PER_MS;

	while (monotonic_ns() < until) {
		struct tcp_info info;
		socklen_t len = sizeof(info);
		struct pollfd pollfd = {stage->capture, POLLIN, 0};

		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
			return -errno;
		if (info.tcpi_state == state)
			return 0;
		poll(&pollfd, 1, 1);
		stage_drain(stage);
	}
	return stage_trouble(stage, -ETIMEDOUT, "the connection does not reach state %u", state);
}

static int build_state(struct stage *stage)
{
	switch (stage->scenario->state) {
	case STATE_ESTABLISHED:
		return 0;
	case STATE_FIN_WAIT2:
		if (shutdown(stage->subject, SHUT_WR) < 0)
			return -errno;
		return wait_for_state(stage, stage->subject, TCP_FIN_WAIT2);
	case STATE_CLOSE_WAIT:
		if (shutdown(stage->peer, SHUT_WR) < 0)
			return -errno;
		/* Acknowledged, so that nothing but keepalive is left to happen. */
		return wait_for_state(stage, stage->peer, TCP_FIN_WAIT2);
	}
	return -EINVAL;
}

static int build_preset(struct stage *stage)
{
	struct tcpkeep_settings preset;
	int r;

	if (!stage->scenario->preset)
		return 0;
	r = tcpkeep_settings_parse(stage->scenario->preset, TCPKEEP_SCOPE_SOCKET, &preset, NULL);
	if (r < 0)
		return r;
	r = tcpkeep_socket_apply(stage->subject, &preset, 0, NULL);
	return MIN(r, 0);
}

int stage_build(struct stage *stage, const struct scenario *scenario)
{
	struct tcpkeep_error error = {0};
	int r;

	*stage = (struct stage){
		.scenario = scenario,
		.netns = -1,
		.peer_netns = -1,
		.capture = -1,
		.subject = -1,
		.peer = -1,
		.diag = -1,
	};
	r = tcpkeep_settings_parse(scenario->settings, TCPKEEP_SCOPE_SOCKET, &stage->settings,
				   &error);
	if (r < 0)
		return stage_trouble(stage, r, "settings: %s", error.message);
	r = build_network(stage, &error);
	if (r < 0)
		return stage_trouble(stage, r, "network: %s", error.message);
	r = tcpkeep_kernel_read(stage->netns, &stage->kernel);
	if (r != 0)
		return stage_trouble(stage, -EIO, "tcpkeep_kernel_read() misses %d variables", r);
	stage->diag = lab_socket(stage->netns, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
	if (stage->diag < 0)
		return stage_trouble(stage, stage->diag, "sock_diag: %s", strerror(-stage->diag));
	r = build_connection(stage);
	if (r == 0)
		r = build_state(stage);
	if (r == 0)
		r = build_preset(stage);
	if (r < 0 && !stage->trouble[0])
		return stage_trouble(stage, r, "connection: %s", strerror(-r));
	return r;
}

/* ------------------------------------------------------------------------- capture and end */

int stage_drain(struct stage *stage)
{
	for (;;) {
		int r;

		if (stage->n_packets == stage->allocated) {
			size_t more = stage->allocated ? stage->allocated * 2 : PACKETS_AT_FIRST;
			void *p = reallocarray(stage->packets, more, sizeof(*stage->packets));

			if (!p)
				return -ENOMEM;
			stage->packets = p;
			stage->allocated = more;
		}
		r = lab_capture_next(stage->capture, &stage->packets[stage->n_packets]);
		if (r <= 0)
			return r;
		stage->n_packets++;
	}
}

void stage_tear_down(struct stage *stage)
{
	int *fds[] = {&stage->subject, &stage->peer,  &stage->diag,
		      &stage->capture, &stage->netns, &stage->peer_netns};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	free(stage->packets);
	stage->packets = NULL;
	stage->n_packets = stage->allocated = 0;
}
