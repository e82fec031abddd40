/* SPDX-License-Identifier: MIT */
/*
 * The tables of a policy: for each byte of a connection's key, which rules may hold. "May" is
 * enough: what is left is held against the rules themselves. It is exact where a clause has one
 * value, which is most of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy-compile.h"

#define ENDPOINT_BYTES 18 /* address and port */

/* May this value hold when the byte at (0..17: address, port high, port low) is that? */
static bool endpoint_may(const struct match_endpoint *endpoint, unsigned at, unsigned byte)
{
	const __u8 *address = (const __u8 *)endpoint->address, *mask = (const __u8 *)endpoint->mask;
	unsigned min_high = endpoint->port_min >> 8, max_high = endpoint->port_max >> 8;

	if (at < 16)
		return (byte & mask[at]) == address[at];
	if (at == 16)
		return byte >= min_high && byte <= max_high;
	return min_high != max_high ||
	       (byte >= (endpoint->port_min & 255U) && byte <= (endpoint->port_max & 255U));
}

static bool is_constrained(const struct match_endpoint *endpoint, unsigned at)
{
	for (unsigned byte = 0; byte < 256; byte++)
		if (!endpoint_may(endpoint, at, byte))
			return true;
	return false;
}

/* A value is decided byte by byte: its ports make no range that begins or ends amid a high byte. */
static bool is_product(const struct match_endpoint *endpoint)
{
	bool whole = (endpoint->port_min & 255) == 0 && (endpoint->port_max & 255) == 255;

	return !endpoint->not_ipv4 && (whole || endpoint->port_min >> 8 == endpoint->port_max >> 8);
}

/* The one byte on which a value depends, and on nothing else; -1: it is not so simple. */
static int only_byte(const struct match_endpoint *endpoint)
{
	int only = -1;

	if (!is_product(endpoint))
		return -1;
	for (unsigned at = 0; at < ENDPOINT_BYTES; at++) {
		if (!is_constrained(endpoint, at))
			continue;
		if (only >= 0)
			return -1;
		only = (int)at;
	}
	return only;
}

void policy_allow(struct policy_compiler *compiler, unsigned position, size_t rule,
		  const bool may[256])
{
	for (unsigned byte = 0; byte < 256; byte++)
		if (!may[byte])
			policy_bit_clear(&compiler->set->table[position][byte], rule);
}

static void allow_endpoint(struct policy_compiler *compiler, size_t rule,
			   const struct match_clause *clause, unsigned base)
{
	const union match_value *values = &compiler->set->rule[rule].values[clause->first];
	int only[MATCH_VALUES_MAX];

	for (unsigned i = 0; i < clause->n; i++)
		only[i] = clause->negate ? only_byte(&values[i].endpoint) : -1;
	for (unsigned at = 0; at < ENDPOINT_BYTES; at++) {
		bool may[256];

		for (unsigned byte = 0; byte < 256; byte++) {
			may[byte] = clause->negate;
			for (unsigned i = 0; i < clause->n; i++) {
				const struct match_endpoint *value = &values[i].endpoint;

				if (!clause->negate)
					may[byte] |= endpoint_may(value, at, byte);
				else if (only[i] == (int)at)
					may[byte] &= !endpoint_may(value, at, byte);
			}
		}
		policy_allow(compiler, base + at, rule, may);
	}
}

static void allow_direction(struct policy_compiler *compiler, size_t rule,
			    const struct match_clause *clause)
{
	const union match_value *values = &compiler->set->rule[rule].values[clause->first];
	bool may[256];

	for (unsigned byte = 0; byte < 256; byte++) {
		may[byte] = clause->negate;
		for (unsigned i = 0; i < clause->n; i++)
			if (values[i].number == byte)
				may[byte] = !clause->negate;
	}
	policy_allow(compiler, POLICY_DIRECTION, rule, may);
}

/* Do the tables decide a clause of these? Of several values each may hold for another byte. */
static bool is_exact(const struct match_clause *clause, const union match_value *values)
{
	if (!clause->negate)
		return clause->n == 1 && is_product(&values[0].endpoint);
	for (unsigned i = 0; i < clause->n; i++)
		if (only_byte(&values[i].endpoint) < 0)
			return false;
	return true;
}

static void note_exact(struct policy_set *set, size_t rule)
{
	const struct match_program *program = &set->rule[rule];

	for (__u32 i = 0; i < program->n_clauses; i++) {
		const struct match_clause *clause = &program->clauses[i];

		if ((clause->kind == MATCH_PEER || clause->kind == MATCH_LOCAL) &&
		    !is_exact(clause, &program->values[clause->first]))
			return;
	}
	policy_bit_set(&set->exact, rule);
}

static int allow_clauses(struct policy_compiler *compiler, size_t rule)
{
	const struct match_program *program = &compiler->set->rule[rule];

	for (__u32 i = 0; i < program->n_clauses; i++) {
		const struct match_clause *clause = &program->clauses[i];
		int r;

		switch (clause->kind) {
		case MATCH_PEER:
			allow_endpoint(compiler, rule, clause, POLICY_PEER_ADDRESS);
			break;
		case MATCH_LOCAL:
			allow_endpoint(compiler, rule, clause, POLICY_LOCAL_ADDRESS);
			break;
		case MATCH_DIRECTION:
			allow_direction(compiler, rule, clause);
			break;
		case MATCH_PROGRAM:
			r = policy_allow_program(compiler, rule, clause);
			if (r < 0)
				return r;
			break;
		}
	}
	return 0;
}

/* A byte and what it tells: how many rules stay, over all its values. */
struct telling {
	unsigned position;
	unsigned long stay;
};

