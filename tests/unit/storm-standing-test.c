/* SPDX-License-Identifier: MIT */
/* What probes already, counted from rows: the ticks against the wheel, the bounds, the unknown. */
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/macro.h"
#include "sockets/change.h"
#include "sockets/storm-standing.h"
#include "sockets/storm.h"
#include "unit.h"

#define HZ  250
#define NOW 100000003u

static struct change_values values_of(unsigned time_s, unsigned intvl_s, unsigned probes)
{
	return (struct change_values){
		.time_s = (uint16_t)time_s,
		.intvl_s = (uint16_t)intvl_s,
		.probes = (uint8_t)probes,
		.on = 1,
	};
}

/* A socket whose timer was armed so many ticks ago, with a delay; silent since so many. */
static struct socket_row row_of(uint32_t armed_ago, uint32_t delay, uint32_t silent)
{
	struct socket_row row = {
		.state = TCP_ESTABLISHED,
		.known = ROW_KNOWN_TIMER | ROW_KNOWN_SILENCE | ROW_KNOWN_BUCKET,
		.timer = ROW_TIMER_KEEPALIVE,
		.timer_ms = (int32_t)(delay - armed_ago) * 1000 / HZ,
		.silence_ms = silent * 1000 / HZ,
		.expires_tick = NOW - armed_ago + delay,
	};

	for (uint64_t width = tcpkeep_wheel_latest(delay) - delay; width > 1; width /= 8)
		row.timer_level++;
	return row;
}

static struct storm_standing *standing_of(const struct socket_row *row,
					  const struct change_values *values)
{
	struct storm_standing *standing = storm_standing_new(HZ);

	assert_non_null(standing);
	assert_int_equal(storm_standing_add(standing, row, values, false), 0);
	storm_standing_seal(standing);
	return standing;
}

static void finds_the_tick_of_the_next_probe(void **state)
{
	(void)state;
	srandom(1);
	for (unsigned i = 0; i < 1000; i++) {
		unsigned time_s = 1 + (unsigned)random() % 7200;
		uint32_t time = time_s * HZ;
		/* Silent since before it was armed, as after turning on; or for less. */
		uint32_t armed_ago = (uint32_t)random() % time;
		uint32_t silent = i % 2 ? armed_ago + (uint32_t)random() % 1000
					: (uint32_t)random() % (armed_ago + 1);
		struct change_values values = values_of(time_s, 10, 6);
		struct socket_row row = row_of(armed_ago, time, silent);
		struct storm_standing *standing = standing_of(&row, &values);
		uint32_t armed = NOW - armed_ago;
		uint64_t tick = armed + tcpkeep_wheel_delay(armed, time);
		uint64_t elapsed = tick - NOW + silent;

		if (elapsed < time)
			tick += tcpkeep_wheel_delay(tick, time - elapsed);
		assert_int_equal(standing->n_bins, 1);
		assert_int_equal(standing->now, NOW);
		assert_int_equal(standing->bins[0].tick, tick);
		free(standing);
	}
}

static void passes_over_what_does_not_probe(void **state)
{
	struct change_values values = values_of(60, 10, 6), off = values;
	struct storm_standing *standing = storm_standing_new(HZ);
	struct socket_row row = row_of(10, 60 * HZ, 10);

	(void)state;
	off.on = 0;
	storm_standing_add(standing, &row, &off, false);
	row.state = TCP_LISTEN;
	storm_standing_add(standing, &row, &values, false);
	row.state = TCP_FIN_WAIT2;
	row.flags = ROW_ORPHAN;
	storm_standing_add(standing, &row, &values, false);
	assert_int_equal(standing->sockets, 0);
	free(standing);
}

