/* SPDX-License-Identifier: MIT */
/* For the tests of selectors: words, and whether a socket matches them. */
#pragma once

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "sockets/selector.h"
#include "unit.h"

/* Adds words joined by blanks; the first failure ends it. */
static inline int parse(struct selector *selector, const char *words, struct tcpkeep_error *error)
{
	memset(selector, 0, sizeof(*selector));
	for (;;) {
		size_t len = strcspn(words, " ");
		int r = selector_parse_word(selector, words, len, error);

		if (r < 0 || words[len] == '\0')
			return r;
		words += len + 1;
	}
}

static inline bool matches(const char *words, const struct socket_row *row,
			   const struct selector_owner *owner)
{
	struct selector selector;
	struct tcpkeep_error error = {0};

	if (parse(&selector, words, &error) < 0)
		fail_msg("%s: %s", words, error.message);
	return selector_matches(&selector, row, owner);
}

#define assert_matches(words, row, owner)                                                          \
	do {                                                                                       \
		if (!matches(words, row, owner))                                                   \
			fail_msg("%s does not match", words);                                      \
	} while (0)
#define assert_no_match(words, row, owner)                                                         \
	do {                                                                                       \
		if (matches(words, row, owner))                                                    \
			fail_msg("%s matches", words);                                             \
	} while (0)

/* For what is known: the selector and its negation never agree. word has one '='. */
static inline void check(const char *word, bool want, const struct socket_row *row,
			 const struct selector_owner *owner)
{
	char negated[300];
	int key = (int)strcspn(word, "=");

	snprintf(negated, sizeof(negated), "%.*s!%s", key, word, word + key);
	if (matches(word, row, owner) != want)
		fail_msg("%s should be %d", word, want);
	if (matches(negated, row, owner) == want)
		fail_msg("%s should be %d", negated, !want);
}

static inline void check_unknown(const char *word, const struct socket_row *row,
				 const struct selector_owner *owner)
{
	char negated[300];
	int key = (int)strcspn(word, "=");

	snprintf(negated, sizeof(negated), "%.*s!%s", key, word, word + key);
	assert_no_match(word, row, owner);
	assert_no_match(negated, row, owner);
}

static inline void set_address(__u32 address[4], const char *text)
{
	memset(address, 0, 4 * sizeof(address[0]));
	if (inet_pton(AF_INET6, text, address) == 1)
		return;
	address[2] = htonl(0xffff);
	assert_int_equal(inet_pton(AF_INET, text, &address[3]), 1);
}

/* An established connection from local to peer of which everything is known. */
static inline struct socket_row a_row(const char *local, unsigned local_port, const char *peer,
				      unsigned peer_port)
{
	struct socket_row row = {
		.cookie = 1,
		.local_port = (__u16)local_port,
		.peer_port = (__u16)peer_port,
		.family = strchr(local, ':') ? AF_INET6 : AF_INET,
		.state = 1,
		.flags = ROW_KEEPALIVE,
		.known = ROW_KNOWN_KEEPALIVE | ROW_KNOWN_SILENCE,
		.direction = ROW_DIRECTION_OUT,
		.silence_ms = 600000,
		.uid = 1000,
		.inode = 77,
	};

	set_address(row.local, local);
	set_address(row.peer, peer);
	return row;
}
