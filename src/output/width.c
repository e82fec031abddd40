/* SPDX-License-Identifier: MIT */
#include "width.h"

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include "base/escape.h"

/* wcwidth(3) goes by the locale, and in C every character beyond ASCII is unprintable. Looked for
 * once, when there is such a character. (locale_t)0: this system has none. */
static locale_t utf8_locale(void)
{
	static const char *const names[] = {"C.UTF-8", "C.utf8", "en_US.UTF-8"};
	static bool looked;
	static locale_t found;

	for (size_t i = 0; !looked && !found && i < sizeof(names) / sizeof(names[0]); i++)
		found = newlocale(LC_CTYPE_MASK, names[i], (locale_t)0);
	looked = true;
	return found;
}

static unsigned width_of(uint32_t code)
{
	locale_t wanted = utf8_locale(), before;
	int width;

	if (!wanted)
		return 1;
	before = uselocale(wanted);
	width = wcwidth((wchar_t)code);
	uselocale(before);
	/* Newer than the C library's tables. */
	return width < 0 ? 1 : (unsigned)width;
}

/* The character at text: its bytes, and its columns in *ret. */
static size_t measure(const char *text, size_t len, unsigned *ret)
{
	uint32_t code;
	size_t n;

	*ret = 1;
	if ((unsigned char)*text < 0x80)
		return 1;
	n = utf8_decode(text, len, &code);
	if (n > 0)
		*ret = width_of(code);
	return n > 0 ? n : 1;
}

unsigned text_width(const char *text, size_t len)
{
	unsigned width = 0, one;

	for (size_t at = 0; at < len; width += one)
		at += measure(text + at, len - at, &one);
	return width;
}

#define ELLIPSIS "..."

size_t text_cut(char *text, size_t len, unsigned width)
{
	unsigned room = width - (unsigned)strlen(ELLIPSIS), taken = 0, one;
	size_t at = 0, n;

	if (text_width(text, len) <= width)
		return len;
	for (; at < len; at += n, taken += one) {
		n = measure(text + at, len - at, &one);
		if (taken + one > room)
			break;
	}
	memcpy(text + at, ELLIPSIS, strlen(ELLIPSIS));
	return at + strlen(ELLIPSIS);
}
