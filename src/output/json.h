/* SPDX-License-Identifier: MIT */
/*
 * A streaming JSON writer: nothing is held but the nesting, so that a million rows take constant
 * memory. One object per line (JSON Lines). Errors stay in the FILE: ferror(). What is written
 * reaches the FILE at the latest when the outermost object ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/put.h"

/* A line's worth: stdio's calls for each bracket and comma would cost more than the digits. */
#define JSON_BUFFER 2048

struct json {
	FILE *file;
	unsigned depth;
	bool first; /* nothing stands yet in the innermost object or array */
	size_t len; /* in the buffer */
	char buffer[JSON_BUFFER];
};

/* What a number, a word or a bracket takes at most, with its comma. */
#define JSON_PIECE_MAX 32

void json_init(struct json *json, FILE *file);

/* For the functions below: writes the buffer out. */
void json_flush_(struct json *json);

/*
 * For the functions below, which are inline for the key's sake: a literal of known length is a few
 * instructions, and a million rows have fifty million keys. Writes what stands before a value;
 * JSON_PIECE_MAX bytes fit from the result on. Keys are ours: there is nothing in them to escape.
 */
static inline char *json_begin_(struct json *json, const char *key)
{
	size_t len = key ? strlen(key) : 0;
	char *at;

	if (json->len + len + JSON_PIECE_MAX + sizeof("\"\":") > sizeof(json->buffer))
		json_flush_(json);
	at = json->buffer + json->len;
	if (!json->first && json->depth > 0)
		*at++ = ',';
	json->first = false;
	if (key) {
		*at++ = '"';
		at = put_text_n(at, key, len);
		*at++ = '"';
		*at++ = ':';
	}
	return at;
}

static inline void json_end_(struct json *json, const char *end)
{
	json->len = (size_t)(end - json->buffer);
}

/* key: the member's name inside an object, NULL inside an array and at the top. */

static inline void json_open_(struct json *json, const char *key, char bracket)
{
	json_end_(json, put_char(json_begin_(json, key), bracket));
	json->depth++;
	json->first = true;
}

static inline void json_begin_object(struct json *json, const char *key)
{
	json_open_(json, key, '{');
}

static inline void json_begin_array(struct json *json, const char *key)
{
	json_open_(json, key, '[');
}

void json_end_object(struct json *json); /* ends the line at the top */
void json_end_array(struct json *json);

static inline void json_int(struct json *json, const char *key, int64_t value)
{
	json_end_(json, put_int(json_begin_(json, key), value));
}

static inline void json_uint(struct json *json, const char *key, uint64_t value)
{
	json_end_(json, put_uint(json_begin_(json, key), value));
}

static inline void json_bool(struct json *json, const char *key, bool value)
{
	char *at = json_begin_(json, key);

	json_end_(json, value ? put_text(at, "true") : put_text(at, "false"));
}

static inline void json_null(struct json *json, const char *key)
{
	json_end_(json, put_text(json_begin_(json, key), "null"));
}

/* Microseconds as seconds with three decimals, rounded down ("12.345"); TCPKEEP_NEVER is null. */
static inline void json_seconds(struct json *json, const char *key, uint64_t us)
{
	if (us == UINT64_MAX)
		json_null(json, key);
	else
		json_end_(json, put_seconds(json_begin_(json, key), us / 1000));
}

/* For the functions below: a string's quotes and what is between. */
void json_add_string_(struct json *json, const char *text, size_t len);

/* Bytes that are not UTF-8 become U+FFFD: the result is always valid JSON. */
static inline void json_string_n(struct json *json, const char *key, const char *value, size_t len)
{
	json_end_(json, json_begin_(json, key));
	json_add_string_(json, value, len);
}

/* NULL is null. */
static inline void json_string(struct json *json, const char *key, const char *value)
{
	if (value)
		json_string_n(json, key, value, strlen(value));
	else
		json_null(json, key);
}
