/* SPDX-License-Identifier: MIT */
/*
 * sock_diag as rows: a socket in every state that there is, each value held against getsockopt(),
 * and the whole against ss(8). The sockets live in one private network, their peers in another one,
 * behind a link that can be cut.
 */
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "connections.h"
#include "lab/lab.h"
#include "unit/unit.h"

#define WAIT_MS      10000
#define TOLERANCE_MS 1000 /* between two looks at a clock, on a busy machine */

/* --------------------------------------------------------------------------------- the rows */

static struct socket_row row_of(int fd)
{
	uint64_t cookie = cookie_of(fd);
	struct socket_row found = {0};
	struct rows rows;
	int n = 0;

	rows_walk(&rows);
	for (size_t i = 0; i < rows.n; i++)
		if (rows.row[i].cookie == cookie && ++n == 1)
			found = rows.row[i];
	assert_int_equal(n, 1);
	return found;
}

/* What has no descriptor is known by its local port. */
static struct socket_row row_at(int port, bool listener)
{
	struct socket_row found = {0};
	struct rows rows;
	int n = 0;

	rows_walk(&rows);
	for (size_t i = 0; i < rows.n; i++)
		if (rows.row[i].local_port == port && (rows.row[i].state == LISTEN) == listener &&
		    ++n == 1)
			found = rows.row[i];
	assert_int_equal(n, 1);
	return found;
}

/* -------------------------------------------------------------- held against getsockopt() */

static void check_address(const struct socket_row *row, const uint32_t address[4], uint16_t port,
			  const struct sockaddr_storage *want)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)want;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)want;
	struct in6_addr ip = v6->sin6_addr;

	assert_int_equal(row->family, want->ss_family);
	if (want->ss_family == AF_INET) {
		inet_pton(AF_INET6, "::ffff:0:0", &ip);
		memcpy(&ip.s6_addr[12], &v4->sin_addr, 4);
	}
	assert_memory_equal(address, &ip, 16);
	assert_int_equal(port, ntohs(v6->sin6_port));
}

static void check_cgroup(const struct socket_row *row)
{
	char line[512] = "", path[600];
	struct stat st;
	FILE *file = fopen("/proc/self/cgroup", "re");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, "0::", 3) == 0)
			break;
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s", line + 3);
	/* On 64 bits the id of a cgroup is its directory's inode. */
	if (strncmp(line, "0::", 3) != 0 || stat(path, &st) < 0 || access(path, F_OK) < 0)
		return;
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.controllers", line + 3);
	if (access(path, F_OK) < 0)
		return; /* cgroup2 is mounted elsewhere */
	assert_true(row->known & ROW_KNOWN_CGROUP);
	assert_int_equal(row->cgroup, st.st_ino);
}

/* Everything that the socket tells itself. Its state holds still. */
static struct socket_row check_socket(int fd)
{
	struct socket_row row = row_of(fd);
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	struct tcp_info info;
	struct stat st;
	int queued, unsent;
	uint32_t silence;

	info_of(fd, &info);
	assert_int_equal(row.state, info.tcpi_state);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	check_address(&row, row.local, row.local_port, &address);
	len = sizeof(address);
	if (row.state != LISTEN && getpeername(fd, (struct sockaddr *)&address, &len) == 0)
		check_address(&row, row.peer, row.peer_port, &address);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(row.inode, st.st_ino);
	assert_int_equal(row.uid, st.st_uid);
	assert_int_equal(row.flags & ROW_ORPHAN, 0);
	check_cgroup(&row);

	if (row.known & ROW_KNOWN_KEEPALIVE)
		assert_int_equal(!!(row.flags & ROW_KEEPALIVE),
				 get_int(fd, SOL_SOCKET, SO_KEEPALIVE));
	assert_int_equal(
		row.known & (ROW_KNOWN_SETTINGS | ROW_KNOWN_ORIGIN | ROW_KNOWN_USER_TIMEOUT), 0);
	assert_true(row.known & ROW_KNOWN_TIMER);
	if (row.state == LISTEN || row.state == SYN_SENT) {
		assert_int_equal(row.known & ROW_KNOWN_SILENCE, 0);
		return row;
	}
	silence = MIN(info.tcpi_last_data_recv, info.tcpi_last_ack_recv);
	assert_true(row.known & ROW_KNOWN_SILENCE);
	assert_in_range(silence, row.silence_ms, row.silence_ms + TOLERANCE_MS);
	assert_int_equal(ioctl(fd, SIOCOUTQ, &queued), 0);
	assert_int_equal(ioctl(fd, SIOCOUTQNSD, &unsent), 0);
	/* SIOCOUTQ leaves a FIN out, which takes a number as a byte does: tcp_ioctl(). */
	assert_in_range(row.unacked + row.unsent, queued, queued + 1);
	assert_int_equal(row.unsent, unsent);
	return row;
}

