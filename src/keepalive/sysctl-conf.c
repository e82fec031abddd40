/* SPDX-License-Identifier: MIT */
#include "sysctl-conf.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/number.h"

static const struct key {
	uint32_t field;
	const char *dotted, *path;
	size_t offset; /* in struct tcpkeep_settings */
} keys[] = {
	{TCPKEEP_TIME, "net.ipv4.tcp_keepalive_time", "net/ipv4/tcp_keepalive_time",
	 offsetof(struct tcpkeep_settings, time_s)},
	{TCPKEEP_INTVL, "net.ipv4.tcp_keepalive_intvl", "net/ipv4/tcp_keepalive_intvl",
	 offsetof(struct tcpkeep_settings, intvl_s)},
	{TCPKEEP_PROBES, "net.ipv4.tcp_keepalive_probes", "net/ipv4/tcp_keepalive_probes",
	 offsetof(struct tcpkeep_settings, probes)},
};

const char *sysctl_conf_key(uint32_t field)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].field == field)
			return keys[i].dotted;
	return NULL;
}

/* ------------------------------------------------------------------------------- one line */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void strip(const char **text, size_t *len)
{
	while (*len > 0 && is_blank((*text)[0])) {
		(*text)++;
		(*len)--;
	}
	while (*len > 0 && is_blank((*text)[*len - 1]))
		(*len)--;
}

/* A first dot swaps dots and slashes, a first slash leaves both: sysctl_normalize(). */
static void swap_separators(char *key)
{
	char *at = key + strcspn(key, "/.");

	if (*at != '.')
		return;
	for (; *at; at += strcspn(at, "/."))
		*at = *at == '.' ? '/' : '.', at++;
}

/* Drops empty and "." components and slashes at both ends: path_simplify(). */
static void simplify(char *key)
{
	char *out = key;

	for (const char *in = key; *in;) {
		size_t n = strcspn(in, "/");

		if (n > 0 && !(n == 1 && in[0] == '.')) {
			if (out > key)
				*out++ = '/';
			memmove(out, in, n);
			out += n;
		}
		in += n;
		in += *in == '/';
	}
	*out = '\0';
}

static void match(struct sysctl_conf_line *line, const char *key, size_t len)
{
	if (len >= sizeof(line->key))
		return;
	memcpy(line->key, key, len);
	line->key[len] = '\0';
	swap_separators(line->key);
	simplify(line->key);
	line->glob = strpbrk(line->key, "*?[") != NULL;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (line->glob ? fnmatch(line->key, keys[i].path, FNM_PATHNAME | FNM_PERIOD) == 0
			       : strcmp(line->key, keys[i].path) == 0)
			line->fields |= keys[i].field;
}

static void parse(struct sysctl_conf_line *line)
{
	const char *text = line->text, *equals;
	size_t len = line->len, key_len;

	strip(&text, &len);
	if (len == 0 || text[0] == '#' || text[0] == ';')
		return;
	equals = memchr(text, '=', len);
	key_len = equals ? (size_t)(equals - text) : len;
	if (text[0] == '-') {
		line->tolerant = true;
		text++;
		key_len--;
	} else if (!equals) {
		return; /* "not an assignment, ignoring" */
	}
	if (equals) {
		line->value = equals + 1;
		line->value_len = line->len - (size_t)(line->value - line->text);
		strip(&line->value, &line->value_len);
	}
	strip(&text, &key_len);
	match(line, text, key_len);
}

/* -------------------------------------------------------------------------------- reading */

void sysctl_conf_start(struct sysctl_conf_reader *reader, const char *text, size_t len)
{
	*reader = (struct sysctl_conf_reader){text, text + len, 0};
}

static unsigned line_end_bit(char c)
{
	return c == '\n' ? 1 : c == '\r' ? 2 : c == '\0' ? 4 : 0;
}

