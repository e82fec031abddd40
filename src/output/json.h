/* SPDX-License-Identifier: MIT */
/*
 * A streaming JSON writer: nothing is held but the nesting, so that a million rows take constant
 * memory. One object per line (JSON Lines). Errors stay in the FILE: ferror().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *file;
	unsigned depth;
	bool first; /* nothing stands yet in the innermost object or array */
};

void json_init(struct json *json, FILE *file);

/* key: the member's name inside an object, NULL inside an array and at the top. */
void json_begin_object(struct json *json, const char *key);
void json_end_object(struct json *json); /* ends the line at the top */
void json_begin_array(struct json *json, const char *key);
void json_end_array(struct json *json);

/* Bytes that are not UTF-8 become U+FFFD: the result is always valid JSON. NULL is null. */
void json_string(struct json *json, const char *key, const char *value);
void json_string_n(struct json *json, const char *key, const char *value, size_t len);
void json_int(struct json *json, const char *key, int64_t value);
void json_uint(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

/* Microseconds as seconds with up to three decimals, rounded down ("12.345"); TCPKEEP_NEVER is
 * null. */
void json_seconds(struct json *json, const char *key, uint64_t us);
