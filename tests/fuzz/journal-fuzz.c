/* SPDX-License-Identifier: MIT */
/* Any bytes as an entry of the journal, with the sum that goes with them: what is taken is within
 * what a socket may have, and is the same when it is written again. */
#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "sockets/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where the sum stands, and what it is of: journal.c. */
#define SUM_AT   8
#define SUM_FROM 16

static void mend_sum(uint8_t *bytes, size_t size)
{
	uint64_t sum = htole64(hash_bytes(bytes + SUM_FROM, size - SUM_FROM));

	memcpy(bytes + SUM_AT, &sum, sizeof(sum));
}

static void check(const struct change_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		struct tcpkeep_settings wanted;

		if (set->items[i].kind >= set->n_kinds)
			abort();
		if (i > 0 && set->items[i].cookie <= set->items[i - 1].cookie)
			abort();
		change_values_settings(&set->kinds[set->items[i].kind].wanted, &wanted);
		if (tcpkeep_settings_validate(&wanted, TCPKEEP_SCOPE_SOCKET, NULL) < 0)
			abort();
	}
}

/* Written again it is read as the same. */
static void check_again(const struct journal_head *head, const struct change_set *set)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct journal_head read;
	struct change_set again;
	size_t len;

	if (journal_encode(head, set, NULL, &bytes, &len) < 0 ||
	    journal_decode(bytes, len, &read, &again) < 0)
		abort();
	if (again.n != set->n || strcmp(read.words, head->words) != 0)
		abort();
	for (size_t i = 0; i < set->n; i++)
		if (again.items[i].cookie != set->items[i].cookie ||
		    memcmp(&again.kinds[again.items[i].kind], &set->kinds[set->items[i].kind],
			   sizeof(*set->kinds)) != 0)
			abort();
	change_set_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *bytes = malloc(size + 1);
	struct journal_head head;
	struct change_set set;

	if (!bytes || size < SUM_FROM)
		return 0;
	memcpy(bytes, data, size);
	mend_sum(bytes, size);
	if (journal_decode(bytes, size, &head, &set) < 0)
		return 0;
	check(&set);
	check_again(&head, &set);
	change_set_clear(&set);
	return 0;
}
