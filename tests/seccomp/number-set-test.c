/* SPDX-License-Identifier: MIT */
/* The set of numbers: what it keeps, what it forgets, many threads at once. */
#include "inject/number-set.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/macro.h"
#include "unit/unit.h"

static struct number_set set;

static int empty(void **state)
{
	(void)state;
	set = (struct number_set){0};
	return 0;
}

static void test_kept(void **state)
{
	(void)state;
	assert_false(number_set_has(&set, 1));
	for (uint64_t number = 1; number <= 1000; number++)
		number_set_add(&set, number);
	for (uint64_t number = 1; number <= 1000; number++)
		assert_true(number_set_has(&set, number));
	assert_false(number_set_has(&set, 1001));
	assert_true(number_set_remove(&set, 500));
	assert_false(number_set_remove(&set, 500));
	assert_false(number_set_has(&set, 500));
	assert_true(number_set_has(&set, 499) && number_set_has(&set, 501));
}

static void test_twice(void **state)
{
	(void)state;
	number_set_add(&set, 7);
	number_set_add(&set, 7);
	assert_true(number_set_remove(&set, 7));
	assert_false(number_set_has(&set, 7));
}

/* Full, it forgets old ones and never the one that was just added. */
static void test_full(void **state)
{
	size_t kept = 0;

	(void)state;
	for (uint64_t number = 1; number <= 4 * NUMBER_SET_SIZE; number++) {
		number_set_add(&set, number);
		assert_true(number_set_has(&set, number));
	}
	for (uint64_t number = 1; number <= 4 * NUMBER_SET_SIZE; number++)
		kept += number_set_has(&set, number);
	assert_true(kept > NUMBER_SET_SIZE / 2 && kept <= NUMBER_SET_SIZE);
}

static void *add_and_remove(void *userdata)
{
	uint64_t first = *(const uint64_t *)userdata;

	for (uint64_t number = first; number < first + 1000; number++) {
		number_set_add(&set, number);
		if (number % 2 && !number_set_remove(&set, number))
			abort();
	}
	return NULL;
}

static void test_threads(void **state)
{
	static uint64_t firsts[] = {1000000, 2000000, 3000000, 4000000};
	pthread_t threads[ARRAY_SIZE(firsts)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(firsts); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_and_remove, &firsts[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(firsts); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(firsts); i++)
		for (uint64_t number = firsts[i]; number < firsts[i] + 1000; number++)
			assert_int_equal(number_set_has(&set, number), number % 2 == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_kept, empty),
		cmocka_unit_test_setup(test_twice, empty),
		cmocka_unit_test_setup(test_full, empty),
		cmocka_unit_test_setup(test_threads, empty),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("number-set", tests, NULL, NULL);
}
