/* SPDX-License-Identifier: MIT */
/* The names of the TCP states on input: those of ss(8), its groups, the kernel's and the RFC's
 * spellings. */
#pragma once

#include <linux/types.h>
#include <stddef.h>

/*
 * One name, in any case, '-' and '_' wherever: *ret_mask has a bit, 1 << state, for each state that
 * it stands for. -EINVAL: no such name; *ret_nearest is the one that may have been meant, or NULL.
 */
int state_parse(const char *text, size_t len, __u64 *ret_mask, const char **ret_nearest);

/* What state_parse() takes, for messages. */
#define STATE_NAMES                                                                                \
	"ESTABLISHED, SYN-SENT, SYN-RECV, FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT, CLOSED, CLOSE-WAIT, " \
	"LAST-ACK, LISTEN, CLOSING; connected, synchronized, bucket, big, all"
