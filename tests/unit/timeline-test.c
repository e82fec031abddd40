/* SPDX-License-Identifier: MIT */
/* The model against numbers that were measured on Linux 6.18 (HZ=250); tests/net holds it against
 * the kernel that runs. */
#include <errno.h>
#include <tcpkeep.h>

#include "base/macro.h"
#include "unit.h"

#define S(seconds) ((uint64_t)((seconds)*1000000.0))

static const struct tcpkeep_kernel hz250 = TCPKEEP_KERNEL_DEFAULT;

static struct tcpkeep_situation situation(const char *settings)
{
	struct tcpkeep_situation s = {.wheel = TCPKEEP_WHEEL_EARLIEST};

	assert_int_equal(tcpkeep_settings_parse(settings, TCPKEEP_SCOPE_SOCKET, &s.settings, NULL),
			 0);
	return s;
}

/* Runs to the end and returns how it ended; *ret_probes: how many packets asked the peer. */
static struct tcpkeep_event run(const struct tcpkeep_situation *s,
				const struct tcpkeep_kernel *kernel, unsigned *ret_asked)
{
	struct tcpkeep_timeline timeline;
	struct tcpkeep_event event;
	uint64_t last_us = 0;

	*ret_asked = 0;
	assert_int_equal(tcpkeep_timeline_init(&timeline, s, kernel), 0);
	for (unsigned i = 0; i < 1000 && tcpkeep_timeline_next(&timeline, &event) > 0; i++) {
		assert_true(event.at_us >= last_us);
		last_us = event.at_us;
		if (event.kind == TCPKEEP_EVENT_PROBE || event.kind == TCPKEEP_EVENT_RETRANSMIT ||
		    event.kind == TCPKEEP_EVENT_WINDOW_PROBE)
			++*ret_asked;
		if (event.kind == TCPKEEP_EVENT_DEATH)
			break;
	}
	return event;
}

static void the_wheel_rounds_up_and_never_down(void **state)
{
	(void)state;
	/* Level 0: the next tick; level 2 from 504 ticks on: multiples of 64. */
	assert_int_equal(tcpkeep_wheel_delay(1000, 0), 1);
	assert_int_equal(tcpkeep_wheel_delay(1000, 62), 63);
	assert_int_equal(tcpkeep_wheel_delay(1000, 63), 1064 - 1000);
	assert_int_equal(tcpkeep_wheel_delay(0, 504), 512);
	assert_int_equal(tcpkeep_wheel_delay(0, 750), 768);
	assert_int_equal(tcpkeep_wheel_delay(18, 750), 832 - 18);
	assert_int_equal(tcpkeep_wheel_latest(750), 750 + 64);
	/* 7200 s at HZ=250 may be 131 s late. */
	assert_int_equal(tcpkeep_wheel_latest(7200 * 250) - 7200 * 250, 32768);
	for (uint64_t delay = 1; delay < 40000000; delay += delay / 3 + 1)
		for (uint64_t now = 0; now < 5000000; now = now * 3 + 7) {
			uint64_t fires = tcpkeep_wheel_delay(now, delay);

			assert_in_range(fires, delay + 1, tcpkeep_wheel_latest(delay));
			/* Late by an eighth at most, but for the few ticks of the first levels. */
			assert_true((fires - delay) * 7 <= delay + 7);
		}
}

static void measured_deaths_lie_within_the_bounds(void **state)
{
	/* kernel-facts section 1: measured with a packet capture. */
	static const struct {
		const char *settings;
		unsigned probes;
		double measured_s;
	} rows[] = {
		{"on time=3 intvl=1 probes=3", 3, 6.21},
		{"on time=5 intvl=3 probes=2 user-timeout=1s", 1, 8.26},
		{"on time=2 intvl=2 probes=1 user-timeout=8s", 3, 8.07},
		{"on time=10 intvl=5 probes=1", 1, 15.17},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tcpkeep_situation s = situation(rows[i].settings);
		unsigned probes;
		struct tcpkeep_event event = run(&s, &hz250, &probes);

		assert_int_equal(event.kind, TCPKEEP_EVENT_DEATH);
		assert_int_equal(event.error, ETIMEDOUT);
		assert_int_equal(probes, rows[i].probes);
		assert_true(event.at_us <= S(rows[i].measured_s));
		s.wheel = TCPKEEP_WHEEL_LATEST;
		event = run(&s, &hz250, &probes);
		assert_true(event.at_us >= S(rows[i].measured_s));
		assert_int_equal(probes, rows[i].probes);
	}
}

