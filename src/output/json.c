/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <inttypes.h>
#include <string.h>

#include "base/escape.h"

void json_init(struct json *json, FILE *file)
{
	*json = (struct json){.file = file, .first = true};
}

static void write_text(struct json *json, const char *text, size_t len)
{
	putc('"', json->file);
	for (size_t at = 0; at < len;) {
		uint32_t code;
		size_t n = utf8_decode(text + at, len - at, &code);

		if (n == 0) {
			fputs("\\ufffd", json->file);
			n = 1;
		} else if (code == '"' || code == '\\') {
			putc('\\', json->file);
			putc((int)code, json->file);
		} else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
			/* JSON would allow DEL and C1 as they are; a terminal would obey them. */
			fprintf(json->file, "\\u%04x", code);
		} else {
			fwrite(text + at, 1, n, json->file);
		}
		at += n;
	}
	putc('"', json->file);
}

static void begin_value(struct json *json, const char *key)
{
	if (!json->first && json->depth > 0)
		putc(',', json->file);
	json->first = false;
	if (key) {
		write_text(json, key, strlen(key));
		putc(':', json->file);
	}
}

static void open_nest(struct json *json, const char *key, char bracket)
{
	begin_value(json, key);
	putc(bracket, json->file);
	json->depth++;
	json->first = true;
}

static void close_nest(struct json *json, char bracket)
{
	putc(bracket, json->file);
	json->depth--;
	json->first = false;
	if (json->depth == 0)
		putc('\n', json->file);
}

void json_begin_object(struct json *json, const char *key)
{
	open_nest(json, key, '{');
}

void json_end_object(struct json *json)
{
	close_nest(json, '}');
}

void json_begin_array(struct json *json, const char *key)
{
	open_nest(json, key, '[');
}

void json_end_array(struct json *json)
{
	close_nest(json, ']');
}

void json_string_n(struct json *json, const char *key, const char *value, size_t len)
{
	begin_value(json, key);
	write_text(json, value, len);
}

void json_string(struct json *json, const char *key, const char *value)
{
	if (value)
		json_string_n(json, key, value, strlen(value));
	else
		json_null(json, key);
}

void json_int(struct json *json, const char *key, int64_t value)
{
	begin_value(json, key);
	fprintf(json->file, "%" PRId64, value);
}

void json_uint(struct json *json, const char *key, uint64_t value)
{
	begin_value(json, key);
	fprintf(json->file, "%" PRIu64, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_value(json, key);
	fputs(value ? "true" : "false", json->file);
}

void json_null(struct json *json, const char *key)
{
	begin_value(json, key);
	fputs("null", json->file);
}

void json_seconds(struct json *json, const char *key, uint64_t us)
{
	if (us == UINT64_MAX) {
		json_null(json, key);
		return;
	}
	begin_value(json, key);
	fprintf(json->file, "%" PRIu64 ".%03" PRIu64, us / 1000000, us / 1000 % 1000);
}
