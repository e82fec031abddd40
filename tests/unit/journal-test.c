/* SPDX-License-Identifier: MIT */
/* The journal of changes: what is written is read back, what is damaged is refused, and it stays
 * small. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "sockets/journal.h"
#include "unit.h"

/* Where the version of an entry stands: behind "tcpkset". */
#define VERSION_AT 7

static struct change_kind kind_of(uint16_t time_s, uint64_t netns)
{
	return (struct change_kind){
		.netns = netns,
		.before = {.fields = TCPKEEP_ALL},
		.effective = {.fields = TCPKEEP_ALL, .time_s = 7200, .intvl_s = 75, .probes = 9},
		.wanted = {.fields = TCPKEEP_ON | TCPKEEP_TIME | TCPKEEP_USER_TIMEOUT,
			   .on = 1,
			   .time_s = time_s,
			   .user_timeout_ms = INT32_MAX},
		.flags = CHANGE_LISTENS,
	};
}

static void add(struct change_set *set, uint64_t cookie, uint16_t time_s, uint64_t netns)
{
	const struct change_kind kind = kind_of(time_s, netns);

	assert_int_equal(change_set_add(set, cookie, &kind, NULL, 0), 0);
}

static struct journal_head head_of(const char *words)
{
	struct journal_head head = {.boot = "0123456789abcde", .at_s = 1234567890123};

	snprintf(head.words, sizeof(head.words), "%s", words);
	return head;
}

static void what_is_written_is_read_back(void **state)
{
	const struct journal_head head = head_of("peer=:5432 time=60");
	struct change_set set = {0}, again = {0};
	_cleanup_free_ uint8_t *bytes = NULL;
	struct journal_head read;
	size_t len;

	(void)state;
	/* In any order, and one of them twice; the largest numbers there are. */
	add(&set, 900, 60, 4026531840);
	add(&set, UINT64_MAX, 32767, UINT64_MAX);
	add(&set, 1, 61, 4026531840);
	add(&set, 900, 60, 4026531840);
	assert_int_equal(journal_encode(&head, &set, NULL, &bytes, &len), 0);
	assert_int_equal(journal_decode(bytes, len, &read, &again), 0);
	assert_int_equal(read.sockets, 3);
	assert_int_equal(read.at_s, head.at_s);
	assert_string_equal(read.words, head.words);
	assert_memory_equal(read.boot, head.boot, sizeof(read.boot));
	assert_int_equal(again.n, 3);
	for (size_t i = 0; i < 3; i++) {
		static const uint64_t cookies[] = {1, 900, UINT64_MAX};
		const struct change_kind kinds[] = {kind_of(61, 4026531840),
						    kind_of(60, 4026531840),
						    kind_of(32767, UINT64_MAX)};

		assert_int_equal(again.items[i].cookie, cookies[i]);
		assert_memory_equal(&again.kinds[again.items[i].kind], &kinds[i], sizeof(kinds[i]));
	}
	change_set_clear(&set);
	change_set_clear(&again);
}

/* Of what was ended early, and of nothing else, how many were to be changed. */
static void ended_early_tells_how_many_there_were(void **state)
{
	struct journal_head head = head_of("all time=60");
	struct change_set set = {0}, again = {0};
	_cleanup_free_ uint8_t *bytes = NULL;
	struct journal_head read;
	size_t len;

	(void)state;
	add(&set, 5, 60, 4026531840);
	head.state = JOURNAL_CUT;
	head.planned = UINT64_MAX;
	assert_int_equal(journal_encode(&head, &set, NULL, &bytes, &len), 0);
	assert_int_equal(journal_decode(bytes, len, &read, &again), 0);
	assert_int_equal(read.state, JOURNAL_CUT);
	assert_int_equal(bytes[VERSION_AT], 2);
	assert_true(read.planned == UINT64_MAX);
	assert_int_equal(read.sockets, 1);
	assert_int_equal(again.items[0].cookie, 5);
	assert_string_equal(read.words, head.words);
	assert_int_equal(journal_decode(bytes, len, &read, NULL), 0);
	assert_true(read.planned == UINT64_MAX);
	change_set_clear(&set);
	change_set_clear(&again);
}

