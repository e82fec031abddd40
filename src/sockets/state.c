/* SPDX-License-Identifier: MIT */
#include "state.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/nearest.h"
#include "selector.h"

/* include/net/tcp_states.h. A request socket (12) is what everybody calls SYN-RECV (3). */
static const char *const names[] = {
	[1] = "ESTABLISHED", [2] = "SYN-SENT",  [3] = "SYN-RECV", [4] = "FIN-WAIT-1",
	[5] = "FIN-WAIT-2",  [6] = "TIME-WAIT", [7] = "CLOSED",   [8] = "CLOSE-WAIT",
	[9] = "LAST-ACK",    [10] = "LISTEN",   [11] = "CLOSING", [12] = "SYN-RECV",
};

#define BIT(state) (1ULL << (state))
#define ALL        (~0ULL) /* states of newer kernels as well */
#define SYN_RECV   (BIT(3) | BIT(12))
#define BUCKET     (SYN_RECV | BIT(6)) /* ss(8): what the kernel keeps as a minisocket */

/* Lower case, as nearest() compares them. The groups are those of ss(8). */
static const struct word {
	const char *name;
	__u64 mask;
} words[] = {
	{"established", BIT(1)},
	{"estab", BIT(1)},
	{"syn-sent", BIT(2)},
	{"syn-recv", SYN_RECV},
	{"syn-rcv", SYN_RECV},
	{"syn-received", SYN_RECV},
	{"new-syn-recv", BIT(12)},
	{"fin-wait-1", BIT(4)},
	{"fin-wait-2", BIT(5)},
	{"time-wait", BIT(6)},
	{"closed", BIT(7)},
	{"close", BIT(7)},
	{"unconn", BIT(7)},
	{"unconnected", BIT(7)},
	{"close-wait", BIT(8)},
	{"last-ack", BIT(9)},
	{"listen", BIT(10)},
	{"listening", BIT(10)},
	{"closing", BIT(11)},
	{"connected", ALL & ~(BIT(7) | BIT(10))},
	{"synchronized", ALL & ~(BIT(7) | BIT(10) | BIT(2))},
	{"bucket", BUCKET},
	{"big", ALL & ~BUCKET},
	{"all", ALL},
};

/* No locale: the names are ASCII. */
static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_joint(char c)
{
	return c == '-' || c == '_';
}

/* TIME_WAIT, timewait and Time-Wait are one name. */
static bool same_name(const char *text, size_t len, const char *name)
{
	size_t at = 0;

	for (;;) {
		while (at < len && is_joint(text[at]))
			at++;
		while (is_joint(*name))
			name++;
		if (at == len || *name == '\0')
			return at == len && *name == '\0';
		if (lower(text[at++]) != *name++)
			return false;
	}
}

static const char *nearest_state(const char *text, size_t len)
{
	const char *candidates[ARRAY_SIZE(words)];
	char word[32];

	if (len > sizeof(word))
		return NULL;
	for (size_t i = 0; i < len; i++)
		word[i] = text[i] == '_' ? '-' : lower(text[i]);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		candidates[i] = words[i].name;
	return nearest(word, len, candidates, ARRAY_SIZE(candidates));
}

int state_parse(const char *text, size_t len, __u64 *ret_mask, const char **ret_nearest)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (same_name(text, len, words[i].name)) {
			*ret_mask = words[i].mask;
			return 0;
		}
	*ret_nearest = nearest_state(text, len);
	return -EINVAL;
}

const char *state_name(unsigned state, char buf[16])
{
	if (state < ARRAY_SIZE(names) && names[state])
		return names[state];
	/* The kernel's is a byte; anything else would not fit. */
	snprintf(buf, 16, "unknown(%hu)", (unsigned short)MIN(state, 65535U));
	return buf;
}
