/* SPDX-License-Identifier: MIT */
/*
 * TCP sockets for the tests of src/sockets: ours live in one private network, their peers in
 * another one, behind a link that can be cut. What fails here fails the test.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sockets/row.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* include/net/tcp_states.h; linux/tcp.h has none, netinet/tcp.h an old struct tcp_info. */
enum {
	ESTABLISHED = 1,
	SYN_SENT,
	SYN_RECV,
	FIN_WAIT1,
	FIN_WAIT2,
	TIME_WAIT,
	CLOSE,
	CLOSE_WAIT,
	LAST_ACK,
	LISTEN,
	CLOSING,
	NEW_SYN_RECV,
};

extern int here, there; /* the two networks, by descriptor */

/* Makes both; for cmocka's group setup. */
int networks_make(void **state);

enum kind {
	KIND_V4,
	KIND_V6,
	KIND_MAPPED, /* IPv4 in an IPv6 socket */
};

struct connection {
	int ours, theirs;
};

/* On an address of the network, and a port that the kernel chooses. */
int listener_make(enum kind kind, bool ours, int protocol, int backlog);

/* flags: SOCK_NONBLOCK, for one that may not get through. */
int connect_to(enum kind kind, bool ours, int protocol, int port, int flags);

/* Our end in here: connected from here, or accepted here. Its listener is gone. */
struct connection connection_make(enum kind kind, int protocol, bool accepted);
void connection_close(struct connection *c);

socklen_t address_of(enum kind kind, bool ours, int port, struct sockaddr_storage *ret);
int port_of(int fd);
uint64_t cookie_of(int fd);
void set_int(int fd, int level, int name, int value);
int get_int(int fd, int level, int name);
struct tcp_info;
void info_of(int fd, struct tcp_info *ret);
void wait_for_state(int fd, int state);
uint64_t now_ms(void);

/* Nothing arrives at the peers, and it does again. */
void link_cut(void);
void link_mend(void);

/* A walk through our network. */
#define ROWS_MAX 256

struct rows {
	struct socket_row row[ROWS_MAX];
	size_t n;
};

/* For diag_walk(). */
int rows_collect(struct socket_row *row, void *userdata);
void rows_walk(struct rows *ret);
