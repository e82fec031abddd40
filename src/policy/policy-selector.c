/* SPDX-License-Identifier: MIT */
/* The selectors of a rule: the values of a key become one word of the selectors' own language. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "policy-reader.h"

/* (uid_t)-1, as policy_format() writes a user that is not known. */
#define UNKNOWN_NUMBER "4294967295"

/* Stands for an unknown user while the word is parsed: any number does. */
#define PLACEHOLDER "0"

/* One value, cut at commas: what the selectors' language takes for one. */
struct piece {
	const char *text;
	size_t len;
	unsigned line;
	bool unknown; /* a user that is not known */
};

struct pieces {
	struct piece *all;
	size_t n, room;
};

static bool add_piece(struct policy_reader *reader, struct pieces *pieces, struct piece piece)
{
	struct piece *grown = array_grow(pieces->all, pieces->n, &pieces->room, sizeof(*grown));

	if (!grown) {
		reader->no_memory = true;
		return false;
	}
	pieces->all = grown;
	pieces->all[pieces->n++] = piece;
	return true;
}

/* A name, not a wrong number. */
static bool is_unknown_user(const struct policy_word *key, const struct piece *piece)
{
	if (!policy_word_is(key, "user"))
		return false;
	if (piece->len == strlen(UNKNOWN_NUMBER) &&
	    memcmp(piece->text, UNKNOWN_NUMBER, piece->len) == 0)
		return true;
	if (piece->len > 255 || memchr(piece->text, '\0', piece->len))
		return false;
	for (size_t i = 0; i < piece->len; i++)
		if (!strchr("-0123456789", piece->text[i]))
			return true;
	return false;
}

/* "KEY=VALUE" or "KEY!=VALUE,..." of n pieces; the caller's to free. */
static char *make_word(const struct policy_entry *entry, const struct piece *pieces, size_t n,
		       size_t *ret_len)
{
	size_t len = entry->key.len + 2;
	char *word, *at;

	for (size_t i = 0; i < n; i++)
		len += pieces[i].len + 1 + strlen(PLACEHOLDER);
	word = malloc(len);
	if (!word)
		return NULL;
	at = mempcpy(word, entry->key.text, entry->key.len);
	at = entry->op == POLICY_IS ? mempcpy(at, "=", 1) : mempcpy(at, "!=", 2);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			*at++ = ',';
		at = pieces[i].unknown ? mempcpy(at, PLACEHOLDER, strlen(PLACEHOLDER))
				       : mempcpy(at, pieces[i].text, pieces[i].len);
	}
	*ret_len = (size_t)(at - word);
	return word;
}

/* Parses pieces as one word. 0, or -errno with the words. */
static int parse(struct policy_reader *reader, const struct policy_entry *entry,
		 const struct piece *pieces, size_t n, struct selector *selector,
		 struct tcpkeep_error *ret_error)
{
	_cleanup_free_ char *word = NULL;
	size_t len;

	word = make_word(entry, pieces, n, &len);
	if (!word) {
		reader->no_memory = true;
		return -ENOMEM;
	}
	return selector_parse_word(selector, word, len, ret_error);
}

/* 2001:db8::1:443 is an address of IPv6, whose last group is 443: is it, or was a port meant? With
 * two digits at least: ::1:5 is no port that anybody writes. */
static void check_ipv6_port(struct policy_reader *reader, const struct policy_word *key,
			    const struct piece *piece)
{
	const char *colon = memrchr(piece->text, ':', piece->len);
	size_t digits = colon ? (size_t)(piece->text + piece->len - colon - 1) : 0;
	char address[INET6_ADDRSTRLEN];
	struct in6_addr parsed;

	if (digits < 2 || (size_t)(colon - piece->text) >= sizeof(address))
		return;
	for (size_t i = 1; i <= digits; i++)
		if (!isdigit((unsigned char)colon[i]))
			return;
	memcpy(address, piece->text, (size_t)(colon - piece->text));
	address[colon - piece->text] = '\0';
	if (!strchr(address, ':') || inet_pton(AF_INET6, address, &parsed) != 1)
		return;
	policy_warn(reader, piece->line,
		    "%.*s: '%s%.*s' is read as an address, without a port; for the port write "
		    "[%s]%.*s, for the address [%s%.*s]",
		    (int)key->len, key->text, address, (int)digits + 1, colon, address,
		    (int)digits + 1, colon, address, (int)digits + 1, colon);
}