static void established_sockets_with_and_without_keepalive(void **state)
{
	(void)state;
	for (int i = 0; i < 12; i++) {
		bool accepted = i & 1, on = i & 2;
		struct connection c = connection_make((enum kind)(i / 4), IPPROTO_TCP, accepted);
		struct socket_row row;

		set_int(c.ours, IPPROTO_TCP, TCP_KEEPIDLE, 600);
		set_int(c.ours, SOL_SOCKET, SO_KEEPALIVE, on);
		row = check_socket(c.ours);
		assert_int_equal(row.state, ESTABLISHED);
		/* Its listener is gone: nothing tells that it was accepted. */
		assert_int_equal(row.direction, ROW_DIRECTION_OUT);
		assert_true(row.known & ROW_KNOWN_KEEPALIVE);
		assert_int_equal(row.flags, on ? ROW_KEEPALIVE : 0);
		assert_int_equal(row.timer, on ? ROW_TIMER_KEEPALIVE : ROW_TIMER_NONE);
		if (on) /* late by an eighth at most: the timer wheel */
			assert_in_range(row.timer_ms, 599000, 600000 * 9 / 8);
		set_int(c.ours, SOL_SOCKET, SO_KEEPALIVE, 0);
		assert_int_equal(row_of(c.ours).timer, ROW_TIMER_NONE);
		connection_close(&c);
	}
}

static void listeners_and_what_waits_to_be_accepted(void **state)
{
	struct rows rows;

	(void)state;
	for (int i = 0; i < 3; i++) {
		_cleanup_close_ int listener = listener_make((enum kind)i, true, IPPROTO_TCP, 8);
		int waiting[2], n = 0;
		struct socket_row row;

		set_int(listener, SOL_SOCKET, SO_KEEPALIVE, 1);
		for (int j = 0; j < 2; j++)
			waiting[j] =
				connect_to((enum kind)i, false, IPPROTO_TCP, port_of(listener), 0);
		row = check_socket(listener);
		assert_int_equal(row.direction, ROW_DIRECTION_LISTEN);
		assert_int_equal(row.timer, ROW_TIMER_NONE);
		assert_int_equal(row.known & ROW_KNOWN_KEEPALIVE, 0);
		assert_int_equal(row.unsent, 2);
		assert_int_equal(row.unacked, 0);
		rows_walk(&rows);
		for (size_t k = 0; k < rows.n; k++) {
			if (rows.row[k].state != ESTABLISHED)
				continue;
			n++;
			assert_int_equal(rows.row[k].direction, ROW_DIRECTION_IN);
			assert_int_equal(rows.row[k].inode, 0);
			assert_int_equal(rows.row[k].flags, ROW_KEEPALIVE);
			assert_int_equal(rows.row[k].timer, ROW_TIMER_KEEPALIVE);
		}
		assert_int_equal(n, 2);
		close(waiting[0]);
		close(waiting[1]);
	}
}

static void a_listener_for_ipv6_only_says_so(void **state)
{
	(void)state;
	for (int only = 0; only < 2; only++) {
		_cleanup_close_ int fd = lab_socket(here, AF_INET6, SOCK_STREAM, 0);

		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, only);
		assert_int_equal(listen(fd, 1), 0);
		assert_int_equal(check_socket(fd).flags, only ? ROW_V6ONLY : 0);
	}
}

/* ------------------------------------------------------------------------------- the states */

static void data_in_flight_hides_keepalive(void **state)
{
	(void)state;
	for (int on = 0; on < 2; on++) {
		struct connection c = connection_make(KIND_V4, IPPROTO_TCP, true);
		struct socket_row row;

		set_int(c.ours, SOL_SOCKET, SO_KEEPALIVE, on);
		link_cut();
		assert_int_equal(send(c.ours, "12345", 5, 0), 5);
		row = check_socket(c.ours);
		assert_int_equal(row.unacked, 5);
		assert_int_equal(row.unsent, 0);
		assert_int_equal(row.timer, ROW_TIMER_RETRANSMIT);
		assert_int_equal(row.known & ROW_KNOWN_KEEPALIVE, 0);
		link_mend();
		connection_close(&c);
	}
}

