/* SPDX-License-Identifier: MIT */
/* Tables and notes where a terminal is narrower than they are. */
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "output/rows.h"
#include "output/width.h"
#include "output/wrap.h"
#include "unit.h"

/* What stands behind the last blank is kept. */
static size_t keep_last(char *text, size_t len, unsigned width)
{
	const char *blank = memrchr(text, ' ', len);

	if (!blank)
		return text_cut(text, len, width);
	memmove(text, blank + 1, (size_t)(text + len - blank - 1));
	return (size_t)(text + len - blank - 1);
}

#define NAME                                                                                       \
	{                                                                                          \
		"NAME", .widest = 10, .turn = 2, .least = 6                                        \
	}
#define VALUE                                                                                      \
	{                                                                                          \
		"VALUE", .right = true                                                             \
	}
#define NEXT                                                                                       \
	{                                                                                          \
		"NEXT", .turn = 1, .least = 4, .shorten = keep_last                                \
	}

static char *table_of(const struct rows_column *columns, size_t n, unsigned width,
		      const char *const *cells, size_t n_cells)
{
	char *text = NULL;
	struct rows *rows;
	size_t len;
	FILE *file = open_memstream(&text, &len);

	assert_int_equal(rows_open(file, columns, n, NULL, &rows), 0);
	assert_int_equal(rows_fit(rows, width), 0);
	for (size_t i = 0; i < n_cells; i++)
		rows_cell(rows, cells[i], strlen(cells[i]), NULL);
	rows_close(rows);
	fclose(file);
	return text;
}

static void assert_table(unsigned width, const char *const *cells, size_t n_cells, const char *want)
{
	static const struct rows_column columns[] = {NAME, VALUE, NEXT};
	char *text = table_of(columns, ARRAY_SIZE(columns), width, cells, n_cells);

	assert_string_equal(text, want);
	free(text);
}

static const char *const two_rows[] = {"somebody", "12", "first in 1 s", "me", "3", "never"};

static void the_first_in_turn_is_shortened_first(void **state)
{
	(void)state;
	assert_table(29, two_rows, ARRAY_SIZE(two_rows),
		     "NAME      VALUE  NEXT\n"
		     "somebody     12  first in 1 s\n"
		     "me            3  never\n");
	assert_table(28, two_rows, ARRAY_SIZE(two_rows),
		     "NAME      VALUE  NEXT\n"
		     "somebody     12  s\n"
		     "me            3  never\n");
	assert_table(19, two_rows, ARRAY_SIZE(two_rows),
		     "NAME    VALUE  NEXT\n"
		     "som...     12  s\n"
		     "me          3  n...\n");
}

static void what_cannot_fit_is_not_cut(void **state)
{
	(void)state;
	assert_table(18, two_rows, ARRAY_SIZE(two_rows),
		     "NAME      VALUE  NEXT\n"
		     "somebody     12  first in 1 s\n"
		     "me            3  never\n");
	assert_table(0, two_rows, ARRAY_SIZE(two_rows),
		     "NAME      VALUE  NEXT\n"
		     "somebody     12  first in 1 s\n"
		     "me            3  never\n");
}

static void an_exception_has_its_own_row_to_itself(void **state)
{
	static const char *const cells[] = {"me",  "1", "a b", "somebody-else",      "2", "a b",
					    "you", "3", "a b", "somebody-very-else", "4", "a b"};

	(void)state;
	/* With room for all of it there is no exception. */
	assert_table(31, cells, ARRAY_SIZE(cells),
		     "NAME                VALUE  NEXT\n"
		     "me                      1  a b\n"
		     "somebody-else           2  a b\n"
		     "you                     3  a b\n"
		     "somebody-very-else      4  a b\n");
	/* The room that is left is theirs; beyond it they push their row, as far as there is some.
	 */
	assert_table(25, cells, ARRAY_SIZE(cells),
		     "NAME          VALUE  NEXT\n"
		     "me                1  a b\n"
		     "somebody-else      2  a b\n"
		     "you               3  a b\n"
		     "somebody-...      4  a b\n");
}

static void what_is_usual_is_no_exception(void **state)
{
	static const char *const cells[] = {"somebody-else", "1", "b", "somebody-elsa", "2", "b"};

	(void)state;
	assert_table(26, cells, ARRAY_SIZE(cells),
		     "NAME           VALUE  NEXT\n"
		     "somebody-else      1  b\n"
		     "somebody-elsa      2  b\n");
	assert_table(23, cells, ARRAY_SIZE(cells),
		     "NAME        VALUE  NEXT\n"
		     "somebod...      1  b\n"
		     "somebod...      2  b\n");
}

/* Numbers at the end stand behind blanks. */
static void a_last_column_of_numbers_counts_whole(void **state)
{
	static const struct rows_column columns[] = {NAME, VALUE};
	static const char *const cells[] = {"me",  "1",     "somebody-else", "2",
					    "you", "12345", "him",           "4"};
	char *text = table_of(columns, ARRAY_SIZE(columns), 16, cells, ARRAY_SIZE(cells));

	(void)state;
	assert_string_equal(text, "NAME       VALUE\n"
				  "me             1\n"
				  "somebo...      2\n"
				  "you        12345\n"
				  "him            4\n");
	free(text);
}

