/* SPDX-License-Identifier: MIT */
/*
 * An entry as bytes: a head of fixed size, the words, how many sockets were planned (of JOURNAL_CUT
 * alone), the kinds, the items. Numbers are little
 * endian or, where they are mostly small, LEB128. The items are ordered by cookie, each as the
 * difference from the one before: cookies are counted, so that most take a byte or two.
 */
#include "journal.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/macro.h"

/* Behind it stands the version of the form. */
static const uint8_t magic[7] = {'t', 'c', 'p', 'k', 's', 'e', 't'};

/* The oldest in which an entry can be written is taken: the header says why. */
#define VERSION_FIRST 1
#define VERSION_CUT   2 /* and longer words */

#define FIRST_WORDS_MAX 240 /* of VERSION_FIRST, with their NUL */

/* Before the words. The sum is that of all that follows it. */
struct fixed {
	uint8_t magic[7];
	uint8_t version;
	uint64_t sum;
	uint8_t boot[JOURNAL_BOOT_MAX];
	uint64_t at_s;
	uint64_t sockets;
	uint32_t state;
	uint32_t words_len;
};

_Static_assert(sizeof(struct fixed) == 56, "a head has no holes");

#define VARINT_MAX 10
#define KIND_MAX   (VARINT_MAX + 1 + 3 * 16)

/* ------------------------------------------------------------------------------------- encoding
 */

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	return at;
}

static uint8_t *put_values(uint8_t *at, const struct change_values *values)
{
	*at++ = (uint8_t)(values->fields << 1 | (values->on != 0));
	at = put_varint(at, values->time_s);
	at = put_varint(at, values->intvl_s);
	*at++ = values->probes;
	return put_varint(at, values->user_timeout_ms);
}

static uint8_t *put_kind(uint8_t *at, const struct change_kind *kind)
{
	at = put_varint(at, kind->netns);
	*at++ = (uint8_t)kind->flags;
	at = put_values(at, &kind->before);
	at = put_values(at, &kind->effective);
	return put_values(at, &kind->wanted);
}

static int compare_items(const void *a, const void *b)
{
	uint64_t x = ((const struct change_item *)a)->cookie;
	uint64_t y = ((const struct change_item *)b)->cookie;

	return x < y ? -1 : x > y;
}

/* The items that count, ordered; each cookie once: several subflows of MPTCP have the same. */
static int select_items(const struct change_set *set, const uint8_t *only, struct change_item **ret,
			size_t *ret_n)
{
	struct change_item *items = malloc((set->n + 1) * sizeof(*items));
	size_t n = 0, kept = 0;

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < set->n; i++) {
		if (only && !(only[i / 8] >> i % 8 & 1))
			continue;
		if (set->kinds[set->items[i].kind].wanted.fields != 0)
			items[n++] = set->items[i];
	}
	qsort(items, n, sizeof(*items), compare_items);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || items[kept - 1].cookie != items[i].cookie)
			items[kept++] = items[i];
	*ret = items;
	*ret_n = kept;
	return 0;
}

/* Kinds are numbered anew, those that the items have: the first met is the first. */
static uint8_t *put_kinds(uint8_t *at, const struct change_set *set, struct change_item *items,
			  size_t n, uint32_t *numbers)
{
	uint32_t used = 0;
	uint8_t *count = at;

	/* Their number goes before them, in a room of fixed size. */
	at += sizeof(uint32_t);
	for (size_t i = 0; i < n; i++) {
		uint32_t kind = items[i].kind;

		if (numbers[kind] == 0) {
			numbers[kind] = ++used;
			at = put_kind(at, &set->kinds[kind]);
		}
		items[i].kind = numbers[kind] - 1;
	}
	used = htole32(used);
	memcpy(count, &used, sizeof(used));
	return at;
}

static uint8_t *put_items(uint8_t *at, const struct change_item *items, size_t n)
{
	uint64_t last = 0;

	for (size_t i = 0; i < n; i++) {
		at = put_varint(at, items[i].cookie - last);
		at = put_varint(at, items[i].kind);
		last = items[i].cookie;
	}
	return at;
}