/* What the first version can say is said in it: an older tcpkeep undoes it, too. */
static void the_version_is_the_oldest_that_will_do(void **state)
{
	struct journal_head head = head_of("");
	struct change_set set = {0};
	struct journal_head read;

	(void)state;
	add(&set, 5, 60, 4026531840);
	for (size_t n = 239; n < JOURNAL_WORDS_MAX; n += JOURNAL_WORDS_MAX - 240) {
		_cleanup_free_ uint8_t *bytes = NULL;
		size_t len;

		memset(head.words, 'x', n);
		assert_int_equal(journal_encode(&head, &set, NULL, &bytes, &len), 0);
		assert_int_equal(bytes[VERSION_AT], n < 240 ? 1 : 2);
		assert_int_equal(journal_decode(bytes, len, &read, NULL), 0);
		assert_string_equal(read.words, head.words);
		bytes[VERSION_AT] = 3;
		assert_int_equal(journal_decode(bytes, len, &read, NULL), -EPROTONOSUPPORT);
	}
	change_set_clear(&set);
}

static void only_what_was_changed(void **state)
{
	const struct journal_head head = head_of("");
	const uint8_t only[] = {0x0a}; /* the second and the fourth */
	struct change_set set = {0}, again = {0};
	_cleanup_free_ uint8_t *bytes = NULL;
	struct journal_head read;
	size_t len;

	(void)state;
	for (uint64_t cookie = 1; cookie <= 5; cookie++)
		add(&set, cookie, (uint16_t)(100 + cookie), 1);
	assert_int_equal(journal_encode(&head, &set, only, &bytes, &len), 0);
	assert_int_equal(journal_decode(bytes, len, &read, &again), 0);
	assert_int_equal(again.n, 2);
	assert_int_equal(again.n_kinds, 2);
	assert_int_equal(again.items[0].cookie, 2);
	assert_int_equal(again.kinds[again.items[1].kind].wanted.time_s, 104);
	change_set_clear(&set);
	change_set_clear(&again);
}

/* A hundred thousand sockets, as a spread makes them: each third cookie, a thousand different
 * times.
 */
static void a_socket_takes_three_bytes(void **state)
{
	const struct journal_head head = head_of("all time=7200");
	_cleanup_free_ uint8_t *bytes = NULL;
	struct change_set set = {0};
	size_t len;

	(void)state;
	for (uint64_t i = 0; i < 100000; i++)
		add(&set, 1000000 + 3 * i, (uint16_t)(6200 + i % 1000), 1);
	assert_int_equal(journal_encode(&head, &set, NULL, &bytes, &len), 0);
	assert_true(len < 350000);
	change_set_clear(&set);
}

