/* SPDX-License-Identifier: MIT */
/* The addresses and ports of local= and peer=. */
#pragma once

#include <stddef.h>
#include <tcpkeep.h>

#include "match.h"

/*
 * Parses ADDR[/LEN][:PORT[-PORT]] or :PORT[-PORT], len bytes, whole. IPv6 with a port stands in
 * brackets, or ends in its /LEN: [2001:db8::]/32:443, [::1]:80, 2001:db8::/32:443; bare,
 * 2001:db8::1 is all address.
 *
 * What is written as IPv4 matches IPv4 in every socket, also mapped in an IPv6 one. What is written
 * as IPv6 matches IPv6 alone: ::/0 is all of IPv6 and nothing of IPv4. ::ffff:a.b.c.d is IPv4. A
 * port alone matches both.
 *
 * -EINVAL, -ERANGE; ret_error (may be NULL) starts with key and counts its offset from text.
 */
int endpoint_parse(const char *key, const char *text, size_t len, struct match_endpoint *ret,
		   struct tcpkeep_error *ret_error);