static void data_in_flight_is_bounded_by_retransmission(void **state)
{
	static const struct {
		const char *settings;
		int retries2;
		unsigned rto_max_ms;
		double measured_s;
	} rows[] = {
		{"on", 3, 120000, 6.64},
		{"on", 5, 120000, 13.42},
		{"on", 5, 1000, 5.78},
		{"on user-timeout=3s", 15, 120000, 3.42},
		{"on user-timeout=500ms", 15, 120000, 0.92},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tcpkeep_kernel kernel = hz250;
		struct tcpkeep_situation s = situation(rows[i].settings);
		uint64_t least_us = TCPKEEP_NEVER, most_us = 0;

		kernel.retries2 = rows[i].retries2;
		kernel.rto_max_ms = rows[i].rto_max_ms;
		s.condition = TCPKEEP_CONDITION_IN_FLIGHT;
		s.first_timeout_ms = 410; /* measured: a tail loss probe went before it */
		s.wheel = TCPKEEP_WHEEL_EXACT;
		for (s.start_jiffies = 0; s.start_jiffies < 4096; s.start_jiffies++) {
			unsigned n;
			struct tcpkeep_event event = run(&s, &kernel, &n);

			assert_int_equal(event.error, ETIMEDOUT);
			least_us = MIN(least_us, event.at_us);
			most_us = MAX(most_us, event.at_us);
		}
		assert_true(least_us <= S(rows[i].measured_s));
		assert_true(most_us + S(0.01) >= S(rows[i].measured_s));
	}
}

static void a_peer_that_answers_lives_for_ever(void **state)
{
	struct tcpkeep_situation s = situation("on time=2 intvl=1 probes=2");
	struct tcpkeep_timeline timeline;
	struct tcpkeep_event event;

	(void)state;
	s.peer = TCPKEEP_PEER_ANSWERS;
	assert_int_equal(tcpkeep_timeline_init(&timeline, &s, &hz250), 0);
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(tcpkeep_timeline_next(&timeline, &event), 1);
		assert_int_equal(event.kind, TCPKEEP_EVENT_PROBE);
		assert_int_equal(event.count, 1);
		assert_int_equal(tcpkeep_timeline_next(&timeline, &event), 1);
		assert_int_equal(event.kind, TCPKEEP_EVENT_ANSWER);
	}
	/* A probe each two seconds, each at most an eighth late. */
	assert_in_range(event.at_us, S(1000), S(1130));
}

static void a_peer_that_returns_is_forgiven(void **state)
{
	struct tcpkeep_situation s = situation("on time=2 intvl=1 probes=3");
	struct tcpkeep_timeline timeline;
	struct tcpkeep_event event;
	static const enum tcpkeep_event_kind want[] = {
		TCPKEEP_EVENT_PROBE,  TCPKEEP_EVENT_PROBE, TCPKEEP_EVENT_PROBE,
		TCPKEEP_EVENT_ANSWER, TCPKEEP_EVENT_PROBE, TCPKEEP_EVENT_ANSWER,
	};

	(void)state;
	s.peer = TCPKEEP_PEER_RETURNS;
	s.returns_us = S(3.5);
	assert_int_equal(tcpkeep_timeline_init(&timeline, &s, &hz250), 0);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(tcpkeep_timeline_next(&timeline, &event), 1);
		assert_int_equal(event.kind, want[i]);
	}
}

