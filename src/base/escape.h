/* SPDX-License-Identifier: MIT */
/* Bytes from elsewhere, made safe to show. Allocation-free. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The character at s (len > 0): how many bytes it takes, and its code point in *ret, or 0 bytes
 * when they are not valid UTF-8 (overlong forms, surrogates and what lies beyond U+10FFFF are not).
 */
size_t utf8_decode(const char *s, size_t len, uint32_t *ret);

/*
 * Copies text for a terminal: control characters (C0, DEL, C1, and those of Unicode that turn the
 * line around or cannot be seen) and bytes that are not UTF-8 as \xNN, a backslash as \\. What does
 * not fit ends in "...". size >= 8. Returns buf.
 */
char *escape_text(const char *text, size_t len, char *buf, size_t size);

/* Undoes, in place, what the kernel does to blanks in /proc files such as mountinfo: "\040" is a
 * space. */
void unescape_octal(char *text);