static void every_bit_counts(void **state)
{
	const struct journal_head head = head_of("x");
	_cleanup_free_ uint8_t *bytes = NULL;
	struct change_set set = {0}, again;
	struct journal_head read;
	size_t len;

	(void)state;
	add(&set, 5, 60, 1);
	add(&set, 7, 61, 1);
	assert_int_equal(journal_encode(&head, &set, NULL, &bytes, &len), 0);
	for (size_t i = 0; i < len * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1U << i % 8);
		/* A version that is not known might be a newer one. */
		assert_int_equal(journal_decode(bytes, len, &read, &again),
				 i / 8 == VERSION_AT && bytes[VERSION_AT] > 2 ? -EPROTONOSUPPORT
									      : -EBADMSG);
		bytes[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	for (size_t cut = 0; cut < len; cut++) {
		/* Behind it there is nothing that may be read. */
		_cleanup_free_ uint8_t *part = malloc(cut + 1);

		assert_non_null(part);
		memcpy(part, bytes, cut);
		assert_int_equal(journal_decode(part, cut, &read, &again), -EBADMSG);
	}
	change_set_clear(&set);
}

/* ---------------------------------------------------------------------------------------- files */

static char place[] = "/tmp/tcpkeep-journal-XXXXXX";

static int make_place(void **state)
{
	(void)state;
	return mkdtemp(place) ? 0 : -1;
}

static int remove_place(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", place);
	return system(command);
}

static int open_at(const char *name)
{
	struct tcpkeep_error error;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", place, name);
	fd = journal_open(path, true, &error);
	if (fd < 0)
		fail_msg("%s", error.message);
	return fd;
}

static void entries_are_kept_and_the_oldest_go(void **state)
{
	_cleanup_close_ int dir = open_at("a/b/c");
	_cleanup_free_ uint64_t *ids = NULL;
	struct journal_head head = head_of("words"), read;
	struct change_set set = {0}, again;
	struct stat st;
	uint64_t id;
	size_t n;

	(void)state;
	assert_int_equal(fstat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	add(&set, 5, 60, 1);
	for (uint64_t i = 1; i <= JOURNAL_ENTRIES_MAX + 5; i++) {
		assert_int_equal(journal_add(dir, &head, &set, &id, NULL), 0);
		assert_int_equal(id, i);
	}
	assert_int_equal(journal_list(dir, &ids, &n), 0);
	assert_int_equal(n, JOURNAL_ENTRIES_MAX);
	assert_int_equal(ids[0], 6);
	assert_int_equal(journal_read(dir, 5, &read, NULL, NULL), -ENOENT);
	assert_int_equal(journal_read(dir, id, &read, &again, NULL), 0);
	assert_int_equal(again.n, 1);
	change_set_clear(&again);
	head.state = JOURNAL_UNDONE;
	assert_int_equal(journal_replace(dir, id, &head, &set, NULL, NULL), 0);
	assert_int_equal(journal_read(dir, id, &read, NULL, NULL), 0);
	assert_int_equal(read.state, JOURNAL_UNDONE);
	/* Nothing was changed after all. */
	assert_int_equal(journal_replace(dir, id, &head, &set, (const uint8_t[]){0}, NULL), 0);
	assert_int_equal(journal_read(dir, id, &read, NULL, NULL), -ENOENT);
	change_set_clear(&set);
}

static void what_others_may_write_is_not_read(void **state)
{
	_cleanup_close_ int dir = open_at("d");
	const struct journal_head head = head_of("words");
	struct tcpkeep_error error;
	struct change_set set = {0};
	struct journal_head read;
	char path[128];
	uint64_t id;

	(void)state;
	add(&set, 5, 60, 1);
	assert_int_equal(journal_add(dir, &head, &set, &id, NULL), 0);
	assert_int_equal(fchmodat(dir, "1.set", 0620, 0), 0);
	assert_int_equal(journal_read(dir, 1, &read, NULL, &error), -EPERM);
	assert_int_equal(fchmodat(dir, "1.set", 0600, 0), 0);
	assert_int_equal(journal_read(dir, 1, &read, NULL, &error), 0);
	assert_int_equal(symlinkat("1.set", dir, "2.set"), 0);
	assert_int_equal(journal_read(dir, 2, &read, NULL, &error), -EPERM);
	assert_int_equal(mkfifoat(dir, "3.set", 0600), 0);
	assert_int_equal(journal_read(dir, 3, &read, NULL, &error), -EPERM);
	assert_int_equal(mkdirat(dir, "4.set", 0700), 0);
	assert_int_equal(journal_read(dir, 4, &read, NULL, &error), -EPERM);
	/* The next number is behind all of them. */
	assert_int_equal(journal_add(dir, &head, &set, &id, NULL), 0);
	assert_int_equal(id, 5);
	assert_int_equal(fchmod(dir, 0770), 0);
	snprintf(path, sizeof(path), "%s/d", place);
	assert_int_equal(journal_open(path, true, &error), -EPERM);
	change_set_clear(&set);
}

static void a_name_beyond_all_counting_is_no_entry(void **state)
{
	_cleanup_close_ int dir = open_at("beyond");
	_cleanup_close_ int stray = openat(dir, "9223372036854775807.set",
					   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	_cleanup_free_ uint64_t *ids = NULL;
	struct journal_head head = head_of("words"), read;
	struct change_set set = {0};
	uint64_t id;
	size_t n;

	(void)state;
	assert_true(stray >= 0);
	add(&set, 5, 60, 1);
	assert_int_equal(journal_add(dir, &head, &set, &id, NULL), 0);
	assert_int_equal(id, 1);
	assert_int_equal(journal_list(dir, &ids, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(journal_read(dir, ids[0], &read, NULL, NULL), 0);
	assert_int_equal(unlinkat(dir, "9223372036854775807.set", 0), 0);
	change_set_clear(&set);
}

static void this_boot_is_known(void **state)
{
	uint8_t a[JOURNAL_BOOT_MAX], b[JOURNAL_BOOT_MAX];
	static const uint8_t none[JOURNAL_BOOT_MAX];

	(void)state;
	assert_int_equal(journal_boot(a), 0);
	assert_int_equal(journal_boot(b), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, none, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(ended_early_tells_how_many_there_were),
		cmocka_unit_test(the_version_is_the_oldest_that_will_do),
		cmocka_unit_test(only_what_was_changed),
		cmocka_unit_test(a_socket_takes_three_bytes),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(entries_are_kept_and_the_oldest_go),
		cmocka_unit_test(what_others_may_write_is_not_read),
		cmocka_unit_test(a_name_beyond_all_counting_is_no_entry),
		cmocka_unit_test(this_boot_is_known),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("journal", tests, make_place, remove_place);
}
