/* SPDX-License-Identifier: MIT */
#include "endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/number.h"
#include "keepalive/error.h"

#define SHOWN_MAX 48

/* A stretch of the text; text is NULL when it is not there. */
struct piece {
	const char *text;
	size_t len;
};

/* The text, cut. The pieces do not hold what separates them. */
struct parts {
	const char *key;
	struct piece whole, address, length, ports;
	bool brackets;
	struct tcpkeep_error *error;
};

static const char *show(struct piece piece, char buf[SHOWN_MAX])
{
	return escape_text(piece.text, piece.len, buf, SHOWN_MAX);
}

static size_t offset_of(const struct parts *parts, struct piece piece)
{
	return (size_t)(piece.text - parts->whole.text);
}

/* "peer: 'TEXT' REASON" about one piece. */
static int refuse(const struct parts *parts, int r, struct piece piece, const char *reason)
{
	char shown[SHOWN_MAX];

	return error_set_at(parts->error, r, offset_of(parts, piece), piece.len, "%s: '%s' %s",
			    parts->key, show(piece, shown), reason);
}

static struct piece from(struct piece piece, size_t at)
{
	return (struct piece){piece.text + at, piece.len - at};
}

/* The index of c in the piece, or its length. */
static size_t find(struct piece piece, char c)
{
	const char *found = piece.len ? memchr(piece.text, c, piece.len) : NULL;

	return found ? (size_t)(found - piece.text) : piece.len;
}

/* What follows the address: [/LEN][:PORTS]. */
static int split_tail(struct parts *parts, struct piece tail)
{
	size_t colon;

	if (tail.len && tail.text[0] == '/') {
		tail = from(tail, 1);
		colon = find(tail, ':');
		parts->length = (struct piece){tail.text, colon};
		tail = from(tail, colon);
	}
	if (tail.len == 0)
		return 0;
	if (tail.text[0] != ':')
		return refuse(
			parts, -EINVAL, tail,
			"follows the ']'; write [ADDR]/LEN:PORT, for example [2001:db8::]/32:443");
	parts->ports = from(tail, 1);
	return 0;
}

static int split_brackets(struct parts *parts)
{
	struct piece inside = from(parts->whole, 1);
	size_t close = find(inside, ']');

	if (close == inside.len)
		return refuse(parts, -EINVAL, parts->whole,
			      "lacks its ']'; write [ADDR]:PORT, for example [2001:db8::1]:443");
	parts->brackets = true;
	parts->address = (struct piece){inside.text, close};
	if (find(parts->address, '/') < close)
		return refuse(parts, -EINVAL, parts->whole,
			      "has its length inside the brackets; write [2001:db8::]/32:443");
	return split_tail(parts, from(inside, close + 1));
}

static int split(struct parts *parts)
{
	struct piece whole = parts->whole;
	size_t slash = find(whole, '/'), colon = find(whole, ':');

	if (whole.len == 0)
		return refuse(parts, -EINVAL, whole,
			      "is empty; write an address, a network or a port: 10.0.0.1:5432, "
			      "10.0.0.0/8, [::1]:80, :443");
	if (whole.text[0] == '[')
		return split_brackets(parts);
	if (whole.text[0] == ':' && (whole.len == 1 || whole.text[1] != ':')) {
		parts->ports = from(whole, 1);
		return 0;
	}
	/* Two colons and no length: an IPv6 address to its end. */
	if (slash == whole.len && colon < whole.len &&
	    find(from(whole, colon + 1), ':') < whole.len - colon - 1)
		colon = whole.len;
	parts->address = (struct piece){whole.text, slash < whole.len ? slash : colon};
	return split_tail(parts, from(whole, parts->address.len));
}

/* What is no address gets the form that was probably meant. */
static int refuse_address(const struct parts *parts)
{
	struct piece address = parts->address;
	char shown[SHOWN_MAX];
	int64_t port;

	if (find(address, '%') < address.len)
		return refuse(
			parts, -EINVAL, address,
			"names an interface, which sockets are not listed with; leave out the % and what follows");
	if (address.len == 1 && address.text[0] == '*')
		return refuse(parts, -EINVAL, address,
			      "is not an address; for a port of any address write :PORT");
	if (number_parse(address.text, address.len, 0, 65535, &port) == 0)
		return error_set_at(parts->error, -EINVAL, offset_of(parts, address), address.len,
				    "%s: '%s' is not an address; did you mean the port, :%d?",
				    parts->key, show(address, shown), (int)port);
	if (parts->length.text && find(address, ':') < address.len &&
	    find(address, '.') < address.len)
		return refuse(parts, -EINVAL, parts->whole,
			      "has the port before the length; write it last: 10.0.0.0/8:5432");
	if (find(address, ':') < address.len)
		return refuse(
			parts, -EINVAL, address,
			"is not an IPv6 address; accepted: 2001:db8::1, 2001:db8::/32, [2001:db8::1]:443");
	return refuse(
		parts, -EINVAL, address,
		"is not an address (names are not looked up); accepted: 10.0.0.1, 10.0.0.0/8, "
		"10.0.0.1:5432, [::1]:80, :443");
}

