/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "sockets/owners.h"
#include "unit.h"

#define MANY      1000000
#define PROCESSES 500

/* Those of the last key; the list is as long as the longest so far. */
static struct owner_list list;

static size_t find(const struct owners *owners, uint64_t key)
{
	size_t n = SIZE_MAX;

	assert_true(owners_find(owners, key, &list, &n) == 0);
	return n;
}

static struct owners *fresh(void)
{
	struct owners *owners;

	assert_int_equal(owners_new(&owners), 0);
	return owners;
}

static void one_socket_has_its_owner(void **state)
{
	_cleanup_(owners_cleanup) struct owners *owners = fresh();

	(void)state;
	assert_int_equal(find(owners, 7), 0);
	assert_int_equal(owners_add(owners, 7, 100, 3), 0);
	assert_int_equal(owners_set_program(owners, 100, "redis-server"), 0);
	assert_int_equal(find(owners, 7), 1);
	assert_int_equal(list.at[0].pid, 100);
	assert_int_equal(list.at[0].fd, 3);
	assert_string_equal(list.at[0].program, "redis-server");
	assert_int_equal(find(owners, 8), 0);
}

/* Keys are whatever the kernel gives: zero and both ends of the range are keys like others. */
static void every_key_is_a_key(void **state)
{
	static const uint64_t keys[] = {0, 1, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
	_cleanup_(owners_cleanup) struct owners *owners = fresh();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_int_equal(owners_add(owners, keys[i], (int)i + 1, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		assert_int_equal(find(owners, keys[i]), 1);
		assert_int_equal(list.at[0].pid, (int)i + 1);
	}
}

static void several_owners_come_ordered(void **state)
{
	static const struct {
		int pid, fd;
	} added[] = {{30, 5}, {10, 9}, {20, 1}, {10, 2}, {30, 4}, {20, 0}}, /* as they come */
		ordered[] = {{10, 2}, {10, 9}, {20, 0}, {20, 1}, {30, 4}, {30, 5}};
	_cleanup_(owners_cleanup) struct owners *owners = fresh();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(added); i++)
		assert_int_equal(owners_add(owners, 42, added[i].pid, added[i].fd), 0);
	owners_set_program(owners, 20, "twenty");
	assert_int_equal(find(owners, 42), ARRAY_SIZE(ordered));
	for (size_t i = 0; i < ARRAY_SIZE(ordered); i++) {
		assert_int_equal(list.at[i].pid, ordered[i].pid);
		assert_int_equal(list.at[i].fd, ordered[i].fd);
		assert_string_equal(list.at[i].program, ordered[i].pid == 20 ? "twenty" : "");
	}
}

/* Threads without a leader may tell the same descriptor, each of them. */
static void what_is_told_twice_is_there_once(void **state)
{
	static const int pids[] = {7, 7, 3, 7, 3};
	_cleanup_(owners_cleanup) struct owners *owners = fresh();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		assert_int_equal(owners_add(owners, 42, pids[i], 5), 0);
	assert_int_equal(find(owners, 42), 2);
	assert_int_equal(list.at[0].pid, 3);
	assert_int_equal(list.at[1].pid, 7);
}

static void names_are_cut_never_overrun(void **state)
{
	static const char full[16] = {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h',
				      'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p'};
	_cleanup_(owners_cleanup) struct owners *owners = fresh();

	(void)state;
	owners_add(owners, 1, 1, 1);
	owners_set_program(owners, 1, full);
	assert_int_equal(find(owners, 1), 1);
	assert_string_equal(list.at[0].program, "abcdefghijklmno");
	/* exec() meanwhile: nothing of the longer name stays. */
	owners_set_program(owners, 1, "\033[31m\n");
	find(owners, 1);
	assert_string_equal(list.at[0].program, "\033[31m\n");
	assert_int_equal(list.at[0].program[15], 0);
}

static void what_is_no_descriptor_is_refused(void **state)
{
	_cleanup_(owners_cleanup) struct owners *owners = fresh();

	(void)state;
	assert_int_equal(owners_add(owners, 1, 0, 1), -EINVAL);
	assert_int_equal(owners_add(owners, 1, 1, -1), -EINVAL);
	assert_int_equal(owners_set_program(owners, 0, "x"), -EINVAL);
	assert_int_equal(owners_count(owners), 0);
}

/* A pool of workers that share one listener: one key with all of them. */
static void a_thousand_owners_of_one_socket(void **state)
{
	_cleanup_(owners_cleanup) struct owners *owners = fresh();

	(void)state;
	for (int pid = 1000; pid > 0; pid--) {
		assert_int_equal(owners_add(owners, 5, pid, 3), 0);
		assert_int_equal(owners_add(owners, 1000 + (uint64_t)pid, pid, 4), 0);
	}
	assert_int_equal(find(owners, 5), 1000);
	for (int i = 0; i < 3; i++)
		assert_int_equal(list.at[i].pid, i + 1);
	for (int pid = 1; pid <= 1000; pid++) {
		assert_int_equal(find(owners, 1000 + (uint64_t)pid), 1);
		assert_int_equal(list.at[0].pid, pid);
	}
}

/* One listener with all the descriptors that a process may open, and its children: a search for
 * each of them, along all the others, took minutes. */
static void two_million_descriptors_of_one_socket(void **state)
{
	_cleanup_(owners_cleanup) struct owners *owners = fresh();

	(void)state;
	for (int pid = 100; pid > 0; pid--)
		for (int fd = 0; fd < 20000; fd++)
			assert_true(owners_add(owners, 5, pid, fd) == 0);
	assert_int_equal(owners_add(owners, 6, 1, 20000), 0);
	assert_int_equal(owners_count(owners), 2000001);
	assert_int_equal(find(owners, 6), 1);
	assert_int_equal(find(owners, 5), 2000000);
	for (int i = 0; i < 2000000; i++)
		assert_true(list.at[i].pid == 1 + i / 20000 && list.at[i].fd == i % 20000);
}

/* Numbered as the kernel numbers: inodes and cookies count up, with gaps. */
static uint64_t key_of(int i)
{
	return 20000 + (uint64_t)i * 3;
}

static void a_million_sockets_stay_small(void **state)
{
	_cleanup_(owners_cleanup) struct owners *owners = fresh();

	(void)state;
	for (int i = 0; i < MANY; i++) {
		assert_true(owners_add(owners, key_of(i), 1 + i / (MANY / PROCESSES), i) == 0);
		/* The bound holds at any moment of the growth. */
		if (i > 10000 && i % 1000 == 0)
			assert_in_range(owners_bytes(owners) / owners_count(owners), 16, 41);
	}
	for (int pid = 1; pid <= PROCESSES; pid++) {
		char name[16];

		snprintf(name, sizeof(name), "worker-%d", pid);
		assert_int_equal(owners_set_program(owners, pid, name), 0);
	}
	assert_int_equal(owners_count(owners), MANY);
	assert_in_range(owners_bytes(owners), 16 * MANY, 40 * MANY);
	for (int i = 0; i < MANY; i++) {
		assert_true(find(owners, key_of(i)) == 1);
		assert_true(list.at[0].fd == i && list.at[0].pid == 1 + i / (MANY / PROCESSES));
	}
	assert_string_equal(list.at[0].program, "worker-500");
	for (int i = 0; i < MANY; i++)
		assert_true(find(owners, key_of(i) + 1) == 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_socket_has_its_owner),
		cmocka_unit_test(every_key_is_a_key),
		cmocka_unit_test(several_owners_come_ordered),
		cmocka_unit_test(what_is_told_twice_is_there_once),
		cmocka_unit_test(names_are_cut_never_overrun),
		cmocka_unit_test(what_is_no_descriptor_is_refused),
		cmocka_unit_test(a_thousand_owners_of_one_socket),
		cmocka_unit_test(two_million_descriptors_of_one_socket),
		cmocka_unit_test(a_million_sockets_stay_small),
	};
	int r = run_unit_tests("owners", tests);

	owner_list_clear(&list);
	return r;
}