static uint8_t version_for(const struct journal_head *head, size_t words_len)
{
	return head->state == JOURNAL_CUT || words_len >= FIRST_WORDS_MAX ? VERSION_CUT
									  : VERSION_FIRST;
}

int journal_encode(const struct journal_head *head, const struct change_set *set,
		   const uint8_t *only, uint8_t **ret, size_t *ret_len)
{
	size_t words_len = strnlen(head->words, sizeof(head->words) - 1), n;
	_cleanup_free_ uint32_t *numbers = calloc(set->n_kinds + 1, sizeof(*numbers));
	_cleanup_free_ struct change_item *items = NULL;
	struct fixed fixed = {
		.version = version_for(head, words_len),
		.at_s = htole64(head->at_s),
		.state = htole32(head->state),
		.words_len = htole32((uint32_t)words_len),
	};
	uint8_t *bytes, *at;

	if (!numbers || select_items(set, only, &items, &n) < 0)
		return -ENOMEM;
	bytes = malloc(sizeof(fixed) + words_len + VARINT_MAX + sizeof(uint32_t) +
		       set->n_kinds * KIND_MAX + n * 2 * VARINT_MAX);
	if (!bytes)
		return -ENOMEM;
	memcpy(fixed.magic, magic, sizeof(magic));
	memcpy(fixed.boot, head->boot, sizeof(fixed.boot));
	fixed.sockets = htole64(n);
	at = bytes + sizeof(fixed);
	memcpy(at, head->words, words_len);
	at += words_len;
	if (head->state == JOURNAL_CUT)
		at = put_varint(at, head->planned);
	at = put_kinds(at, set, items, n, numbers);
	at = put_items(at, items, n);
	memcpy(bytes, &fixed, sizeof(fixed));
	fixed.sum = htole64(hash_bytes(bytes + offsetof(struct fixed, boot),
				       (size_t)(at - bytes) - offsetof(struct fixed, boot)));
	memcpy(bytes, &fixed, sizeof(fixed));
	*ret = bytes;
	*ret_len = (size_t)(at - bytes);
	return 0;
}

/* ------------------------------------------------------------------------------------- decoding
 */

/* What is still to be read. Once something was missing, everything is 0 and bad stays. */
struct reader {
	const uint8_t *at, *end;
	bool bad;
};

static uint8_t get_byte(struct reader *reader)
{
	if (reader->at >= reader->end) {
		reader->bad = true;
		return 0;
	}
	return *reader->at++;
}

static uint64_t get_varint(struct reader *reader, uint64_t max)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = get_byte(reader);

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		/* Each number has one form: no empty bytes at its end, none that does not fit. */
		if (value > max || (byte == 0 && shift > 0) || (shift == 63 && byte > 1))
			break;
		return value;
	}
	reader->bad = true;
	return 0;
}

static void get_values(struct reader *reader, struct change_values *ret)
{
	uint8_t first = get_byte(reader);

	ret->fields = first >> 1;
	ret->on = first & 1;
	ret->time_s = (uint16_t)get_varint(reader, UINT16_MAX);
	ret->intvl_s = (uint16_t)get_varint(reader, UINT16_MAX);
	ret->probes = get_byte(reader);
	ret->user_timeout_ms = (uint32_t)get_varint(reader, TCPKEEP_USER_TIMEOUT_MAX_MS);
	if (ret->fields & ~TCPKEEP_ALL)
		reader->bad = true;
}

/* What a socket was given is what a socket may have. */
static bool is_possible(const struct change_kind *kind)
{
	struct tcpkeep_settings wanted;

	change_values_settings(&kind->wanted, &wanted);
	return wanted.fields != 0 &&
	       tcpkeep_settings_validate(&wanted, TCPKEEP_SCOPE_SOCKET, NULL) == 0 &&
	       !(kind->flags & ~(uint32_t)(CHANGE_MPTCP | CHANGE_LISTENS));
}

