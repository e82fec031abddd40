/* SPDX-License-Identifier: MIT */
/*
 * Any text: each of its words is refused with words and leaves the selector as it was, or is
 * understood, leaves a sound program behind, and matches rows of any bytes, never together with its
 * own negation.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "sockets/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* xorshift64: the rows of one input are always the same. */
static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void random_row(uint64_t *seed, struct socket_row *row)
{
	uint8_t *bytes = (uint8_t *)row;

	for (size_t i = 0; i < sizeof(*row); i++)
		bytes[i] = (uint8_t)(next_random(seed) >> 24);
	/* Half of them are like real ones, so that more than the addresses' first bits is looked
	 * at. */
	if (next_random(seed) & 1) {
		row->state %= 13;
		row->direction %= 4;
		row->local[0] = row->local[1] = 0;
		row->local[2] = MATCH_BE32(0xffffU);
		row->uid %= 3;
		row->silence_ms %= 4096;
	}
}

static void check_program(const struct selector *selector)
{
	const struct match_program *program = &selector->program;
	__u32 n = 0;

	must(program->n_clauses <= MATCH_CLAUSES_MAX && program->n_values <= MATCH_VALUES_MAX);
	for (__u32 i = 0; i < program->n_clauses; i++) {
		const struct match_clause *clause = &program->clauses[i];

		must(clause->first == n && clause->n > 0 && clause->kind <= MATCH_NETNS);
		for (unsigned j = 0; j < clause->n; j++, n++) {
			const union match_value *value = &program->values[n];

			must(program->clause_of[n] == i);
			if (clause->kind <= MATCH_PEER) {
				must(value->endpoint.port_min <= value->endpoint.port_max);
				must(value->endpoint.prefix <= 128);
				for (int k = 0; k < 4; k++)
					must(!(value->endpoint.address[k] &
					       ~value->endpoint.mask[k]));
			} else if (clause->kind > MATCH_PID) {
				must(value->number < selector->text_len);
			}
		}
	}
	must(n == program->n_values);
	must(selector->text_len <= SELECTOR_TEXT_MAX);
	must(selector->text_len == 0 || selector->text[selector->text_len - 1] == '\0');
}

static void check_refusal(const struct tcpkeep_error *error, size_t len)
{
	must(error->message[0] != '\0' && error->offset + error->length <= len);
	for (const char *c = error->message; *c; c++)
		must((unsigned char)*c >= 0x20);
}

/* A word with = alone, and the same with !=. */
static void check_negation(const char *word, size_t len, const struct socket_row *row,
			   const struct selector_owner *owner)
{
	struct selector plain = {0}, negated = {0};
	_cleanup_free_ char *text = malloc(len + 1);
	const char *equals = memchr(word, '=', len);
	size_t at = (size_t)(equals - word);

	if (!equals || !text || at == 0 || strchr("!<>", word[at - 1]))
		return;
	memcpy(text, word, at);
	text[at] = '!';
	memcpy(text + at + 1, equals, len - at);
	if (selector_parse_word(&plain, word, len, NULL) < 0)
		return;
	must(selector_parse_word(&negated, text, len + 1, NULL) == 0);
	must(!selector_matches(&plain, row, owner) || !selector_matches(&negated, row, owner));
}

/* What the kernel's half refuses is refused by the whole. */
static void check_rows(const struct selector *selector, const char *word, size_t len,
		       uint64_t *seed)
{
	static const int pids[] = {1, 42};
	static const char *const programs[] = {"nginx", "a\xff[b"};
	static const char *const paths[] = {NULL, "/", "/a.slice/_b.service",
					    "/a\\x2d.scope/..//x"};

	for (int i = 0; i < 8; i++) {
		struct selector_owner owner = {
			.pids = pids,
			.programs = programs,
			.n = next_random(seed) % 3,
			.cgroup_path = paths[next_random(seed) % 4],
			.netns_name = next_random(seed) & 1 ? "blue" : NULL,
			.netns_inode = next_random(seed) & 1 ? 4026531840 : 0,
		};
		struct socket_row row;

		random_row(seed, &row);
		must(match_row(&selector->program, &row) ||
		     !selector_matches(selector, &row, &owner));
		check_negation(word, len, &row, &owner);
	}
}

static void check_word(struct selector *selector, const char *word, size_t len, uint64_t *seed)
{
	struct selector before = *selector;
	struct tcpkeep_error error = {0};

	if (selector_parse_word(selector, word, len, &error) < 0) {
		check_refusal(&error, len);
		must(memcmp(selector, &before, sizeof(before)) == 0);
		return;
	}
	check_program(selector);
	check_rows(selector, word, len, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	struct selector selector = {0};
	uint64_t seed = 0x9e3779b97f4a7c15;
	size_t at = 0;

	if (!text)
		return 0;
	memcpy(text, data, size);
	for (size_t i = 0; i < size; i++)
		seed = (seed ^ data[i]) * 0x100000001b3 | 1;
	while (at <= size) {
		const char *blank = at < size ? memchr(text + at, ' ', size - at) : NULL;
		size_t len = blank ? (size_t)(blank - text) - at : size - at;

		check_word(&selector, text + at, len, &seed);
		at += len + 1;
	}
	return 0;
}
