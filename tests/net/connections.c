/* SPDX-License-Identifier: MIT */
#include "connections.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "lab/lab.h"
#include "sockets/diag.h"
#include "unit/unit.h"

#define WAIT_MS 10000

int here = -1, there = -1;

int networks_make(void **state)
{
	struct tcpkeep_error error = {0};

	(void)state;
	if (lab_enter(&error) < 0)
		goto failed;
	here = lab_netns_new(&error);
	there = lab_netns_new(&error);
	if (here < 0 || there < 0 || lab_link(here, "link", there, "link", &error) < 0 ||
	    lab_address(here, "link", "192.0.2.1/24", &error) < 0 ||
	    lab_address(there, "link", "192.0.2.2/24", &error) < 0 ||
	    lab_address(here, "link", "2001:db8::1/64", &error) < 0 ||
	    lab_address(there, "link", "2001:db8::2/64", &error) < 0)
		goto failed;
	return 0;
failed:
	print_error("# %s\n", error.message);
	return -1;
}

socklen_t address_of(enum kind kind, bool ours, int port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (kind == KIND_V4) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		inet_pton(AF_INET, ours ? "192.0.2.1" : "192.0.2.2", &v4->sin_addr);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	if (kind == KIND_MAPPED)
		inet_pton(AF_INET6, ours ? "::ffff:192.0.2.1" : "::ffff:192.0.2.2", &v6->sin6_addr);
	else
		inet_pton(AF_INET6, ours ? "2001:db8::1" : "2001:db8::2", &v6->sin6_addr);
	return sizeof(*v6);
}

int listener_make(enum kind kind, bool ours, int protocol, int backlog)
{
	struct sockaddr_storage address;
	socklen_t len = address_of(kind, ours, 0, &address);
	int fd = lab_socket(ours ? here : there, address.ss_family, SOCK_STREAM, protocol);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

int port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
}

int connect_to(enum kind kind, bool ours, int protocol, int port, int flags)
{
	struct sockaddr_storage address;
	socklen_t len = address_of(kind, !ours, port, &address);
	int fd = lab_socket(ours ? here : there, address.ss_family, SOCK_STREAM | flags, protocol);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&address, len) < 0)
		assert_int_equal(errno, EINPROGRESS);
	return fd;
}

/* Our end in here: connected from here, or accepted here. */
struct connection connection_make(enum kind kind, int protocol, bool accepted)
{
	_cleanup_close_ int listener = listener_make(kind, accepted, protocol, 8);
	int connector = connect_to(kind, !accepted, protocol, port_of(listener), 0);
	int other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	assert_true(other >= 0);
	return accepted ? (struct connection){other, connector}
			: (struct connection){connector, other};
}

void connection_close(struct connection *c)
{
	cleanup_close(&c->ours);
	cleanup_close(&c->theirs);
	c->ours = c->theirs = -1;
}

void set_int(int fd, int level, int name, int value)
{
	assert_int_equal(setsockopt(fd, level, name, &value, sizeof(value)), 0);
}

void info_of(int fd, struct tcp_info *ret)
{
	socklen_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret, &len), 0);
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void wait_for_state(int fd, int state)
{
	uint64_t until = now_ms() + WAIT_MS;
	struct tcp_info info;

	do {
		poll(NULL, 0, 1);
		info_of(fd, &info);
	} while (info.tcpi_state != state && now_ms() < until);
	assert_int_equal(info.tcpi_state, state);
}

int get_int(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

void link_mend(void)
{
	assert_int_equal(lab_rules(there, "flush ruleset\n", NULL), 0);
}

void link_cut(void)
{
	static const char rules[] = "table ip t { chain c {\n"
				    "type filter hook input priority 0; policy drop\n"
				    "}; }\n"
				    "table ip6 t { chain c {\n"
				    "type filter hook input priority 0\n"
				    "meta l4proto tcp drop\n"
				    "}; }\n";

	link_mend();
	assert_int_equal(lab_rules(there, rules, NULL), 0);
}

uint64_t cookie_of(int fd)
{
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

int rows_collect(struct socket_row *row, void *userdata)
{
	struct rows *rows = userdata;

	assert_true(rows->n < ROWS_MAX);
	rows->row[rows->n++] = *row;
	return 0;
}

void rows_walk(struct rows *ret)
{
	struct tcpkeep_error error = {0};
	size_t interrupted = 99;

	ret->n = 0;
	assert_int_equal(diag_walk(here, rows_collect, ret, &interrupted, &error), 0);
	assert_int_equal(interrupted, 0);
}
