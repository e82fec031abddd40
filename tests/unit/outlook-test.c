/* SPDX-License-Identifier: MIT */
/* The arithmetic of outlook.c against the model that it stands for. */
#include <netinet/tcp.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/macro.h"
#include "sockets/outlook.h"
#include "unit.h"

/* A fine tick, so that the model's roundings stay below what is compared. */
static const struct tcpkeep_kernel kernel = {1000, TCPKEEP_SYSCTLS_DEFAULT, 15, 0, 120000, 60};

static struct tcpkeep_settings on(int time_s, int intvl_s, int probes, int user_timeout_ms)
{
	return (struct tcpkeep_settings){TCPKEEP_ALL, true,   time_s,
					 intvl_s,     probes, user_timeout_ms};
}

static struct socket_row row_with(enum row_timer timer, int timer_ms, unsigned silence_ms)
{
	return (struct socket_row){
		.state = TCP_ESTABLISHED,
		.known = ROW_KNOWN_TIMER | ROW_KNOWN_SILENCE,
		.timer = (__u8)timer,
		.timer_ms = timer_ms,
		.silence_ms = silence_ms,
	};
}

/* When the model ends, or sends its first packet. */
static uint64_t model(const struct tcpkeep_situation *situation, bool to_the_end)
{
	struct tcpkeep_timeline timeline;
	struct tcpkeep_event event;

	assert_int_equal(tcpkeep_timeline_init(&timeline, situation, &kernel), 0);
	while (tcpkeep_timeline_next(&timeline, &event) > 0)
		if (!to_the_end || event.kind == TCPKEEP_EVENT_DEATH)
			break;
	return event.at_us;
}

static void assert_near(uint64_t a_us, uint64_t b_us, uint64_t tolerance_us)
{
	if (a_us > b_us + tolerance_us || b_us > a_us + tolerance_us)
		fail_msg("%llu us and %llu us", (unsigned long long)a_us, (unsigned long long)b_us);
}

