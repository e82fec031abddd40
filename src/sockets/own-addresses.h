/* SPDX-License-Identifier: MIT */
/*
 * The addresses of this machine, in every network namespace that can be seen. What is sent to one
 * of them passes the processors' queues of received packets (net.core.netdev_max_backlog), over
 * loopback or veth; what leaves through a card does not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed, it takes every address for one of them. */
struct own_addresses {
	uint32_t (*items)[4]; /* as in struct socket_row; sorted */
	size_t n, room;
	bool known; /* all namespaces could be asked */
};

/* 0 or -ENOMEM. Where a namespace cannot be entered, it stays unknown. */
int own_addresses_read(struct own_addresses *ret);
void own_addresses_clear(struct own_addresses *addresses);

/* Loopback addresses are always. */
bool own_addresses_have(const struct own_addresses *addresses, const uint32_t address[4]);
