/* SPDX-License-Identifier: MIT */
#include "width.h"

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
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

unsigned text_width(const char *text, size_t len)
{
	unsigned width = 0;
	uint32_t code;
	size_t n;

	for (size_t at = 0; at < len; at += n) {
		n = 1;
		if ((unsigned char)text[at] < 0x80) {
			width++;
			continue;
		}
		n = utf8_decode(text + at, len - at, &code);
		width += n == 0 ? 1 : width_of(code);
		n += n == 0;
	}
	return width;
}