static bool is_endpoint(const struct policy_word *key)
{
	return policy_word_is(key, "local") || policy_word_is(key, "peer");
}

/* Each value on its own, so that each error has its own line. Whether it is good. */
static bool check_piece(struct policy_reader *reader, const struct policy_entry *entry,
			struct piece *piece)
{
	struct selector scratch = {0};
	struct tcpkeep_error error = {0};
	char key[POLICY_SHOWN_MAX], shown[POLICY_SHOWN_MAX];
	struct policy_word word = {piece->text, piece->len, piece->line};
	int r;

	policy_show(&entry->key, key);
	policy_show(&word, shown);
	if (piece->len > 0 && piece->text[0] == '!') {
		policy_fail(reader, piece->line,
			    "%s: '%s': negation goes before the values; write %s != ...", key,
			    shown, key);
		return false;
	}
	if (policy_word_is(&entry->key, "direction") && policy_word_is(&word, "listen")) {
		policy_fail(
			reader, piece->line,
			"direction: 'listen' is no connection; accepted: in (what a listener accepts), out");
		return false;
	}
	r = parse(reader, entry, piece, 1, &scratch, &error);
	if (r == -ENOMEM)
		return false;
	if (r < 0 && policy_word_is(&entry->key, "direction")) {
		policy_fail(reader, piece->line,
			    "direction: '%s' is no direction; accepted: in, out", shown);
		return false;
	}
	if (r < 0 && is_unknown_user(&entry->key, piece)) {
		piece->unknown = true;
		policy_warn(
			reader, piece->line,
			"user: '%s' is not a user of this machine; until it is, and the policy is applied again, it matches no connection",
			shown);
		return true;
	}
	if (r < 0) {
		policy_fail(reader, piece->line, "%s", error.message);
		return false;
	}
	if (is_endpoint(&entry->key))
		check_ipv6_port(reader, &entry->key, piece);
	if (scratch.program_cut)
		policy_warn(
			reader, piece->line,
			"program: '%s' is longer than the 15 bytes that the kernel keeps of a name; "
			"only these are compared",
			shown);
	return true;
}

static bool cut_up(struct policy_reader *reader, const struct policy_entry *entry,
		   struct pieces *pieces)
{
	char key[POLICY_SHOWN_MAX];
	bool good = true;

	for (size_t i = 0; i < entry->n_values; i++) {
		const struct policy_word *value = &entry->values[i];
		const char *at = value->text, *end = at + value->len;

		for (;;) {
			const char *comma = memchr(at, ',', (size_t)(end - at));
			struct piece piece = {at, (size_t)((comma ? comma : end) - at), value->line,
					      false};

			/* Before users are looked up by the thousand. */
			if (pieces->n == MATCH_VALUES_MAX) {
				policy_fail(reader, entry->key.line,
					    "%s: more than %d values in one rule; use a range, a "
					    "network or a glob (*), or two rules",
					    policy_show(&entry->key, key), MATCH_VALUES_MAX);
				return false;
			}
			good &= check_piece(reader, entry, &piece);
			if (!add_piece(reader, pieces, piece))
				return false;
			if (!comma)
				break;
			at = comma + 1;
		}
	}
	return good;
}

bool policy_take_selector(struct policy_reader *reader, const struct policy_entry *entry,
			  struct selector *selector)
{
	_cleanup_free_ struct piece *freed = NULL;
	struct match_program *program = &selector->program;
	struct tcpkeep_error error = {0};
	struct pieces pieces = {0};
	char key[POLICY_SHOWN_MAX];
	bool good;

	policy_show(&entry->key, key);
	if (entry->op == POLICY_ALONE) {
		policy_fail(reader, entry->key.line, "%s: lacks its value; write %s = VALUE", key,
			    key);
		return false;
	}
	if (entry->n_values == 0) {
		policy_fail(reader, entry->key.line,
			    "%s: the list is empty; leave the key out to match all", key);
		return false;
	}
	good = cut_up(reader, entry, &pieces);
	freed = pieces.all;
	if (!good)
		return false;
	if (parse(reader, entry, pieces.all, pieces.n, selector, &error) < 0) {
		policy_fail(reader, entry->key.line, "%s", error.message);
		return false;
	}
	for (size_t i = 0; i < pieces.n; i++)
		if (pieces.all[i].unknown)
			program->values[program->clauses[program->n_clauses - 1].first + i].number =
				POLICY_UID_UNKNOWN;
	return true;
}