static void a_column_gives_way(void **state)
{
	static const struct rows_column columns[] = {NAME, VALUE, {"LAST", .gives_way = true}};
	static const char *const cells[] = {"somebody", "12", "whatever", "me", "3", "-"};
	char *text = table_of(columns, ARRAY_SIZE(columns), 23, cells, ARRAY_SIZE(cells));

	(void)state;
	assert_string_equal(text, "NAME    VALUE  LAST\n"
				  "som...     12  whatever\n"
				  "me          3  -\n");
	free(text);
	text = table_of(columns, ARRAY_SIZE(columns), 22, cells, ARRAY_SIZE(cells));
	assert_string_equal(text, "NAME      VALUE\n"
				  "somebody     12\n"
				  "me            3\n");
	free(text);
}

/* More than is kept to learn from: no line is too long, none is lost, the widths stay. */
static void rows_that_come_later_fit_as_well(void **state)
{
	static const struct rows_column columns[] = {NAME, VALUE, NEXT};
	const char *const later[] = {"somebody-very-very-else", "1000", "later in two hours"};
	const char *cells[3 * 1000];
	unsigned lines = 0;
	char *text;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		cells[i] = i < ARRAY_SIZE(cells) / 2 ? two_rows[i % 6] : later[i % 3];
	text = table_of(columns, ARRAY_SIZE(columns), 24, cells, ARRAY_SIZE(cells));
	for (const char *line = text; *line; line = strchr(line, '\n') + 1, lines++)
		assert_true(strchr(line, '\n') - line <= 24);
	assert_int_equal(lines, 1001);
	assert_string_equal(strrchr(text, '1') - 11, "someb...   1000  hours\n");
	free(text);
}

/* A row that no buffer holds is written whole. */
static void a_row_beyond_all_bounds_is_whole(void **state)
{
	static const struct rows_column columns[] = {NAME, VALUE};
	static char huge[60 * 1024];
	const char *const cells[] = {"a", "1", huge, huge, "b", "2"};
	char *text, *first;

	(void)state;
	memset(huge, 'x', sizeof(huge) - 1);
	text = table_of(columns, ARRAY_SIZE(columns), 20, cells, ARRAY_SIZE(cells));
	first = strchr(text, 'x');
	assert_int_equal(strspn(first, "x"), sizeof(huge) - 1);
	assert_string_equal(strrchr(text, 'x') + 1, "\nb         2\n");
	free(text);
}

static void assert_cut(const char *text, unsigned width, const char *want)
{
	char buf[64];
	size_t len = strlen(text);

	memcpy(buf, text, len);
	len = text_cut(buf, len, width);
	assert_int_equal(len, strlen(want));
	assert_memory_equal(buf, want, len);
	assert_true(text_width(buf, len) <= width);
}

static void text_is_cut_between_characters(void **state)
{
	(void)state;
	assert_cut("abcdef", 6, "abcdef");
	assert_cut("abcdefg", 6, "abc...");
	assert_cut("", 4, "");
	/* Two columns each. */
	assert_cut("\xe7\xb6\xb2\xe8\xb7\xaf\xe7\xb6\xb2", 6,
		   "\xe7\xb6\xb2\xe8\xb7\xaf\xe7\xb6\xb2");
	assert_cut("\xe7\xb6\xb2\xe8\xb7\xaf\xe7\xb6\xb2", 5, "\xe7\xb6\xb2...");
	assert_cut("\xff\xff\xff\xff\xff\xff", 4, "\xff...");
}

static void assert_wrapped(const char *text, unsigned width, const char *want)
{
	char out[WRAP_MAX(128, 2)];
	size_t len = wrap_text(text, strlen(text), width, 2, out);

	assert_int_equal(len, strlen(want));
	assert_memory_equal(out, want, len);
}

static void notes_are_broken_at_blanks(void **state)
{
	(void)state;
	assert_wrapped("one two three four", 0, "one two three four");
	assert_wrapped("one two three four", 18, "one two three four");
	assert_wrapped("one two three four", 17, "one two three\n  four");
	assert_wrapped("one two three four", 7, "one two\n  three\n  four");
	assert_wrapped("/a/path/that/is/long and more", 10, "/a/path/that/is/long\n  and more");
	assert_wrapped("and /a/path/that/is/long", 10, "and\n  /a/path/that/is/long");
	assert_wrapped("", 10, "");
	assert_wrapped("two  blanks ", 20, "two  blanks ");
	assert_wrapped("\xe7\xb6\xb2 \xe7\xb6\xb2 \xe7\xb6\xb2", 5,
		       "\xe7\xb6\xb2 \xe7\xb6\xb2\n  \xe7\xb6\xb2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_in_turn_is_shortened_first),
		cmocka_unit_test(what_cannot_fit_is_not_cut),
		cmocka_unit_test(an_exception_has_its_own_row_to_itself),
		cmocka_unit_test(what_is_usual_is_no_exception),
		cmocka_unit_test(a_last_column_of_numbers_counts_whole),
		cmocka_unit_test(a_column_gives_way),
		cmocka_unit_test(rows_that_come_later_fit_as_well),
		cmocka_unit_test(a_row_beyond_all_bounds_is_whole),
		cmocka_unit_test(text_is_cut_between_characters),
		cmocka_unit_test(notes_are_broken_at_blanks),
	};

	return run_unit_tests("rows", tests);
}