static void idle_is_the_models(void **state)
{
	const struct tcpkeep_settings all[] = {
		on(60, 10, 6, 0),  on(7200, 75, 9, 0),    on(30, 5, 1, 0),    on(60, 10, 6, 90000),
		on(5, 3, 2, 1000), on(60, 10, 6, 100500), on(20, 30, 100, 0), on(2, 2, 1, 8000),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		for (int out = 0; out <= MIN(all[i].probes, 3); out++) {
			int timer_ms = out ? all[i].intvl_s * 700 : all[i].time_s * 300;
			unsigned silence_ms = out ? (unsigned)(all[i].time_s * 1000 +
							       (out - 1) * all[i].intvl_s * 1000 +
							       all[i].intvl_s * 300)
						  : (unsigned)all[i].time_s * 700;
			struct socket_row row = row_with(ROW_TIMER_KEEPALIVE, timer_ms, silence_ms);
			struct tcpkeep_situation situation = {
				.settings = all[i],
				.silence_us = silence_ms * 1000ULL,
				.probes_out = out,
				.timer_known = true,
				.timer_us = (uint64_t)timer_ms * 1000,
				.wheel = TCPKEEP_WHEEL_EARLIEST,
			};
			struct outlook outlook;

			row.probes_out = (__u8)out;
			outlook_of(&row, &all[i], &kernel, &outlook);
			assert_int_equal(outlook.kind,
					 out ? OUTLOOK_DEAD_UNLESS : OUTLOOK_FIRST_PROBE);
			/* Each step of the model is a tick late. */
			assert_near(outlook.in_us, model(&situation, out > 0), 150000);
		}
}

static void an_older_timer_is_armed_again_for_the_rest(void **state)
{
	struct tcpkeep_settings s = on(60, 10, 6, 0);
	struct socket_row row = row_with(ROW_TIMER_KEEPALIVE, 5000, 1000);
	struct outlook outlook;

	(void)state;
	outlook_of(&row, &s, &kernel, &outlook);
	assert_int_equal(outlook.kind, OUTLOOK_FIRST_PROBE);
	assert_int_equal(outlook.in_us, 59000000);
}

static void data_in_flight_is_the_models(void **state)
{
	static const int user_timeouts_ms[] = {0, 500, 3000, 30000, 1200000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(user_timeouts_ms); i++) {
		struct tcpkeep_settings s = on(60, 10, 6, user_timeouts_ms[i]);
		struct socket_row row = row_with(ROW_TIMER_RETRANSMIT, 200, 10);
		struct tcpkeep_situation situation = {
			.settings = s,
			.condition = TCPKEEP_CONDITION_IN_FLIGHT,
			.wheel = TCPKEEP_WHEEL_EARLIEST,
		};
		struct outlook outlook;

		outlook_of(&row, &s, &kernel, &outlook);
		assert_int_equal(outlook.kind, OUTLOOK_RETRANSMITS);
		assert_near(outlook.in_us, model(&situation, true), 100000);
	}
}

/* A program may set 24 days, and an operator timeouts of at most a second: two million of them lie
 * between. Of a million such sockets none may take milliseconds: counted one by one, these would
 * take minutes. */
static void a_long_user_timeout_takes_no_longer(void **state)
{
	const struct tcpkeep_kernel hasty = {1000, TCPKEEP_SYSCTLS_DEFAULT, 15, 0, 1000, 60};
	struct tcpkeep_settings s = on(60, 10, 6, INT32_MAX);
	struct socket_row row = row_with(ROW_TIMER_RETRANSMIT, 200, 10);
	struct outlook outlook;

	(void)state;
	for (int i = 0; i < 100000; i++)
		outlook_of(&row, &s, &hasty, &outlook);
	assert_true(outlook.in_us == (200 + (uint64_t)INT32_MAX) * 1000);
	/* Three lie behind: 400, 800 and 1000 ms after the first. */
	row.retransmits = 3;
	outlook_of(&row, &s, &hasty, &outlook);
	assert_true(outlook.in_us == (200 + (uint64_t)INT32_MAX - 2200) * 1000);
}

static void a_window_is_the_models(void **state)
{
	struct tcpkeep_settings s = on(60, 10, 6, 0);
	struct socket_row row = row_with(ROW_TIMER_WINDOW_PROBE, 200, 10);
	struct tcpkeep_situation situation = {
		.condition = TCPKEEP_CONDITION_ZERO_WINDOW,
		.wheel = TCPKEEP_WHEEL_EARLIEST,
	};
	struct outlook outlook;

	(void)state;
	outlook_of(&row, &s, &kernel, &outlook);
	assert_int_equal(outlook.kind, OUTLOOK_WINDOW);
	assert_true(outlook.in_us == TCPKEEP_NEVER);
	/* Two are out: 600 ms lie behind, the third timeout of 800 ms runs. */
	row.probes_out = 2;
	row.timer_ms = 800;
	situation.settings = s;
	outlook_of(&row, &s, &kernel, &outlook);
	assert_near(outlook.in_us + 600000, model(&situation, true), 100000);
	s.user_timeout_ms = 20000;
	situation.settings = s;
	outlook_of(&row, &s, &kernel, &outlook);
	assert_near(outlook.in_us + 600000, model(&situation, true), 100000);
}

static void words(void **state)
{
	static const struct {
		struct outlook outlook;
		const char *words;
	} cases[] = {
		{{OUTLOOK_FIRST_PROBE, 43900000}, "first probe in 43 s"},
		{{OUTLOOK_DEAD_UNLESS, 12000000}, "dead in 12 s unless answered"},
		{{OUTLOOK_NEVER, 0}, "never notices"},
		{{OUTLOOK_WINDOW, TCPKEEP_NEVER}, "waits for the reader"},
		{{OUTLOOK_GOES_AWAY, TCPKEEP_NEVER}, "goes away"},
		{{OUTLOOK_RETRANSMITS, 924600000}, "dead in 15m 24s unless acked"},
		{{OUTLOOK_FIRST_PROBE, 7199000000}, "first probe in 1h 59m"},
		{{OUTLOOK_FIRST_PROBE, 90000000000}, "first probe in 1d 1h"},
		{{OUTLOOK_FIRST_PROBE, TCPKEEP_NEVER}, "never probes"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[OUTLOOK_TEXT_MAX];

		*outlook_put(&cases[i].outlook, text) = '\0';
		assert_string_equal(text, cases[i].words);
	}
}

static void what_is_not_known_is_not_guessed(void **state)
{
	struct tcpkeep_settings nothing = {0}, off = {.fields = TCPKEEP_ON};
	struct socket_row row = row_with(ROW_TIMER_HIDDEN, 0, 0);
	struct outlook outlook;

	(void)state;
	outlook_of(&row, &nothing, &kernel, &outlook);
	assert_int_equal(outlook.kind, OUTLOOK_UNKNOWN);
	row.timer = ROW_TIMER_RETRANSMIT;
	outlook_of(&row, &nothing, &kernel, &outlook);
	assert_int_equal(outlook.kind, OUTLOOK_UNKNOWN);
	row.timer = ROW_TIMER_NONE;
	outlook_of(&row, &off, &kernel, &outlook);
	assert_int_equal(outlook.kind, OUTLOOK_NEVER);
	assert_false(detection_known(&nothing));
	assert_false(detection_known(&off));
	off.fields |= TCPKEEP_USER_TIMEOUT;
	assert_true(detection_known(&off));
}

static void detections_are_cached_by_all_that_they_depend_on(void **state)
{
	static struct detection_cache cache;
	struct tcpkeep_kernel other = kernel;
	const struct tcpkeep_detection *found;
	struct tcpkeep_detection expected;

	(void)state;
	other.retries2 = 5;
	for (int round = 0; round < 2; round++)
		for (int i = 1; i < 200; i++) {
			struct tcpkeep_settings s = on(i, 1 + i % 7, 1 + i % 5, i % 3 * 1000);
			const struct tcpkeep_kernel *k = i % 2 ? &kernel : &other;

			assert_int_equal(detection_of(&cache, &s, k, &found), 0);
			assert_int_equal(tcpkeep_detection(&s, k, &expected), 0);
			assert_memory_equal(found, &expected, sizeof(expected));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_is_the_models),
		cmocka_unit_test(an_older_timer_is_armed_again_for_the_rest),
		cmocka_unit_test(data_in_flight_is_the_models),
		cmocka_unit_test(a_long_user_timeout_takes_no_longer),
		cmocka_unit_test(a_window_is_the_models),
		cmocka_unit_test(words),
		cmocka_unit_test(what_is_not_known_is_not_guessed),
		cmocka_unit_test(detections_are_cached_by_all_that_they_depend_on),
	};

	return run_unit_tests("outlook", tests);
}
