/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/macro.h"
#include "output/json.h"
#include "output/rows.h"
#include "output/span.h"
#include "output/svg.h"
#include "output/width.h"
#include "unit.h"

static void json_nests_and_separates(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);
	struct json json;

	(void)state;
	json_init(&json, file);
	json_begin_object(&json, NULL);
	json_int(&json, "a", -1);
	json_begin_array(&json, "b");
	json_uint(&json, NULL, UINT64_MAX);
	json_begin_object(&json, NULL);
	json_end_object(&json);
	json_begin_array(&json, NULL);
	json_end_array(&json);
	json_end_array(&json);
	json_bool(&json, "c", true);
	json_null(&json, "d");
	json_string(&json, "e", NULL);
	json_end_object(&json);
	json_begin_object(&json, NULL);
	json_end_object(&json);
	fclose(file);
	assert_string_equal(text,
			    "{\"a\":-1,\"b\":[18446744073709551615,{},[]],\"c\":true,\"d\":null,"
			    "\"e\":null}\n{}\n");
	free(text);
}

static void json_is_valid_whatever_the_bytes(void **state)
{
	static const char hostile[] = "q\"b\\n\n\033[0m\xff\xc3\xa9\x7f\xc2\x9b";
	char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);
	struct json json;

	(void)state;
	json_init(&json, file);
	json_begin_object(&json, NULL);
	json_string_n(&json, "s", hostile, sizeof(hostile) - 1);
	json_end_object(&json);
	fclose(file);
	assert_string_equal(
		text, "{\"s\":\"q\\\"b\\\\n\\u000a\\u001b[0m\\ufffd\xc3\xa9\\u007f\\u009b\"}\n");
	free(text);
}

static void json_seconds_are_decimal(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);
	struct json json;

	(void)state;
	json_init(&json, file);
	json_begin_object(&json, NULL);
	json_seconds(&json, "a", 12345678);
	json_seconds(&json, "b", 0);
	json_seconds(&json, "c", TCPKEEP_NEVER);
	json_end_object(&json);
	fclose(file);
	assert_string_equal(text, "{\"a\":12.345,\"b\":0.000,\"c\":null}\n");
	free(text);
}

static void spans_read_like_speech(void **state)
{
	static const struct {
		uint64_t us;
		int up;
		const char *text;
	} rows[] = {
		{0, 0, "0 s"},
		{12340000, 0, "12.3 s"},
		{12340000, 1, "12.4 s"},
		{59999999, 0, "59.9 s"},
		{59999999, 1, "1m"},
		{60000000, 0, "1m"},
		{125000000, 0, "2m 5s"},
		{7875000000, 0, "2h 11m 15s"},
		{86400000000, 0, "1d"},
		{90061100000, 1, "1d 1h 1m 2s"},
		{TCPKEEP_NEVER, 0, "never"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[SPAN_TEXT_MAX];

		assert_string_equal(span_format(rows[i].us, rows[i].up, text), rows[i].text);
	}
}

/* A table of two columns with these cells in its first, as text. */
static char *table_of(const char *const *cells, size_t n, unsigned widest)
{
	const struct rows_column columns[] = {{"A", false, widest}, {"B", true, 0}};
	char *text = NULL;
	struct rows *rows;
	size_t len;
	FILE *file = open_memstream(&text, &len);

	assert_int_equal(rows_open(file, columns, ARRAY_SIZE(columns), NULL, &rows), 0);
	for (size_t i = 0; i < n; i++) {
		rows_cell(rows, cells[i], strlen(cells[i]), NULL);
		rows_cell(rows, "1", 1, NULL);
	}
	rows_close(rows);
	fclose(file);
	return text;
}

/* In any locale: the tests run in C, and what is written is UTF-8 all the same. */
static void what_is_wide_takes_two_columns(void **state)
{
	static const char *const cells[] = {"abcdef", "\xe7\xb6\xb2\xe8\xb7\xaf", "e\xcc\x81",
					    "\xc3\xa9", "\xff"};
	char *text = table_of(cells, ARRAY_SIZE(cells), 0);

	(void)state;
	assert_string_equal(text, "A       B\n"
				  "abcdef  1\n"
				  "\xe7\xb6\xb2\xe8\xb7\xaf    1\n"
				  "e\xcc\x81       1\n"
				  "\xc3\xa9       1\n"
				  "\xff       1\n");
	free(text);
	assert_int_equal(text_width("\xe7\xb6", 2), 2); /* cut off: two bytes that are none */
	assert_int_equal(text_width("\xf0\x9f\x90\x98", 4), 2);
	assert_int_equal(text_width("", 0), 0);
}

static void a_long_cell_shifts_its_own_row_alone(void **state)
{
	static const char *const cells[] = {"abc", "0123456789", "abcd"};
	char *text = table_of(cells, ARRAY_SIZE(cells), 8);

	(void)state;
	assert_string_equal(text, "A     B\n"
				  "abc   1\n"
				  "0123456789  1\n"
				  "abcd  1\n");
	free(text);
}

static void no_rows_no_headings(void **state)
{
	char *text = table_of(NULL, 0, 0);

	(void)state;
	assert_string_equal(text, "");
	free(text);
}

static void svg_text_is_escaped(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);

	(void)state;
	svg_begin(file, 10, 10, "a<b>&c");
	svg_text(file, 1, 2, SVG_MIDDLE, 12, "bold", "red", "1 < 2 & 3");
	svg_end(file);
	fclose(file);
	assert_non_null(strstr(text, "<title>a&lt;b&gt;&amp;c</title>"));
	assert_non_null(strstr(text, ">1 &lt; 2 &amp; 3</text>"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_nests_and_separates),
		cmocka_unit_test(json_is_valid_whatever_the_bytes),
		cmocka_unit_test(json_seconds_are_decimal),
		cmocka_unit_test(spans_read_like_speech),
		cmocka_unit_test(what_is_wide_takes_two_columns),
		cmocka_unit_test(a_long_cell_shifts_its_own_row_alone),
		cmocka_unit_test(no_rows_no_headings),
		cmocka_unit_test(svg_text_is_escaped),
	};

	return run_unit_tests("output", tests);
}