/* Reads the address; IPv4 as ::ffff:a.b.c.d. */
static int parse_address(const struct parts *parts, struct match_endpoint *ret, bool *ret_ipv4)
{
	bool ipv4 = find(parts->address, ':') == parts->address.len;
	char text[INET6_ADDRSTRLEN];

	if (parts->address.len >= sizeof(text))
		return refuse_address(parts);
	memcpy(text, parts->address.text, parts->address.len);
	text[parts->address.len] = '\0';
	/* A NUL inside would hide what follows it. */
	if (strlen(text) != parts->address.len ||
	    inet_pton(ipv4 ? AF_INET : AF_INET6, text, ipv4 ? ret->address + 3 : ret->address) != 1)
		return refuse_address(parts);
	if (ipv4 && parts->brackets)
		return refuse(parts, -EINVAL, parts->whole,
			      "has brackets, which are for IPv6; leave them out");
	if (ipv4)
		ret->address[2] = MATCH_BE32(0xffffU);
	*ret_ipv4 = ipv4;
	return 0;
}

/* The network with its host bits cleared, written as the user wrote it. */
static int refuse_host_bits(const struct parts *parts, const struct match_endpoint *endpoint,
			    bool ipv4, int64_t length)
{
	char address[INET6_ADDRSTRLEN], shown[SHOWN_MAX], port[SHOWN_MAX] = "";
	struct match_endpoint network = *endpoint;
	bool brackets = !ipv4 && parts->ports.text;

	/* ::ffff:10.0.0.0/8: the length counts from the start of the IPv6 address, which nobody
	 * means. */
	if (!ipv4 && match_is_ipv4(endpoint->address) && length <= 32) {
		match_mask(network.mask, 96 + (__u32)length);
		ipv4 = true;
		brackets = false;
	}
	for (int i = 0; i < 4; i++)
		network.address[i] &= network.mask[i];
	inet_ntop(ipv4 ? AF_INET : AF_INET6, ipv4 ? network.address + 3 : network.address, address,
		  sizeof(address));
	if (parts->ports.text)
		show(parts->ports, port);
	return error_set_at(
		parts->error, -EINVAL, 0, parts->whole.len,
		"%s: '%s' has bits set beyond its length; write %s%s%s/%d%s%s, or leave out the "
		"length for one address",
		parts->key, show(parts->whole, shown), brackets ? "[" : "", address,
		brackets ? "]" : "", (int)length, parts->ports.text ? ":" : "", port);
}

static int parse_network(const struct parts *parts, struct match_endpoint *ret)
{
	int64_t length;
	bool ipv4 = false;
	int r;

	r = parse_address(parts, ret, &ipv4);
	if (r < 0)
		return r;
	length = ipv4 ? 32 : 128;
	if (parts->length.text) {
		r = number_parse(parts->length.text, parts->length.len, 0, length, &length);
		if (r < 0)
			return refuse(
				parts, r, parts->length,
				ipv4 ? "is not the length of an IPv4 network; accepted: 0 to 32"
				     : "is not the length of an IPv6 network; accepted: 0 to 128");
	}
	ret->prefix = (__u8)(ipv4 ? 96 + length : length);
	ret->not_ipv4 = !match_is_ipv4(ret->address);
	match_mask(ret->mask, ret->prefix);
	for (int i = 0; i < 4; i++)
		if (ret->address[i] & ~ret->mask[i])
			return refuse_host_bits(parts, ret, ipv4, length);
	return 0;
}

static int parse_port(const struct parts *parts, struct piece piece, __u16 *ret)
{
	int64_t port;
	int r;

	r = number_parse(piece.text, piece.len, 0, 65535, &port);
	if (r < 0)
		return refuse(
			parts, r, piece,
			r == -ERANGE
				? "is out of range for a port; accepted: 0 to 65535"
				: "is not a port; accepted: a number, or a range like 5432-5439");
	*ret = (__u16)port;
	return 0;
}

static int parse_ports(const struct parts *parts, struct match_endpoint *ret)
{
	size_t dash = find(parts->ports, '-');
	int r;

	/* A dash in front is a sign, not a range without its start. */
	if (dash == 0)
		dash = parts->ports.len;
	r = parse_port(parts, (struct piece){parts->ports.text, dash}, &ret->port_min);
	if (r < 0)
		return r;
	ret->port_max = ret->port_min;
	if (dash < parts->ports.len) {
		r = parse_port(parts, from(parts->ports, dash + 1), &ret->port_max);
		if (r < 0)
			return r;
	}
	if (ret->port_min > ret->port_max)
		return error_set_at(parts->error, -EINVAL, offset_of(parts, parts->ports),
				    parts->ports.len, "%s: ports %u-%u run backwards; write %u-%u",
				    parts->key, ret->port_min, ret->port_max, ret->port_max,
				    ret->port_min);
	return 0;
}

int endpoint_parse(const char *key, const char *text, size_t len, struct match_endpoint *ret,
		   struct tcpkeep_error *ret_error)
{
	struct parts parts = {.key = key, .whole = {text, len}, .error = ret_error};
	struct match_endpoint endpoint = {.port_max = 65535};
	int r;

	r = split(&parts);
	if (r < 0)
		return r;
	if (parts.address.text) {
		r = parse_network(&parts, &endpoint);
		if (r < 0)
			return r;
	}
	if (parts.ports.text) {
		r = parse_ports(&parts, &endpoint);
		if (r < 0)
			return r;
	}
	*ret = endpoint;
	return 0;
}