static void a_reset_ends_it_at_the_first_probe(void **state)
{
	struct tcpkeep_situation s = situation("on time=2 intvl=1 probes=3");
	unsigned probes;
	struct tcpkeep_timeline timeline;
	struct tcpkeep_event event;

	(void)state;
	s.peer = TCPKEEP_PEER_RESETS;
	s.rtt_us = S(0.1);
	event = run(&s, &hz250, &probes);
	assert_int_equal(probes, 1);
	assert_int_equal(tcpkeep_timeline_init(&timeline, &s, &hz250), 0);
	assert_int_equal(tcpkeep_timeline_next(&timeline, &event), 1);
	assert_int_equal(tcpkeep_timeline_next(&timeline, &event), 1);
	assert_int_equal(event.kind, TCPKEEP_EVENT_RESET);
	assert_int_equal(event.error, ECONNRESET);
	assert_in_range(event.at_us, S(2.1), S(2.2));
	assert_int_equal(tcpkeep_timeline_next(&timeline, &event), 0);
	assert_int_equal(event.kind, TCPKEEP_EVENT_END);
	assert_true(event.at_us == TCPKEEP_NEVER);
}

static void the_sysctls_extremes_do_what_the_kernel_does(void **state)
{
	struct tcpkeep_kernel kernel = hz250;
	struct tcpkeep_situation s = situation("on");
	struct tcpkeep_event event;
	unsigned probes;

	(void)state;
	/* probes=0 kills at the idle time with no probe sent. */
	kernel.sysctls = (struct tcpkeep_sysctls){2, 1, 0};
	event = run(&s, &kernel, &probes);
	assert_int_equal(event.kind, TCPKEEP_EVENT_DEATH);
	assert_int_equal(probes, 0);
	assert_in_range(event.at_us, S(2), S(2.1));
	/* intvl=0 probes on each tick. */
	kernel.sysctls = (struct tcpkeep_sysctls){2, 0, 9};
	event = run(&s, &kernel, &probes);
	assert_int_equal(probes, 9);
	assert_in_range(event.at_us, S(2.036), S(2.1));
	/* time=-1 never probes. */
	kernel.sysctls = (struct tcpkeep_sysctls){-1, 1, 9};
	event = run(&s, &kernel, &probes);
	assert_int_equal(event.kind, TCPKEEP_EVENT_END);
	assert_int_equal(probes, 0);
	/* time=0 probes at once. */
	kernel.sysctls = (struct tcpkeep_sysctls){0, 1, 2};
	event = run(&s, &kernel, &probes);
	assert_int_equal(probes, 2);
	assert_in_range(event.at_us, S(2), S(2.1));
}

static void off_never_notices_when_idle(void **state)
{
	struct tcpkeep_situation s = situation("off time=2 intvl=1 probes=2");
	unsigned probes;

	(void)state;
	assert_int_equal(run(&s, &hz250, &probes).kind, TCPKEEP_EVENT_END);
	assert_int_equal(probes, 0);
}

static void a_live_socket_goes_on_from_where_it_stands(void **state)
{
	struct tcpkeep_situation s = situation("on time=60 intvl=10 probes=3");
	struct tcpkeep_event event;
	unsigned probes;

	(void)state;
	s.silence_us = S(75);
	s.probes_out = 2;
	s.timer_known = true;
	s.timer_us = S(5);
	event = run(&s, &hz250, &probes);
	assert_int_equal(probes, 1);
	assert_in_range(event.at_us, S(15), S(16));
}

static void an_orphan_in_fin_wait2_is_freed(void **state)
{
	struct tcpkeep_situation s = situation("on time=2 intvl=1 probes=2");
	struct tcpkeep_timeline timeline;
	struct tcpkeep_kernel kernel = hz250;
	struct tcpkeep_event event;

	(void)state;
	s.condition = TCPKEEP_CONDITION_ORPHAN_FIN_WAIT2;
	kernel.fin_timeout_s = 5;
	assert_int_equal(tcpkeep_timeline_init(&timeline, &s, &kernel), 0);
	assert_int_equal(tcpkeep_timeline_next(&timeline, &event), 1);
	assert_int_equal(event.kind, TCPKEEP_EVENT_FREED);
	assert_in_range(event.at_us, S(5), S(5.7));
}