/* Sums stay; values are only lowered. */
static void any_number_of_kinds_and_ticks_fits(void **state)
{
	struct storm_standing *standing = storm_standing_new(HZ);
	uint64_t bins = 0, kinds = 0;

	(void)state;
	srandom(2);
	for (unsigned i = 0; i < 50000; i++) {
		struct change_values values =
			values_of(100 + (unsigned)random() % 5000, 7 + (unsigned)random() % 90,
				  3 + (unsigned)random() % 100);
		uint32_t time = values.time_s * HZ, ago = (uint32_t)random() % time;
		struct socket_row row = row_of(ago, time, (uint32_t)random() % time);

		assert_int_equal(storm_standing_add(standing, &row, &values, i % 3 == 0), 0);
	}
	storm_standing_seal(standing);
	assert_in_range(standing->n_kinds, 2, STORM_STANDING_KINDS);
	assert_in_range(standing->n_bins, 100, STORM_STANDING_BINS);
	for (unsigned i = 0; i < standing->n_bins; i++) {
		bins += standing->bins[i].sockets;
		assert_true(standing->bins[i].kind < standing->n_kinds);
	}
	for (unsigned i = 0; i < standing->n_kinds; i++) {
		kinds += standing->kinds[i].sockets;
		assert_in_range(standing->kinds[i].time_s, 64, 5100);
		assert_in_range(standing->kinds[i].intvl_s, 1, 97);
		assert_in_range(standing->kinds[i].tolerates, 1, 103);
	}
	assert_int_equal(bins, 50000);
	assert_int_equal(kinds, 50000);
	free(standing);
}

/* A spread of our own: a few kinds, near to what they were. */
static void a_spread_becomes_a_few_kinds(void **state)
{
	struct storm_standing *standing = storm_standing_new(HZ);

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		struct change_values values = values_of(450 + i % 151, 60 + i / 151 % 19, 6);
		struct socket_row row = row_of(i, values.time_s * HZ, i);

		assert_int_equal(storm_standing_add(standing, &row, &values, false), 0);
	}
	for (unsigned i = 0; i < standing->n_kinds; i++) {
		assert_in_range(standing->kinds[i].time_s, 400, 600);
		assert_in_range(standing->kinds[i].intvl_s, 56, 78);
	}
	free(standing);
}

/* What nobody tells when it fires meets the heaviest burst. */
static void the_unknown_is_taken_for_the_worst(void **state)
{
	struct storm_standing *standing = storm_standing_new(HZ);
	struct change_values values = values_of(60, 10, 6);
	struct socket_row row, unknown = {.state = TCP_ESTABLISHED, .timer = ROW_TIMER_HIDDEN};
	uint32_t heaviest, sum = 0;

	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		row = row_of(i < 20 ? 5000 : 100, 60 * HZ, 6000);
		storm_standing_add(standing, &row, &values, false);
		storm_standing_add(standing, &unknown, &values, false);
	}
	storm_standing_seal(standing);
	assert_true(storm_standing_heaviest(standing, 1, &heaviest));
	for (unsigned i = 0; i < standing->n_bins; i++)
		if (standing->bins[i].tick == heaviest)
			sum += (uint32_t)standing->bins[i].sockets;
	assert_int_equal(sum, 20 + 30);
	free(standing);
}

/* ------------------------------------------------------------------------------- in the model */

/* So many sockets that will probe in one tick, with values. */
static struct storm_standing *bunch(unsigned n, const struct change_values *values, bool ours)
{
	struct storm_standing *standing = storm_standing_new(HZ);
	struct socket_row row = row_of(100, values->time_s * (uint32_t)HZ, 100);

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(storm_standing_add(standing, &row, values, ours), 0);
	storm_standing_seal(standing);
	return standing;
}

static struct storm_load load_beside(struct storm_standing *standing, uint64_t sockets)
{
	return (struct storm_load){
		.sockets = sockets,
		.settings = TCPKEEP_SETTINGS(4, 1, 3),
		.hz = HZ,
		.backlog = 1000,
		.standing = standing,
	};
}

