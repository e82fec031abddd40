/* SPDX-License-Identifier: MIT */
#include "wrap.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "terminal.h"
#include "width.h"

/* "\033[...m" takes no room. */
static unsigned width_of(const char *text, size_t len)
{
	unsigned width = 0;
	size_t at = 0;

	while (at < len) {
		size_t n = strcspn(text + at, "\033");

		n = n < len - at ? n : len - at;
		width += text_width(text + at, n);
		at += n;
		while (at < len && text[at] != 'm')
			at++;
		at += at < len;
	}
	return width;
}

/* ends: what a word ends at; a comma belongs to the word before it. */
static void print(FILE *stream, unsigned first, unsigned indent, const char *ends, const char *text)
{
	unsigned width = terminal_width(fileno(stream)), column = first;
	bool fresh = true;

	fprintf(stream, "%*s", (int)first, "");
	while (*text) {
		unsigned blank = *text == ' ';
		size_t n = blank + strcspn(text + blank, ends);
		unsigned wide;

		n += text[n] == ',';
		wide = width_of(text, n);
		if (!fresh && width && column + wide > width) {
			fprintf(stream, "\n%*s", (int)indent, "");
			column = indent;
			text += blank;
			n -= blank;
			wide -= blank;
		}
		fwrite(text, 1, n, stream);
		fresh = false;
		column += wide;
		text += n;
	}
	fputc('\n', stream);
}

void wrap_print(FILE *stream, unsigned indent, const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		return;
	print(stream, 0, indent, " ", text);
	free(text);
}

void wrap_list(FILE *stream, unsigned indent, const char *text)
{
	print(stream, indent, indent, " ,", text);
}
