/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <string.h>

#include "base/escape.h"
#include "base/put.h"

void json_init(struct json *json, FILE *file)
{
	json->file = file;
	json->depth = 0;
	json->first = true;
	json->len = 0;
}

void json_flush_(struct json *json)
{
	fwrite_unlocked(json->buffer, 1, json->len, json->file);
	json->len = 0;
}

/* Where JSON_PIECE_MAX bytes fit. */
static char *room(struct json *json)
{
	if (json->len + JSON_PIECE_MAX > sizeof(json->buffer))
		json_flush_(json);
	return json->buffer + json->len;
}

static void add(struct json *json, const char *text, size_t len)
{
	if (json->len + len > sizeof(json->buffer))
		json_flush_(json);
	if (len > sizeof(json->buffer)) {
		fwrite_unlocked(text, 1, len, json->file);
		return;
	}
	memcpy(json->buffer + json->len, text, len);
	json->len += len;
}

/* Eight bytes at a time: does any of them have to be looked at? */
static bool is_plain_word(const char *text)
{
	const uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
	uint64_t word, quote, backslash, delete;

	memcpy(&word, text, sizeof(word));
	/* A byte of these is zero where the character stands; below: a borrow where it is a
	 * control. */
	quote = word ^ ones * '"';
	backslash = word ^ ones * '\\';
	delete = word ^ ones * 0x7f;
	return !((word | (word - ones * 0x20) | ((quote - ones) & ~quote) |
		  ((backslash - ones) & ~backslash) | ((delete - ones) & ~delete)) &
		 highs);
}

/* Bytes that stand for themselves in a string. */
static size_t plain(const char *text, size_t len)
{
	size_t n = 0;

	while (n + sizeof(uint64_t) <= len && is_plain_word(text + n))
		n += sizeof(uint64_t);
	while (n < len && text[n] >= 0x20 && text[n] < 0x7f && text[n] != '"' && text[n] != '\\')
		n++;
	return n;
}

static void add_escape(struct json *json, uint32_t code)
{
	static const char digits[] = "0123456789abcdef";
	char *at = put_text(room(json), "\\u00");

	at = put_char(at, digits[code >> 4 & 15]);
	json_end_(json, put_char(at, digits[code & 15]));
}

/* The character at text that does not stand for itself, or is not ASCII; returns its length. */
static size_t add_special(struct json *json, const char *text, size_t len)
{
	uint32_t code;
	size_t n = utf8_decode(text, len, &code);

	if (n == 0) {
		add(json, "\\ufffd", 6);
		return 1;
	}
	if (code == '"' || code == '\\')
		json_end_(json, put_char(put_char(room(json), '\\'), (char)code));
	else if (code < 0x20 || (code >= 0x7f && code < 0xa0))
		/* JSON would allow DEL and C1 as they are; a terminal would obey them. */
		add_escape(json, code);
	else
		add(json, text, n);
	return n;
}

void json_add_string_(struct json *json, const char *text, size_t len)
{
	json_end_(json, put_char(room(json), '"'));
	for (size_t at = 0; at < len;) {
		size_t n = plain(text + at, len - at);

		add(json, text + at, n);
		at += n;
		if (at < len)
			at += add_special(json, text + at, len - at);
	}
	json_end_(json, put_char(room(json), '"'));
}

static void close_nest(struct json *json, char bracket)
{
	json_end_(json, put_char(room(json), bracket));
	json->depth--;
	json->first = false;
	if (json->depth == 0) {
		json_end_(json, put_char(room(json), '\n'));
		json_flush_(json);
	}
}

void json_end_object(struct json *json)
{
	close_nest(json, '}');
}

void json_end_array(struct json *json)
{
	close_nest(json, ']');
}
