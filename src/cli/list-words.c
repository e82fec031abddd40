/* SPDX-License-Identifier: MIT */
#include "list-words.h"

#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/macro.h"

/* net/tcp_states.h, which the C library's header lacks. */
#define TCP_NEW_SYN_RECV 12

const char *list_word_family(const struct socket_row *row)
{
	return row->family == AF_INET ? "ipv4" : "ipv6";
}

const char *list_word_direction(const struct socket_row *row)
{
	static const char *const words[] = {
		[ROW_DIRECTION_IN] = "in",
		[ROW_DIRECTION_OUT] = "out",
		[ROW_DIRECTION_LISTEN] = "listen",
	};

	return row->direction < ARRAY_SIZE(words) ? words[row->direction] : NULL;
}

const char *list_word_timer(const struct socket_row *row)
{
	static const char *const words[] = {
		[ROW_TIMER_NONE] = "none",
		[ROW_TIMER_RETRANSMIT] = "retransmit",
		[ROW_TIMER_WINDOW_PROBE] = "window-probe",
		[ROW_TIMER_KEEPALIVE] = "keepalive",
		[ROW_TIMER_TIME_WAIT] = "time-wait",
		[ROW_TIMER_SYN_ACK] = "syn-ack",
		[ROW_TIMER_HIDDEN] = "hidden",
	};

	/* tcp_close(): the same timer, another meaning. */
	if (row->timer == ROW_TIMER_KEEPALIVE && row->flags & ROW_ORPHAN)
		return "fin-timeout";
	return row->timer < ARRAY_SIZE(words) ? words[row->timer] : NULL;
}

bool list_has_user(const struct socket_row *row)
{
	return row->state != TCP_TIME_WAIT && row->state != TCP_NEW_SYN_RECV &&
	       row->timer != ROW_TIMER_TIME_WAIT;
}

bool list_has_transfer(const struct socket_row *row)
{
	return row->state != TCP_LISTEN && list_has_user(row);
}