static void the_detection_times_are_worst_cases(void **state)
{
	struct tcpkeep_settings plain = TCPKEEP_SETTINGS(60, 10, 6);
	struct tcpkeep_settings bounded = plain;
	struct tcpkeep_detection detection;

	(void)state;
	assert_int_equal(tcpkeep_detection(&plain, &hz250, &detection), 0);
	assert_in_range(detection.idle_us, S(120), S(135));
	assert_in_range(detection.in_flight_us, S(924.6), S(1080));
	assert_in_range(detection.zero_window_us, S(924.6), S(1045));
	assert_true(detection.zero_window_answered_us == TCPKEEP_NEVER);

	bounded.fields |= TCPKEEP_USER_TIMEOUT;
	bounded.user_timeout_ms = 120000;
	assert_int_equal(tcpkeep_detection(&bounded, &hz250, &detection), 0);
	assert_in_range(detection.idle_us, S(120), S(135));
	assert_in_range(detection.in_flight_us, S(120), S(125));
	assert_in_range(detection.zero_window_answered_us, S(120), S(125));

	plain.on = false;
	assert_int_equal(tcpkeep_detection(&plain, &hz250, &detection), 0);
	assert_true(detection.idle_us == TCPKEEP_NEVER);
	assert_true(tcpkeep_probe_period_us(&plain, &hz250) == TCPKEEP_NEVER);
}

/* No phase of the wheel may be worse than the worst case: tried through the exact wheel. */
static void no_exact_run_is_worse_than_the_worst_case(void **state)
{
	static const char *const texts[] = {
		"on time=3 intvl=3 probes=2",
		"on time=3 intvl=3 probes=2 user-timeout=9200ms",
		"on time=7 intvl=2 probes=3 user-timeout=11s",
		"on time=60 intvl=10 probes=6 user-timeout=100s",
		"on time=32767 intvl=32767 probes=2",
	};
	static const enum tcpkeep_condition conditions[] = {
		TCPKEEP_CONDITION_IDLE, TCPKEEP_CONDITION_IN_FLIGHT, TCPKEEP_CONDITION_ZERO_WINDOW};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (size_t c = 0; c < ARRAY_SIZE(conditions); c++) {
			struct tcpkeep_situation s = situation(texts[i]);
			struct tcpkeep_detection d;
			unsigned n;

			s.condition = conditions[c];
			s.wheel = TCPKEEP_WHEEL_EXACT;
			assert_int_equal(tcpkeep_detection(&s.settings, &hz250, &d), 0);
			for (s.start_jiffies = 0; s.start_jiffies < 70000; s.start_jiffies += 61) {
				uint64_t worst_us = c == 0   ? d.idle_us
						    : c == 1 ? d.in_flight_us
							     : d.zero_window_us;

				assert_in_range(run(&s, &hz250, &n).at_us, 1, worst_us);
			}
		}
}

static uint64_t random_state = 88172645463325252ULL;

static uint64_t random_between(uint64_t low, uint64_t high)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return low + random_state % (high - low + 1);
}

/* Few of the high values, as in life. */
static int random_small(int max)
{
	return (int)random_between(1, random_between(1, (uint64_t)max));
}

static uint64_t exact_death(struct tcpkeep_situation *s, const struct tcpkeep_kernel *kernel)
{
	struct tcpkeep_timeline timeline;
	struct tcpkeep_event event;

	s->wheel = TCPKEEP_WHEEL_EXACT;
	s->start_jiffies = random_between(0, 1U << 24);
	assert_int_equal(tcpkeep_timeline_init(&timeline, s, kernel), 0);
	while (tcpkeep_timeline_next(&timeline, &event) > 0 && event.kind != TCPKEEP_EVENT_DEATH)
		;
	return event.at_us;
}