/* Each is harmless by itself; together they are not. The weakest dies of it. */
static void two_bursts_make_a_storm(void **state)
{
	const struct change_values weak = values_of(4, 1, 1), strong = values_of(4, 1, 9);
	const struct storm_pace at_once = {0};
	struct storm_forecast forecast;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct storm_standing *standing = bunch(800, i ? &strong : &weak, false);
		struct storm_load load = load_beside(standing, 800);

		assert_int_equal(storm_forecast(&load, &at_once, &forecast), 0);
		assert_int_equal(forecast.peak_per_tick, 1600);
		assert_int_equal(forecast.deaths > 0, i == 0);
		assert_in_range(forecast.lost, 600, 100000);
		load.sockets = 0;
		assert_int_equal(storm_forecast(&load, &at_once, &forecast), 0);
		assert_int_equal(forecast.lost, 0);
		assert_int_equal(forecast.peak_per_tick, 800);
		free(standing);
	}
}

/* A plan that was at once goes slowly beside others, and its sockets find room. */
static void a_plan_makes_room(void **state)
{
	const struct change_values values = values_of(4, 1, 2);
	struct storm_standing *standing = bunch(400, &values, false);
	struct storm_load load = load_beside(standing, 400);
	struct storm_forecast forecast;
	struct storm_pace pace;

	(void)state;
	assert_int_equal(storm_plan(&load, &pace, &forecast), 1);
	assert_true(pace.per_s > 0);
	assert_int_equal(forecast.lost, 0);
	assert_true(forecast.peak_per_tick < 500);
	load.standing = NULL;
	assert_int_equal(storm_plan(&load, &pace, &forecast), 1);
	assert_int_equal(pace.per_s, 0);
	free(standing);
}

/* Without those that the change makes heavier: what there would be without it. */
static void ours_can_be_left_out(void **state)
{
	const struct change_values values = values_of(4, 1, 1);
	struct storm_standing *standing = bunch(3000, &values, true);
	struct storm_load load = load_beside(standing, 0);
	const struct storm_pace at_once = {0};

	(void)state;
	assert_int_equal(storm_is_safe(&load, &at_once), 0);
	load.without_ours = true;
	assert_int_equal(storm_is_safe(&load, &at_once), 1);
	assert_int_equal(storm_standing_rate(standing, true), 3000 * 1000 / 4);
	assert_int_equal(storm_standing_rate(standing, false), 0);
	free(standing);
}

/* Two seconds and two hours: the one must not hide the other from a bounded simulation. */
static void seconds_and_hours_meet(void **state)
{
	const struct change_values seconds = values_of(2, 1, 1), hours = values_of(7200, 75, 1);
	struct storm_standing *standing;
	struct storm_forecast forecast;
	struct storm_load load;
	const struct storm_pace at_once = {0};

	(void)state;
	standing = bunch(300, &seconds, false);
	load = load_beside(standing, 3000);
	load.settings = (struct tcpkeep_settings)TCPKEEP_SETTINGS(7200, 75, 1);
	assert_int_equal(storm_forecast(&load, &at_once, &forecast), 0);
	assert_true(forecast.deaths >= 2000);
	free(standing);
	standing = bunch(3000, &hours, false);
	load = load_beside(standing, 300);
	load.settings = (struct tcpkeep_settings)TCPKEEP_SETTINGS(2, 1, 9);
	assert_int_equal(storm_forecast(&load, &at_once, &forecast), 0);
	assert_true(forecast.deaths >= 2000);
	free(standing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_tick_of_the_next_probe),
		cmocka_unit_test(passes_over_what_does_not_probe),
		cmocka_unit_test(any_number_of_kinds_and_ticks_fits),
		cmocka_unit_test(a_spread_becomes_a_few_kinds),
		cmocka_unit_test(the_unknown_is_taken_for_the_worst),
		cmocka_unit_test(two_bursts_make_a_storm),
		cmocka_unit_test(a_plan_makes_room),
		cmocka_unit_test(ours_can_be_left_out),
		cmocka_unit_test(seconds_and_hours_meet),
	};

	return run_unit_tests("storm-standing", tests);
}