/* Newline, carriage return and NUL each end a line, and each once more in one end: read_line(). */
static size_t line_end_len(const char *at, const char *end)
{
	unsigned seen = 0;
	size_t n = 0;

	while (at + n < end && line_end_bit(at[n]) && !(seen & (line_end_bit(at[n]) | 4)))
		seen |= line_end_bit(at[n++]);
	return n;
}

bool sysctl_conf_next(struct sysctl_conf_reader *reader, struct sysctl_conf_line *ret)
{
	const char *at = reader->at;

	if (at == reader->end)
		return false;
	while (at < reader->end && !line_end_bit(*at))
		at++;
	*ret = (struct sysctl_conf_line){.text = reader->at, .number = ++reader->number};
	ret->len = (size_t)(at - reader->at);
	ret->end_len = line_end_len(at, reader->end);
	reader->at = at + ret->end_len;
	parse(ret);
	return true;
}

/* -------------------------------------------------------------------------------- editing */

static int wanted(const struct key *key, const struct tcpkeep_settings *settings)
{
	return *(const int *)((const char *)settings + key->offset);
}

/* Which of the wanted fields the text sets, by the last word on each. */
static uint32_t fields_that_hold(const char *text, size_t len,
				 const struct tcpkeep_settings *settings)
{
	struct sysctl_conf_reader reader;
	struct sysctl_conf_line line;
	uint32_t hold = 0;

	sysctl_conf_start(&reader, text, len);
	while (sysctl_conf_next(&reader, &line)) {
		int64_t value;

		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			if (line.glob || !(line.fields & keys[i].field & settings->fields))
				continue;
			hold &= ~keys[i].field;
			if (line.value &&
			    number_parse(line.value, line.value_len, INT32_MIN, INT32_MAX,
					 &value) == 0 &&
			    value == wanted(&keys[i], settings))
				hold |= keys[i].field;
		}
	}
	return hold;
}

static void write_line(FILE *f, const struct key *key, const struct tcpkeep_settings *settings,
		       bool tolerant)
{
	fprintf(f, "%s%s = %d", tolerant ? "-" : "", key->dotted, wanted(key, settings));
}

static void write_edited(FILE *f, const char *text, size_t len,
			 const struct tcpkeep_settings *settings, uint32_t todo)
{
	struct sysctl_conf_reader reader;
	struct sysctl_conf_line line = {0};
	uint32_t written = 0;

	sysctl_conf_start(&reader, text, len);
	while (sysctl_conf_next(&reader, &line)) {
		const struct key *key = NULL;

		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			if (!line.glob && line.fields & keys[i].field & todo)
				key = &keys[i];
		if (!key) {
			fwrite(line.text, 1, line.len + line.end_len, f);
			continue;
		}
		/* The first mention is replaced; later ones would undo it and go. */
		if (written & key->field)
			continue;
		write_line(f, key, settings, line.tolerant && line.value);
		fwrite(line.text + line.len, 1, line.end_len, f);
		written |= key->field;
	}
	if (len > 0 && line.end_len == 0)
		putc('\n', f);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (todo & ~written & keys[i].field) {
			write_line(f, &keys[i], settings, false);
			putc('\n', f);
		}
}

int sysctl_conf_edit(const char *text, size_t len, const struct tcpkeep_settings *settings,
		     char **ret, size_t *ret_len)
{
	_cleanup_free_ char *edited = NULL;
	size_t edited_len;
	uint32_t todo;
	bool failed;
	FILE *f;

	if (len > 0 && memchr(text, '\0', len))
		return -EILSEQ;
	todo = settings->fields & TCPKEEP_THREE & ~fields_that_hold(text, len, settings);
	if (todo == 0)
		return 0;
	f = open_memstream(&edited, &edited_len);
	if (!f)
		return -ENOMEM;
	write_edited(f, text, len, settings, todo);
	failed = ferror(f);
	if (fclose(f) != 0 || failed)
		return -ENOMEM;
	*ret = steal_pointer(&edited);
	*ret_len = edited_len;
	return 1;
}