/* The same over settings and kernels that nobody chose. */
static void no_random_run_is_worse_than_the_worst_case(void **state)
{
	static const unsigned hz[] = {100, 250, 300, 1000};

	(void)state;
	for (int i = 0; i < 4000; i++) {
		struct tcpkeep_situation s = {.settings = TCPKEEP_SETTINGS(1, 1, 1)};
		struct tcpkeep_kernel kernel = hz250;
		struct tcpkeep_detection d;

		kernel.hz = hz[random_between(0, 3)];
		kernel.retries2 = (int)random_between(0, 30);
		kernel.rto_max_ms = (unsigned)random_between(1000, 120000);
		s.settings.time_s = random_small(TCPKEEP_TIME_MAX_S);
		s.settings.intvl_s = random_small(1000);
		s.settings.probes = random_small(TCPKEEP_PROBES_MAX);
		if (i % 2) {
			s.settings.fields |= TCPKEEP_USER_TIMEOUT;
			s.settings.user_timeout_ms = random_small(1200000);
		}
		assert_int_equal(tcpkeep_detection(&s.settings, &kernel, &d), 0);
		for (int j = 0; j < 4; j++) {
			s.peer = TCPKEEP_PEER_SILENT;
			s.condition = TCPKEEP_CONDITION_IDLE;
			assert_true(exact_death(&s, &kernel) <= d.idle_us);
			s.condition = TCPKEEP_CONDITION_IN_FLIGHT;
			assert_true(exact_death(&s, &kernel) <= d.in_flight_us);
			s.condition = TCPKEEP_CONDITION_ZERO_WINDOW;
			assert_true(exact_death(&s, &kernel) <= d.zero_window_us);
			s.peer = TCPKEEP_PEER_ANSWERS;
			if (i % 2)
				assert_true(exact_death(&s, &kernel) <= d.zero_window_answered_us);
		}
	}
}

static void the_period_is_the_longer_of_time_and_intvl(void **state)
{
	const struct tcpkeep_settings slow_intvl = TCPKEEP_SETTINGS(60, 75, 6);
	const struct tcpkeep_settings usual = TCPKEEP_SETTINGS(60, 10, 6);
	const struct tcpkeep_settings asks = {.fields = TCPKEEP_ON, .on = true};

	(void)state;
	assert_int_equal(tcpkeep_probe_period_us(&slow_intvl, &hz250), S(75));
	assert_int_equal(tcpkeep_probe_period_us(&usual, &hz250), S(60));
	assert_int_equal(tcpkeep_probe_period_us(&asks, &hz250), S(7200));
}

static void nonsense_from_the_kernel_is_refused(void **state)
{
	struct tcpkeep_situation s = situation("on");
	struct tcpkeep_kernel kernel = hz250;
	struct tcpkeep_timeline timeline;

	(void)state;
	kernel.hz = 0;
	assert_int_equal(tcpkeep_timeline_init(&timeline, &s, &kernel), -EINVAL);
	kernel = hz250;
	kernel.retries2 = INT32_MAX;
	assert_int_equal(tcpkeep_timeline_init(&timeline, &s, &kernel), -EINVAL);
	s.probes_out = INT32_MAX;
	assert_int_equal(tcpkeep_timeline_init(&timeline, &s, &hz250), -EINVAL);
	s.probes_out = 0;
	s.timer_us = UINT64_MAX;
	assert_int_equal(tcpkeep_timeline_init(&timeline, &s, &hz250), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_wheel_rounds_up_and_never_down),
		cmocka_unit_test(measured_deaths_lie_within_the_bounds),
		cmocka_unit_test(data_in_flight_is_bounded_by_retransmission),
		cmocka_unit_test(a_peer_that_answers_lives_for_ever),
		cmocka_unit_test(a_peer_that_returns_is_forgiven),
		cmocka_unit_test(a_reset_ends_it_at_the_first_probe),
		cmocka_unit_test(the_sysctls_extremes_do_what_the_kernel_does),
		cmocka_unit_test(off_never_notices_when_idle),
		cmocka_unit_test(a_live_socket_goes_on_from_where_it_stands),
		cmocka_unit_test(an_orphan_in_fin_wait2_is_freed),
		cmocka_unit_test(the_detection_times_are_worst_cases),
		cmocka_unit_test(no_exact_run_is_worse_than_the_worst_case),
		cmocka_unit_test(no_random_run_is_worse_than_the_worst_case),
		cmocka_unit_test(the_period_is_the_longer_of_time_and_intvl),
		cmocka_unit_test(nonsense_from_the_kernel_is_refused),
	};

	return run_unit_tests("timeline", tests);
}
