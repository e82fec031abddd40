/* SPDX-License-Identifier: MIT */
#include "list-words.h"

#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/escape.h"
#include "base/macro.h"
#include "base/put.h"

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

static bool is_plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] >= 0x7f || text[i] == '\\')
			return false;
	return true;
}

static bool starts_formula(const char *text, size_t len)
{
	return len > 0 && text[0] && strchr("=+-@", text[0]);
}

char *list_put_name(char *at, const char *text, size_t len, size_t room, bool csv)
{
	static const char hex[] = "0123456789abcdef";

	if (csv && starts_formula(text, len)) {
		at = put_text(at, "\\x");
		at = put_char(at, hex[text[0] >> 4]);
		at = put_char(at, hex[text[0] & 15]);
		text++;
		len--;
		room -= 4;
	}
	if (len < room && is_plain(text, len))
		return put_text_n(at, text, len);
	escape_text(text, len, at, room);
	return at + strlen(at);
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
