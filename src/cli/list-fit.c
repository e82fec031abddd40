/* SPDX-License-Identifier: MIT */
#include "list-fit.h"

#include <string.h>

#include "base/macro.h"
#include "output/width.h"

/* "[2001:db8:...]:5432", and where that tells too little, ":5432". */
#define IPV6_BEGINS 6 /* with its bracket */
#define IPV6_CUT    "...]"

/* Half an IPv4 address is another one: either it fits, or the port is all. */
static size_t shorten_endpoint(char *text, size_t len, unsigned width)
{
	const char *colon = memrchr(text, ':', len);
	size_t port = colon ? (size_t)(text + len - colon) : 0, head = 0;

	if (!colon)
		return text_cut(text, len, width);
	if (*text == '[' && width >= IPV6_BEGINS + strlen(IPV6_CUT) + port)
		head = width - strlen(IPV6_CUT) - port;
	memmove(text + head + (head ? strlen(IPV6_CUT) : 0), colon, port);
	if (head)
		memcpy(text + head, IPV6_CUT, strlen(IPV6_CUT));
	return head + (head ? strlen(IPV6_CUT) : 0) + port;
}

#define NAME_TELLS 5 /* "x..." tells nothing */

/* The process stays, and how many more: "longprog...:1234,+2". */
static size_t shorten_owner(char *text, size_t len, unsigned width)
{
	const char *colon = memrchr(text, ':', len);
	size_t process = colon ? (size_t)(text + len - colon) : 0, name = 0;

	if (!colon || process > width)
		return text_cut(text, len, width);
	if (width >= process + NAME_TELLS)
		name = text_cut(text, len - process, width - (unsigned)process);
	memmove(text + name, colon, process);
	return name + process;
}

/* What distinguishes paths stands at their end. */
static size_t shorten_path(char *text, size_t len, unsigned width)
{
	size_t begin = 1;

	/* Not within a character. */
	while (begin < len &&
	       (text_width(text + begin, len - begin) > width - 3 || (text[begin] & 0xc0) == 0x80))
		begin++;
	if (begin < 3)
		return text_cut(text, len, width);
	memcpy(text, "...", 3);
	memmove(text + 3, text + begin, len - begin);
	return 3 + len - begin;
}

/* "net:[4026531840]" is known by its number alone, as netns= takes it. */
static size_t shorten_netns(char *text, size_t len, unsigned width)
{
	static const char before[] = "net:[";
	const size_t n = sizeof(before) - 1;

	if (len <= n || memcmp(text, before, n) != 0 || text[len - 1] != ']')
		return text_cut(text, len, width);
	memmove(text, text + n, len - n - 1);
	return text_cut(text, len - n - 1, width);
}

/* Up to the words, if they are there; returns the new length. */
static size_t cut_before(const char *text, size_t len, const char *words)
{
	const char *at = memmem(text, len, words, strlen(words));

	return at ? (size_t)(at - text) : len;
}

static size_t drop_first(char *text, size_t len, const char *word)
{
	size_t n = strlen(word);

	if (len < n || memcmp(text, word, n) != 0)
		return len;
	memmove(text, text + n, len - n);
	return len - n;
}

/* What will happen, and when; then what it hangs on: "probe in 1h 59m", "dead in 12 s". */
static size_t shorten_next(char *text, size_t len, unsigned width)
{
	len = cut_before(text, len, "; ");
	len = cut_before(text, len, " unless ");
	if (text_width(text, len) > width)
		len = drop_first(text, len, "first ");
	if (text_width(text, len) > width)
		len = drop_first(text, len, "peer ");
	return text_cut(text, len, width);
}

/*
 * In turns. Each of least leaves what the column is for: a port, any IPv4 address, the number of a
 * process, the longest of what may happen next. Settings are never shortened.
 */
static const struct {
	const char *name;
	unsigned turn, least;
	size_t (*shorten)(char *text, size_t len, unsigned width);
	bool gives_way;
} fits[] = {
	{"next", 1, 15, shorten_next, false},
	{"cgroup", 2, 16, shorten_path, false},
	{"unit", 2, 12, NULL, false},
	{"netns", 3, 10, shorten_netns, false},
	{"program", 3, 8, NULL, false},
	{"user", 3, 8, NULL, false},
	{"owner", 4, 15, shorten_owner, true},
	{"local", 5, 6, shorten_endpoint, false},
	{"peer", 6, 21, shorten_endpoint, false},
};

void list_fit(const char *name, struct rows_column *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(fits); i++) {
		if (strcmp(name, fits[i].name) != 0)
			continue;
		ret->turn = fits[i].turn;
		ret->least = fits[i].least;
		ret->shorten = fits[i].shorten;
	}
}

bool list_fit_gives_way(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(fits); i++)
		if (strcmp(name, fits[i].name) == 0)
			return fits[i].gives_way;
	return false;
}
