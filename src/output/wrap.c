/* SPDX-License-Identifier: MIT */
#include "wrap.h"

#include <string.h>

#include "width.h"

/* How long the word is that begins at text. */
static size_t word_at(const char *text, size_t len)
{
	const char *blank = memchr(text, ' ', len);

	return blank ? (size_t)(blank - text) : len;
}

size_t wrap_text(const char *text, size_t len, unsigned width, unsigned indent, char *out)
{
	unsigned column = 0, begin = 0; /* where the line begins */
	char *end = out;

	for (size_t at = 0; at < len;) {
		size_t n = word_at(text + at, len - at);
		unsigned wide = text_width(text + at, n);

		/* The blank before it is there already, and becomes the line's end. */
		if (width > 0 && column > begin && column + wide > width) {
			end[-1] = '\n';
			memset(end, ' ', indent);
			end += indent;
			column = begin = indent;
		}
		memcpy(end, text + at, n);
		end += n;
		column += wide;
		at += n;
		if (at < len) {
			*end++ = ' ';
			column++;
			at++;
		}
	}
	return (size_t)(end - out);
}