static unsigned long count_bits(const struct policy_bits *bits)
{
	unsigned long n = 0;

	for (unsigned w = 0; w < POLICY_WORDS; w++)
		n += (unsigned long)__builtin_popcountll(bits->word[w]);
	return n;
}

/* In which order the kernel side comes to know the bytes. */
enum stage {
	STAGE_CHEAP = 0, /* at hand before it looks at the socket */
	STAGE_PROGRAM,
	STAGE_REST,
	STAGE_PREFIX, /* the same for each connection of IPv4 */
};

/* ::ffff:0.0.0.0/96 */
#define PREFIX_BYTES 12

static enum stage stage_of(unsigned position)
{
	if (position < POLICY_PEER_ADDRESS + PREFIX_BYTES ||
	    (position >= POLICY_LOCAL_ADDRESS && position < POLICY_LOCAL_ADDRESS + PREFIX_BYTES))
		return STAGE_PREFIX;
	if (position >= POLICY_PROGRAM_NAME)
		return STAGE_PROGRAM;
	if ((position >= POLICY_PEER_PORT && position < POLICY_LOCAL_ADDRESS) ||
	    (position >= POLICY_LOCAL_PORT && position <= POLICY_DIRECTION))
		return STAGE_CHEAP;
	return STAGE_REST;
}

static int more_telling(const void *a, const void *b)
{
	const struct telling *x = a, *y = b;

	if (stage_of(x->position) != stage_of(y->position))
		return stage_of(x->position) < stage_of(y->position) ? -1 : 1;
	if (x->stay != y->stay)
		return x->stay < y->stay ? -1 : 1;
	return x->position < y->position ? -1 : 1;
}

static struct telling weigh(const struct policy_set *set, unsigned position)
{
	struct telling telling = {position, 0};

	/* A direction is in or out. */
	if (position == POLICY_DIRECTION) {
		telling.stay = (count_bits(&set->table[position][ROW_DIRECTION_IN]) +
				count_bits(&set->table[position][ROW_DIRECTION_OUT])) *
			       128;
		return telling;
	}
	for (unsigned byte = 0; byte < 256; byte++)
		telling.stay += count_bits(&set->table[position][byte]);
	return telling;
}

/* Where a key has the byte. */
static size_t offset_of(unsigned position)
{
	const bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

	if (position < POLICY_PEER_PORT)
		return offsetof(struct socket_row, peer) + position;
	if (position < POLICY_LOCAL_ADDRESS)
		return offsetof(struct socket_row, peer_port) +
		       ((position - POLICY_PEER_PORT) ^ little);
	if (position < POLICY_LOCAL_PORT)
		return offsetof(struct socket_row, local) + position - POLICY_LOCAL_ADDRESS;
	if (position < POLICY_DIRECTION)
		return offsetof(struct socket_row, local_port) +
		       ((position - POLICY_LOCAL_PORT) ^ little);
	if (position == POLICY_DIRECTION)
		return offsetof(struct socket_row, direction);
	if (position < POLICY_PROGRAM_NAME)
		return offsetof(struct socket_row, padding) + position - POLICY_USER;
	return offsetof(struct policy_key, program) + position - POLICY_PROGRAM_NAME;
}

/* What the bytes of the prefix come to when they are those of IPv4. */
static void note_ipv4(struct policy_set *set)
{
	set->ipv4 = set->present;
	for (unsigned at = 0; at < PREFIX_BYTES; at++) {
		unsigned byte = at < PREFIX_BYTES - 2 ? 0 : 0xff;

		policy_bits_and(&set->ipv4, &set->table[POLICY_PEER_ADDRESS + at][byte]);
		policy_bits_and(&set->ipv4, &set->table[POLICY_LOCAL_ADDRESS + at][byte]);
	}
}

/* Leaves out the bytes that no rule cares for, and brings the others into order. */
static void order(struct policy_set *set, const struct policy_bits (*table)[256])
{
	unsigned long all = count_bits(&set->present) * 256;
	struct telling telling[POLICY_POSITIONS];
	unsigned n = 0;

	for (unsigned position = 0; position < POLICY_POSITIONS; position++) {
		telling[n] = weigh(set, position);
		if (telling[n].stay < all)
			n++;
	}
	qsort(telling, n, sizeof(telling[0]), more_telling);
	memset(set->table, 0, sizeof(set->table));
	for (unsigned i = 0; i < n; i++) {
		set->position[i] = (__u8)offset_of(telling[i].position);
		memcpy(set->table[i], table[telling[i].position], sizeof(set->table[i]));
	}
	set->n_positions = n;
	for (unsigned i = 0; i < n; i++) {
		enum stage stage = stage_of(telling[i].position);

		set->n_cheap += stage <= STAGE_CHEAP;
		set->n_program += stage <= STAGE_PROGRAM;
		set->n_ipv4 += stage <= STAGE_REST;
	}
}

int policy_compile_tables(struct policy_compiler *compiler)
{
	struct policy_set *set = compiler->set;
	struct policy_bits(*table)[256];
	int r;

	for (unsigned position = 0; position < POLICY_POSITIONS; position++)
		for (unsigned byte = 0; byte < 256; byte++)
			set->table[position][byte] = set->present;
	set->program_exact = set->present;
	for (size_t rule = 0; rule < set->n_rules; rule++) {
		r = allow_clauses(compiler, rule);
		if (r < 0)
			return r;
		note_exact(set, rule);
	}
	r = policy_compile_classes(compiler);
	if (r < 0)
		return r;
	note_ipv4(set);
	set->accepting = set->table[POLICY_DIRECTION][ROW_DIRECTION_IN];
	table = malloc(sizeof(set->table));
	if (!table)
		return -ENOMEM;
	memcpy(table, set->table, sizeof(set->table));
	order(set, table);
	free(table);
	return 0;
}
