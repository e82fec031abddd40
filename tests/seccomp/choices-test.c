/* SPDX-License-Identifier: MIT */
/* The memory of sockets that were turned off: what it keeps, what it forgets, many threads at once.
 */
#include "inject/choices.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/macro.h"
#include "unit/unit.h"

static struct choices choices;

static int empty(void **state)
{
	(void)state;
	choices = (struct choices){0};
	return 0;
}

static void test_kept(void **state)
{
	(void)state;
	assert_false(choices_has(&choices, 1));
	for (uint64_t cookie = 1; cookie <= 1000; cookie++)
		choices_add(&choices, cookie);
	for (uint64_t cookie = 1; cookie <= 1000; cookie++)
		assert_true(choices_has(&choices, cookie));
	assert_false(choices_has(&choices, 1001));
	assert_true(choices_remove(&choices, 500));
	assert_false(choices_remove(&choices, 500));
	assert_false(choices_has(&choices, 500));
	assert_true(choices_has(&choices, 499) && choices_has(&choices, 501));
}

static void test_twice(void **state)
{
	(void)state;
	choices_add(&choices, 7);
	choices_add(&choices, 7);
	assert_true(choices_remove(&choices, 7));
	assert_false(choices_has(&choices, 7));
}

/* Full, it forgets old ones and never the one that was just added. */
static void test_full(void **state)
{
	size_t kept = 0;

	(void)state;
	for (uint64_t cookie = 1; cookie <= 4 * CHOICES_SIZE; cookie++) {
		choices_add(&choices, cookie);
		assert_true(choices_has(&choices, cookie));
	}
	for (uint64_t cookie = 1; cookie <= 4 * CHOICES_SIZE; cookie++)
		kept += choices_has(&choices, cookie);
	assert_true(kept > CHOICES_SIZE / 2 && kept <= CHOICES_SIZE);
}

static void *add_and_remove(void *userdata)
{
	uint64_t first = *(const uint64_t *)userdata;

	for (uint64_t cookie = first; cookie < first + 1000; cookie++) {
		choices_add(&choices, cookie);
		if (cookie % 2 && !choices_remove(&choices, cookie))
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
		for (uint64_t cookie = firsts[i]; cookie < firsts[i] + 1000; cookie++)
			assert_int_equal(choices_has(&choices, cookie), cookie % 2 == 0);
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
	return cmocka_run_group_tests_name("choices", tests, NULL, NULL);
}