static void get_kind(struct reader *reader, struct change_kind *ret)
{
	*ret = (struct change_kind){.netns = get_varint(reader, UINT64_MAX)};
	ret->flags = get_byte(reader);
	get_values(reader, &ret->before);
	get_values(reader, &ret->effective);
	get_values(reader, &ret->wanted);
	if (!reader->bad && !is_possible(ret))
		reader->bad = true;
}

static int get_kinds(struct reader *reader, struct change_set *set)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < sizeof(n); i++)
		n |= (uint32_t)get_byte(reader) << 8 * i;
	/* Each takes more than one byte: no number makes us ask for more memory than the file. */
	if (reader->bad || n > (size_t)(reader->end - reader->at))
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		struct change_kind kind;
		uint32_t number;

		get_kind(reader, &kind);
		if (reader->bad)
			return -EBADMSG;
		if (change_set_kind(set, &kind, &number) < 0)
			return -ENOMEM;
		if (number != i)
			return -EBADMSG;
	}
	return 0;
}

static int get_items(struct reader *reader, uint64_t n, struct change_set *set)
{
	uint64_t cookie = 0;

	/* Two bytes each at least. */
	if (n > (uint64_t)(reader->end - reader->at) / 2 || (n > 0 && set->n_kinds == 0))
		return -EBADMSG;
	set->items = malloc((n + 1) * sizeof(*set->items));
	if (!set->items)
		return -ENOMEM;
	set->room = n + 1;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t step = get_varint(reader, UINT64_MAX - cookie);
		uint32_t kind = (uint32_t)get_varint(reader, set->n_kinds - 1);

		if (reader->bad || step == 0)
			return -EBADMSG;
		cookie += step;
		set->items[set->n++] = (struct change_item){.cookie = cookie, .kind = kind};
	}
	return reader->at == reader->end ? 0 : -EBADMSG;
}

/* *ret_body: what follows the head. */
static int get_head(const uint8_t *bytes, size_t len, struct journal_head *ret,
		    struct reader *ret_body)
{
	struct fixed fixed;
	size_t words_len;

	if (len < sizeof(fixed))
		return -EBADMSG;
	memcpy(&fixed, bytes, sizeof(fixed));
	words_len = le32toh(fixed.words_len);
	if (memcmp(fixed.magic, magic, sizeof(magic)) != 0 || fixed.version < VERSION_FIRST)
		return -EBADMSG;
	if (fixed.version > VERSION_CUT)
		return -EPROTONOSUPPORT;
	if (words_len >= sizeof(ret->words) || words_len > len - sizeof(fixed) ||
	    le32toh(fixed.state) > JOURNAL_CUT || memchr(bytes + sizeof(fixed), '\0', words_len))
		return -EBADMSG;
	*ret = (struct journal_head){
		.at_s = le64toh(fixed.at_s),
		.state = (enum journal_state)le32toh(fixed.state),
		.sockets = le64toh(fixed.sockets),
	};
	memcpy(ret->boot, fixed.boot, sizeof(ret->boot));
	memcpy(ret->words, bytes + sizeof(fixed), words_len);
	if (hash_bytes(bytes + offsetof(struct fixed, boot), len - offsetof(struct fixed, boot)) !=
	    le64toh(fixed.sum))
		return -EBADMSG;
	*ret_body = (struct reader){bytes + sizeof(fixed) + words_len, bytes + len, false};
	if (ret->state == JOURNAL_CUT)
		ret->planned = get_varint(ret_body, UINT64_MAX);
	return ret_body->bad ? -EBADMSG : 0;
}

int journal_decode(const uint8_t *bytes, size_t len, struct journal_head *ret_head,
		   struct change_set *ret_set)
{
	struct change_set set = {0};
	struct journal_head head;
	struct reader reader;
	int r;

	r = get_head(bytes, len, &head, &reader);
	if (r < 0)
		return r;
	if (ret_set) {
		r = get_kinds(&reader, &set);
		if (r == 0)
			r = get_items(&reader, head.sockets, &set);
		if (r < 0) {
			change_set_clear(&set);
			return r;
		}
		*ret_set = set;
	}
	*ret_head = head;
	return 0;
}
