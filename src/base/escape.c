/* SPDX-License-Identifier: MIT */
#include "escape.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

size_t utf8_decode(const char *s, size_t len, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *u = (const unsigned char *)s;
	uint32_t code;
	size_t n;

	if (u[0] < 0x80) {
		*ret = u[0];
		return 1;
	}
	if ((u[0] & 0xe0) == 0xc0) {
		n = 2;
		code = u[0] & 0x1f;
	} else if ((u[0] & 0xf0) == 0xe0) {
		n = 3;
		code = u[0] & 0x0f;
	} else if ((u[0] & 0xf8) == 0xf0) {
		n = 4;
		code = u[0] & 0x07;
	} else {
		return 0;
	}
	if (len < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (u[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret = code;
	return n;
}

/* Nothing to see, and yet it changes what is seen around it: controls, what ends a line or
 * turns it around (Unicode's Bidi_Control), and what takes no place at all. */
static bool is_deceptive(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x00ad || code == 0x061c ||
	       (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

char *escape_text(const char *text, size_t len, char *buf, size_t size)
{
	size_t out = 0, fits = 0;

	for (size_t at = 0; at < len;) {
		char piece[8];
		size_t piece_len;
		uint32_t code;
		size_t n = utf8_decode(text + at, len - at, &code);

		if (n == 0 || is_deceptive(code)) {
			/* Byte by byte, like what is no character. */
			piece_len = (size_t)snprintf(piece, sizeof(piece), "\\x%02x",
						     (unsigned char)text[at]);
			n = 1;
		} else if (code == '\\') {
			piece_len = 2;
			memcpy(piece, "\\\\", 2);
		} else {
			piece_len = n;
			memcpy(piece, text + at, n);
		}
		if (out + piece_len >= size) {
			memcpy(buf + fits, "...", 4);
			return buf;
		}
		memcpy(buf + out, piece, piece_len);
		out += piece_len;
		if (out + 4 <= size)
			fits = out;
		at += n;
	}
	buf[out] = '\0';
	return buf;
}

static bool is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' &&
	       s[2] <= '7';
}

void unescape_octal(char *text)
{
	char *out = text;

	while (*text) {
		if (text[0] == '\\' && is_octal(text + 1)) {
			*out++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 +
					(text[3] - '0'));
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = '\0';
}