static void a_closed_window_hides_keepalive(void **state)
{
	struct connection c = connection_make(KIND_V6, IPPROTO_TCP, false);
	uint64_t until = now_ms() + WAIT_MS;
	static char bytes[64 << 10];
	struct socket_row row;

	(void)state;
	set_int(c.ours, SOL_SOCKET, SO_KEEPALIVE, 1);
	while (send(c.ours, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	do {
		poll(NULL, 0, 1);
		row = row_of(c.ours);
	} while (row.timer != ROW_TIMER_WINDOW_PROBE && now_ms() < until);
	assert_int_equal(row.timer, ROW_TIMER_WINDOW_PROBE);
	row = check_socket(c.ours);
	assert_true(row.unsent > 0);
	assert_int_equal(row.unacked, 0);
	assert_int_equal(row.known & ROW_KNOWN_KEEPALIVE, 0);
	connection_close(&c);
}

static void keepalive_probes_are_counted(void **state)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
	struct socket_row row = {0};
	uint64_t until = now_ms() + WAIT_MS;

	(void)state;
	link_cut();
	set_int(c.ours, IPPROTO_TCP, TCP_KEEPIDLE, 1);
	set_int(c.ours, IPPROTO_TCP, TCP_KEEPINTVL, 600);
	set_int(c.ours, SOL_SOCKET, SO_KEEPALIVE, 1);
	while (row.probes_out == 0 && now_ms() < until) {
		poll(NULL, 0, 10);
		row = row_of(c.ours);
	}
	row = check_socket(c.ours);
	assert_int_equal(row.probes_out, 1);
	assert_int_equal(row.timer, ROW_TIMER_KEEPALIVE);
	assert_in_range(row.timer_ms, 590000, 600000 * 9 / 8);
	assert_true(row.silence_ms >= 900);
	link_mend();
	connection_close(&c);
}

/* The states of a close, each with its timer; keepalive is on all the while. */
static void closing_sockets(void **state)
{
	static const struct {
		int want;
		bool peer_first, cut_first,
			peer_after; /* shutdown() by the peer, the cut, the peer */
		bool ours;          /* shutdown() by us */
		enum row_timer timer;
	} cases[] = {
		{FIN_WAIT1, false, true, false, true, ROW_TIMER_RETRANSMIT},
		{FIN_WAIT2, false, false, false, true, ROW_TIMER_KEEPALIVE},
		{CLOSE_WAIT, true, false, false, false, ROW_TIMER_KEEPALIVE},
		{LAST_ACK, true, true, false, true, ROW_TIMER_RETRANSMIT},
		{CLOSING, false, true, true, true, ROW_TIMER_RETRANSMIT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct connection c = connection_make((enum kind)(i % 3), IPPROTO_TCP, false);
		bool shows = cases[i].timer == ROW_TIMER_KEEPALIVE;
		struct socket_row row;

		set_int(c.ours, SOL_SOCKET, SO_KEEPALIVE, 1);
		if (cases[i].peer_first) {
			shutdown(c.theirs, SHUT_WR);
			wait_for_state(c.ours, CLOSE_WAIT);
			wait_for_state(c.theirs, FIN_WAIT2);
		}
		if (cases[i].cut_first)
			link_cut();
		if (cases[i].ours)
			shutdown(c.ours, SHUT_WR);
		if (cases[i].peer_after)
			shutdown(c.theirs, SHUT_WR);
		wait_for_state(c.ours, cases[i].want);
		row = check_socket(c.ours);
		assert_int_equal(row.timer, cases[i].timer);
		assert_int_equal(!!(row.known & ROW_KNOWN_KEEPALIVE), shows);
		assert_int_equal(!!(row.flags & ROW_KEEPALIVE), shows);
		link_mend();
		connection_close(&c);
	}
}

static void connecting_sockets(void **state)
{
	_cleanup_close_ int full = listener_make(KIND_V4, false, IPPROTO_TCP, 0);
	_cleanup_close_ int first = connect_to(KIND_V4, true, IPPROTO_TCP, port_of(full), 0);
	_cleanup_close_ int deferring = listener_make(KIND_V6, true, IPPROTO_TCP, 8);
	_cleanup_close_ int second = -1, client = -1;
	struct socket_row row;

	(void)state;
	/* The backlog is full: its SYN is passed over. */
	assert_true(first >= 0);
	second = connect_to(KIND_V4, true, IPPROTO_TCP, port_of(full), SOCK_NONBLOCK);
	set_int(second, SOL_SOCKET, SO_KEEPALIVE, 1);
	row = check_socket(second);
	assert_int_equal(row.state, SYN_SENT);
	assert_int_equal(row.direction, ROW_DIRECTION_OUT);
	assert_int_equal(row.timer, ROW_TIMER_RETRANSMIT);
	assert_int_equal(row.known & ROW_KNOWN_KEEPALIVE, 0);

	/* Without data there is no connection: the request stays one. */
	set_int(deferring, IPPROTO_TCP, TCP_DEFER_ACCEPT, 60);
	client = connect_to(KIND_V6, false, IPPROTO_TCP, port_of(deferring), 0);
	row = row_at(port_of(deferring), false);
	assert_int_equal(row.state, NEW_SYN_RECV);
	assert_int_equal(row.direction, ROW_DIRECTION_IN);
	assert_int_equal(row.timer, ROW_TIMER_SYN_ACK);
	assert_int_equal(row.peer_port, port_of(client));
	assert_int_equal(row.cookie, 0);
	assert_int_equal(row.inode, 0);
	assert_int_equal(row.known & (ROW_KNOWN_KEEPALIVE | ROW_KNOWN_SILENCE), 0);
}

static void orphans_and_what_is_left_of_connections(void **state)
{
	struct connection c;
	struct socket_row row;
	int port;

	(void)state;
	/* Acknowledged, and the peer is open: a FIN timeout over a minute stands in keepalive's
	 * timer. */
	c = connection_make(KIND_V4, IPPROTO_TCP, false);
	port = port_of(c.ours);
	set_int(c.ours, IPPROTO_TCP, TCP_LINGER2, 110);
	shutdown(c.ours, SHUT_WR);
	wait_for_state(c.ours, FIN_WAIT2);
	cleanup_close(&c.ours);
	row = row_at(port, false);
	assert_int_equal(row.state, FIN_WAIT2);
	assert_int_equal(row.flags, ROW_ORPHAN);
	assert_int_equal(row.timer, ROW_TIMER_KEEPALIVE);
	assert_int_equal(row.known & ROW_KNOWN_KEEPALIVE, 0);
	close(c.theirs);

	/* A shorter one: a minisocket, in FIN_WAIT2 until the peer closes. */
	c = connection_make(KIND_V6, IPPROTO_TCP, false);
	port = port_of(c.ours);
	set_int(c.ours, SOL_SOCKET, SO_KEEPALIVE, 1);
	shutdown(c.ours, SHUT_WR);
	wait_for_state(c.ours, FIN_WAIT2);
	cleanup_close(&c.ours);
	row = row_at(port, false);
	assert_int_equal(row.state, FIN_WAIT2);
	assert_int_equal(row.timer, ROW_TIMER_TIME_WAIT);
	assert_int_equal(row.flags, ROW_ORPHAN);
	assert_int_equal(row.known, ROW_KNOWN_TIMER);
	assert_int_equal(row.cookie, 0);
	close(c.theirs);
	for (uint64_t until = now_ms() + WAIT_MS; row.state == FIN_WAIT2 && now_ms() < until;)
		row = row_at(port, false);
	assert_int_equal(row.state, TIME_WAIT);
	assert_int_equal(row.timer, ROW_TIMER_TIME_WAIT);
	assert_in_range(row.timer_ms, 50000, 60000 * 9 / 8);

	/* Not acknowledged. */
	c = connection_make(KIND_MAPPED, IPPROTO_TCP, false);
	port = port_of(c.ours);
	set_int(c.ours, SOL_SOCKET, SO_KEEPALIVE, 1);
	link_cut();
	cleanup_close(&c.ours);
	row = row_at(port, false);
	assert_int_equal(row.state, FIN_WAIT1);
	assert_int_equal(row.flags, ROW_ORPHAN);
	assert_int_equal(row.unacked, 1);
	assert_int_equal(row.known & ROW_KNOWN_KEEPALIVE, 0);
	link_mend();
	close(c.theirs);
}

/* A subflow has the cookie and the inode of what the program holds. */
static void mptcp_subflows(void **state)
{
	struct connection c;

	(void)state;
	if (lab_socket(here, AF_INET, SOCK_STREAM, IPPROTO_MPTCP) < 0)
		skip();
	for (int i = 0; i < 4; i++) {
		struct socket_row row;
		struct stat st;

		c = connection_make(i & 1 ? KIND_V6 : KIND_V4, IPPROTO_MPTCP, i & 2);
		set_int(c.ours, SOL_SOCKET, SO_KEEPALIVE, 1);
		row = row_of(c.ours);
		assert_int_equal(fstat(c.ours, &st), 0);
		assert_int_equal(row.inode, st.st_ino);
		assert_int_equal(row.flags & ROW_MPTCP, ROW_MPTCP);
		assert_int_equal(row.known & ROW_KNOWN_KEEPALIVE, 0);
		connection_close(&c);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(established_sockets_with_and_without_keepalive),
		cmocka_unit_test(listeners_and_what_waits_to_be_accepted),
		cmocka_unit_test(a_listener_for_ipv6_only_says_so),
		cmocka_unit_test(data_in_flight_hides_keepalive),
		cmocka_unit_test(a_closed_window_hides_keepalive),
		cmocka_unit_test(keepalive_probes_are_counted),
		cmocka_unit_test(closing_sockets),
		cmocka_unit_test(connecting_sockets),
		cmocka_unit_test(orphans_and_what_is_left_of_connections),
		cmocka_unit_test(mptcp_subflows),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("diag", tests, networks_make, NULL);
}
