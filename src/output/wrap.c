/* SPDX-License-Identifier: MIT */
#include "wrap.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "terminal.h"
#include "width.h"

/* "\033[...m" takes no room. */
static unsigned width_of(const char *text, size_t len)
{
	unsigned width = 0;
	size_t at = 0;

	while (at < len) {
		const char *escape = memchr(text + at, '\033', len - at);
		size_t n = escape ? (size_t)(escape - text) - at : len - at;

		width += text_width(text + at, n);
		at += n;
		while (at < len && text[at] != 'm')
			at++;
		at += at < len;
	}
	return width;
}

/* How long the word is that begins at text; a comma belongs to the word before it. */
static size_t word_at(const char *text, size_t len, bool commas)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == ' ')
			return i;
		if (commas && text[i] == ',')
			return i + 1;
	}
	return len;
}

static size_t wrap(const char *text, size_t len, unsigned width, unsigned indent, bool commas,
		   unsigned begin, char *out)
{
	unsigned column = begin; /* begin: of the line */
	char *end = out;

	for (size_t at = 0; at < len;) {
		bool blank = at > 0 && text[at] == ' ';
		size_t n = word_at(text + at + blank, len - at - blank, commas);
		unsigned wide = width_of(text + at + blank, n);

		if (width > 0 && column > begin && column + blank + wide > width) {
			*end++ = '\n';
			memset(end, ' ', indent);
			end += indent;
			column = begin = indent;
		} else if (blank) {
			*end++ = ' ';
			column++;
		}
		at += blank;
		memcpy(end, text + at, n);
		end += n;
		column += wide;
		at += n;
		/* A blank at the very front is a word of its own. */
		if (n == 0 && !blank)
			*end++ = text[at++], column++;
	}
	return (size_t)(end - out);
}

size_t wrap_text(const char *text, size_t len, unsigned width, unsigned indent, char *out)
{
	return wrap(text, len, width, indent, false, 0, out);
}

static void print(FILE *stream, unsigned first, unsigned indent, bool commas, const char *text)
{
	size_t len = strlen(text);
	_cleanup_free_ char *out = malloc(WRAP_MAX(len, indent) + 1);

	if (!out)
		return;
	len = wrap(text, len, terminal_width(fileno(stream)), indent, commas, first, out);
	out[len++] = '\n';
	fprintf(stream, "%*s", (int)first, "");
	fwrite(out, 1, len, stream);
}

void wrap_print(FILE *stream, unsigned indent, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		text = NULL;
	else
		print(stream, 0, indent, false, text);
}

void wrap_list(FILE *stream, unsigned indent, const char *text)
{
	print(stream, indent, indent, true, text);
}
