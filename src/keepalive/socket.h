/* SPDX-License-Identifier: MIT */
/* The five socket options as a table: what maps a field of settings to what the kernel takes. */
#pragma once

#include <tcpkeep.h>

/* One field of struct tcpkeep_settings and its option. */
struct socket_option {
	uint32_t field;
	int level;
	int name;
};

/*
 * In the order in which they are to be written: SO_KEEPALIVE last, so that turning it on starts a
 * full time (net/core/sock.c sk_keepalive: tcp_set_keepalive()). The first of them fails on what is
 * not TCP.
 */
#define SOCKET_OPTIONS 5
extern const struct socket_option socket_options[SOCKET_OPTIONS];

/* The field's value the way the kernel takes it. */
int socket_option_value(const struct tcpkeep_settings *settings, uint32_t field);
void socket_option_store(struct tcpkeep_settings *settings, uint32_t field, int value);
