/* SPDX-License-Identifier: MIT */
/* What a change does to one socket's timer, as arithmetic. What the kernel makes of it:
 * tests/net/set-*. */
#include "base/macro.h"
#include "sockets/change.h"
#include "unit.h"

static const struct change_values after = {.time_s = 60, .intvl_s = 10, .probes = 6, .on = 1};

static void the_timer_after_a_change(void **state)
{
	static const struct {
		uint32_t silence_ms, written, mode, fires_ms;
		bool on;
	} cases[] = {
		/* Credited; a full time for what is silent for longer, or probed now. */
		{20000, CHANGE_TIME, 0, 40000, true},
		{60000, CHANGE_TIME, 0, 60000, true},
		{60000, CHANGE_TIME, CHANGE_MODE_NOW, 0, true},
		{20000, CHANGE_TIME, CHANGE_MODE_NOW, 40000, true},
		/* No time is written: it stays where it is. */
		{20000, CHANGE_PROBES, 0, 777, true},
		/* Turned on. */
		{20000, CHANGE_ON | CHANGE_TIME, 0, 60000, false},
		{20000, CHANGE_ON | CHANGE_TIME, CHANGE_MODE_NOW, 40000, false},
		/* Under a pace: from its own change on, where a time is written. */
		{20000, CHANGE_TIME, CHANGE_MODE_FRESH, 60000, true},
		{20000, CHANGE_PROBES, CHANGE_MODE_FRESH, 777, true},
		{20000, CHANGE_TIME, CHANGE_MODE_FRESH | CHANGE_MODE_NOW, 60000, true},
		{60000, CHANGE_TIME, CHANGE_MODE_FRESH | CHANGE_MODE_NOW, 0, true},
		{20000, CHANGE_ON | CHANGE_TIME, CHANGE_MODE_FRESH | CHANGE_MODE_NOW, 60000, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct change_standing now = {
			.silence_ms = cases[i].silence_ms, .due_ms = 777, .on = cases[i].on};

		assert_int_equal(change_fires_in_ms(&now, &after, cases[i].written, cases[i].mode),
				 cases[i].fires_ms);
	}
}

static void a_silence_of_weeks_does_not_wrap_round(void **state)
{
	const struct change_standing now = {.silence_ms = UINT32_MAX, .probes_out = 6, .on = 1};
	const struct change_standing stalled = {
		.stalled_ms = UINT32_MAX, .due_ms = 1000, .waits = CHANGE_WAIT_RETRANSMIT, .on = 1};
	struct change_values timeout = after;

	(void)state;
	assert_true(change_kills(&now, &after, CHANGE_TIME, 0));
	timeout.user_timeout_ms = 60000;
	assert_true(change_kills(&stalled, &timeout, CHANGE_USER_TIMEOUT, 0));
}

/* A full time from now on is longer than what is credited: what is killed by it has to be known. */
static void a_pace_that_would_pass_the_user_timeout_kills(void **state)
{
	const struct change_standing now = {.silence_ms = 50000, .probes_out = 1, .on = 1};
	struct change_values timeout = after;

	(void)state;
	timeout.user_timeout_ms = 100000;
	assert_false(change_kills(&now, &timeout, CHANGE_TIME, 0));
	assert_true(change_kills(&now, &timeout, CHANGE_TIME, CHANGE_MODE_FRESH));
}

static void what_a_socket_survives(void **state)
{
	struct change_values values = after;

	(void)state;
	assert_int_equal(change_values_tolerate(&values), 6);
	/* It replaces the count: the first probe is lost, the second one is never sent. */
	values.user_timeout_ms = 5000;
	assert_int_equal(change_values_tolerate(&values), 1);
	values.user_timeout_ms = 3600000;
	assert_int_equal(change_values_tolerate(&values), TCPKEEP_PROBES_MAX);
	/* 150 s, of which the wheel may take 17: 60 s, and eight times ten. */
	values.user_timeout_ms = 150000;
	assert_int_equal(change_values_tolerate(&values), 8);
}

/* Only SO_KEEPALIVE and TCP_KEEPIDLE arm a timer: net/ipv4/tcp.c. */
static void what_moves_a_timer_and_what_burdens(void **state)
{
	struct change_kind kind = {.effective = after};

	(void)state;
	kind.wanted = (struct change_values){.fields = CHANGE_PROBES, .probes = 9};
	assert_false(change_kind_burdens(&kind));
	kind.wanted.probes = 3;
	assert_true(change_kind_burdens(&kind));
	kind.wanted =
		(struct change_values){.fields = CHANGE_USER_TIMEOUT, .user_timeout_ms = 5000};
	assert_true(change_kind_burdens(&kind));
	kind.wanted = (struct change_values){.fields = CHANGE_INTVL, .intvl_s = 1};
	assert_true(change_kind_burdens(&kind));
	assert_false(change_kind_moves(&kind));
	kind.wanted = (struct change_values){.fields = CHANGE_TIME, .time_s = 100};
	assert_false(change_kind_burdens(&kind));
	assert_true(change_kind_moves(&kind));
	kind.wanted.time_s = 10;
	assert_true(change_kind_burdens(&kind));
	kind.flags = CHANGE_LISTENS;
	assert_false(change_kind_burdens(&kind));
	assert_false(change_kind_moves(&kind));
	kind.flags = 0;
	kind.wanted = (struct change_values){.fields = CHANGE_ON};
	assert_false(change_kind_burdens(&kind));
	assert_false(change_kind_moves(&kind));
	kind.effective.on = 0;
	kind.wanted.on = 1;
	assert_true(change_kind_burdens(&kind));
	assert_true(change_kind_moves(&kind));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_timer_after_a_change),
		cmocka_unit_test(a_silence_of_weeks_does_not_wrap_round),
		cmocka_unit_test(a_pace_that_would_pass_the_user_timeout_kills),
		cmocka_unit_test(what_a_socket_survives),
		cmocka_unit_test(what_moves_a_timer_and_what_burdens),
	};

	return run_unit_tests("change", tests);
}
