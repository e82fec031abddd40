/* SPDX-License-Identifier: MIT */
/*
 * What a change must never do: probe what is long silent, all at once and unasked; end a
 * connection whose peer would have answered. The peers of the connections here cannot be heard for
 * a while, and are there again afterwards: all must have lived through it.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "lab/lab.h"
#include "set.h"
#include "unit/unit.h"

#define SOURCES 2

/* Values with which so many probes may be out that nobody dies of itself meanwhile. */
#define TIME_S  1
#define INTVL_S 1
#define PROBES  120

/* Before anything is asked of them. */
#define PROBES_OUT 3

/* One of each way to be in danger, for each way to be changed. */
static struct connection probing[SOURCES], turned_off[SOURCES], flying[SOURCES], closed[SOURCES],
	doomed[SOURCES], silent[SOURCES], sleeping[SOURCES];

/* IPv6, whose link is not cut for long enough to matter: long silent when their turn comes. */
static struct connection credited[SOURCES], hasty[SOURCES], paced[SOURCES], held_back[SOURCES],
	patient[SOURCES], turned_on[SOURCES];

static void fill_up(int fd)
{
	static const char bytes[65536];

	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

static void prepare(size_t i)
{
	struct connection *const all[] = {&probing[i], &turned_off[i], &flying[i],  &closed[i],
					  &doomed[i],  &silent[i],     &sleeping[i]};

	for (size_t j = 0; j < ARRAY_SIZE(all); j++)
		*all[j] = connection_make(KIND_V4, IPPROTO_TCP, j % 2);
	credited[i] = connection_make(KIND_V6, IPPROTO_TCP, false);
	hasty[i] = connection_make(KIND_V6, IPPROTO_TCP, false);
	paced[i] = connection_make(KIND_V6, IPPROTO_TCP, false);
	held_back[i] = connection_make(KIND_V6, IPPROTO_TCP, false);
	patient[i] = connection_make(KIND_V6, IPPROTO_TCP, false);
	turned_on[i] = connection_make(KIND_V6, IPPROTO_TCP, false);
	keep(held_back[i].ours, 7200, 75, 9);
	keep(patient[i].ours, 100, 75, 9);
	set_int(turned_on[i].ours, IPPROTO_TCP, TCP_KEEPIDLE, 2);
	set_int(turned_on[i].ours, IPPROTO_TCP, TCP_KEEPINTVL, 60);
	keep(credited[i].ours, 7200, 75, 9);
	keep(paced[i].ours, 7200, 75, 9);
	fill_up(closed[i].ours);
	keep(silent[i].ours, 7200, 75, 9);
}

static int start_all(void **state)
{
	if (set_start(state) < 0)
		return -1;
	/* So that nobody waits long for data that was lost (Linux 6.15). */
	if (lab_sysctl(here, "net/ipv4/tcp_rto_max_ms", "1000", NULL) == 0)
		assert_int_equal(lab_sysctl(here, "net/ipv4/tcp_retries2", "255", NULL), 0);
	for (size_t i = 0; i < SOURCES; i++)
		prepare(i);
	/* All that is on its way arrives first: what is silent then is silent to the end. */
	for (size_t i = 0; i < SOURCES; i++)
		wait_for_silence(closed[i].ours, 50);
	link_cut();
	for (size_t i = 0; i < SOURCES; i++) {
		keep(probing[i].ours, TIME_S, INTVL_S, PROBES);
		keep(turned_off[i].ours, TIME_S, INTVL_S, PROBES);
		keep(doomed[i].ours, TIME_S, INTVL_S, PROBES);
		assert_int_equal(send(flying[i].ours, "x", 1, 0), 1);
	}
	for (size_t i = 0; i < SOURCES; i++) {
		wait_for_probes(probing[i].ours, PROBES_OUT);
		wait_for_probes(turned_off[i].ours, PROBES_OUT);
		wait_for_probes(doomed[i].ours, PROBES_OUT);
		set_int(turned_off[i].ours, SOL_SOCKET, SO_KEEPALIVE, 0);
	}
	return 0;
}

static bool is_alive(int fd)
{
	struct tcp_info info;

	info_of(fd, &info);
	return info.tcpi_state == ESTABLISHED && get_int(fd, SOL_SOCKET, SO_ERROR) == 0;
}

static struct change_outcome try(size_t source, int fd, const char *settings)
{
	struct set set = {.settings = settings, .source = set_sources[source]};

	return set_one(&set, fd);
}

static void expect_refused(size_t source, int fd, const char *settings)
{
	struct change_outcome outcome = try(source, fd, settings);

	assert_int_equal(outcome.result, CHANGE_REFUSED);
	assert_int_equal(outcome.reason, CHANGE_REASON_KILLS);
	assert_int_equal(outcome.written, 0);
	assert_true(is_alive(fd));
}

static void expect_done(size_t source, int fd, const char *settings)
{
	assert_int_equal(try(source, fd, settings).result, CHANGE_DONE);
	assert_true(is_alive(fd));
}

/* ------------------------------------------------------------------------------------- the dangers
 */

static void fewer_probes_than_are_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		expect_refused(i, probing[i].ours, "probes=1");
		expect_refused(i, probing[i].ours, "probes=3");
		assert_int_equal(get_int(probing[i].ours, IPPROTO_TCP, TCP_KEEPCNT), PROBES);
		/* With a time that has not passed nothing is asked yet. */
		expect_done(i, probing[i].ours, "probes=119,intvl=2");
	}
}

static void a_user_timeout_that_has_passed(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		expect_refused(i, probing[i].ours, "user-timeout=1s");
		expect_refused(i, probing[i].ours, "user-timeout=2s,time=2");
		expect_done(i, probing[i].ours, "user-timeout=10m");
	}
}

/* The kernel keeps the count of what was out when keepalive was turned off. */
static void turned_on_again_with_probes_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		expect_refused(i, turned_off[i].ours, "on,probes=2");
		assert_int_equal(get_int(turned_off[i].ours, SOL_SOCKET, SO_KEEPALIVE), 0);
		/* Values alone do no harm. */
		expect_done(i, turned_off[i].ours, "probes=2");
		expect_refused(i, turned_off[i].ours, "on");
		expect_done(i, turned_off[i].ours, "on,probes=118,intvl=1,time=2");
	}
}

static void data_in_flight_for_longer_than_the_user_timeout(void **state)
{
	struct tcp_info info;

	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		info_of(flying[i].ours, &info);
		assert_true(info.tcpi_retransmits > 1);
		expect_refused(i, flying[i].ours, "user-timeout=500ms");
		expect_done(i, flying[i].ours, "user-timeout=10m");
		/* Keepalive has no part in it while data is in flight. */
		expect_done(i, flying[i].ours, "on,time=1,intvl=1,probes=1");
	}
}

static void a_window_closed_for_longer_than_the_user_timeout(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		expect_refused(i, closed[i].ours, "user-timeout=1s");
		expect_done(i, closed[i].ours, "user-timeout=10m");
	}
}

/* What is asked for is done: these two end. */
static void force_ends_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		struct set set = {.settings = "probes=1", .source = set_sources[i], .force = true};
		struct pollfd end = {doomed[i].ours, POLLIN, 0};

		expect_refused(i, doomed[i].ours, "probes=1");
		assert_int_equal(set_one(&set, doomed[i].ours).result, CHANGE_DONE);
		assert_int_equal(poll(&end, 1, 10000), 1);
		assert_int_equal(get_int(doomed[i].ours, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
	}
}

/* The rest lives when its peers are back. */
static void all_others_have_lived(void **state)
{
	(void)state;
	link_mend();
	for (size_t i = 0; i < SOURCES; i++) {
		const struct connection *const all[] = {&probing[i], &turned_off[i], &flying[i],
							&sleeping[i], &silent[i]};
		char byte;

		for (size_t j = 0; j < ARRAY_SIZE(all); j++) {
			struct pollfd arrives = {all[j]->theirs, POLLIN, 0};

			assert_int_equal(send(all[j]->ours, "y", 1, 0), 1);
			assert_int_equal(poll(&arrives, 1, 20000), 1);
			assert_int_equal(recv(all[j]->theirs, &byte, 1, 0), 1);
			assert_true(is_alive(all[j]->ours));
			/* What follows counts the probes of others. */
			set_int(all[j]->ours, SOL_SOCKET, SO_KEEPALIVE, 0);
		}
		assert_true(is_alive(closed[i].ours));
		keep(silent[i].ours, 7200, 75, 9);
	}
}

/* ---------------------------------------------------------------------------------- the timers */

/* When keepalive's timer will fire, as the kernel tells sock_diag. */
static int due_of(int fd)
{
	uint64_t cookie = cookie_of(fd);
	struct rows rows;

	rows_walk(&rows);
	for (size_t i = 0; i < rows.n; i++)
		if (rows.row[i].cookie == cookie && rows.row[i].timer == ROW_TIMER_KEEPALIVE)
			return rows.row[i].timer_ms;
	return -1;
}

/* Long silent, keepalive on or off, and given a time that has passed: what becomes of its timer. */
static void try_silent(size_t source, int fd, bool on)
{
	for (int i = 0; i < 10; i++) {
		unsigned long before, after;
		uint64_t started;
		int due;

		set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
		if (on)
			keep(fd, 7200, 75, 9);
		wait_for_silence(fd, 2100);
		before = counter("TCPKeepAlive");
		started = now_ms();
		expect_done(source, fd, on ? "time=2,intvl=60" : "on,time=2,intvl=61");
		due = due_of(fd);
		after = counter("TCPKeepAlive");
		/* On a machine that is so busy the time has passed by itself. */
		if (now_ms() - started > 1000)
			continue;
		/* A full time from then; the wheel is late, never early. */
		assert_in_range(due, 900, 2200);
		assert_int_equal(after, before);
		return;
	}
	skip();
}

static void what_is_long_silent_is_not_probed_at_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		try_silent(i, silent[i].ours, true);
		set_int(silent[i].ours, SOL_SOCKET, SO_KEEPALIVE, 0);
		try_silent(i, sleeping[i].ours, false);
		set_int(sleeping[i].ours, SOL_SOCKET, SO_KEEPALIVE, 0);
	}
}

static void what_is_silent_for_less_is_credited(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		struct tcp_info info;
		uint64_t started;
		int left_ms, due;

		/* Longer than what the wheel adds, two seconds with so long a time. */
		wait_for_silence(credited[i].ours, 4500);
		started = now_ms();
		info_of(credited[i].ours, &info);
		left_ms = 100000 - (int)MIN(info.tcpi_last_data_recv, info.tcpi_last_ack_recv);
		expect_done(i, credited[i].ours, "time=100");
		due = due_of(credited[i].ours);
		assert_in_range(due, left_ms - (int)(now_ms() - started) - 100, left_ms + 2200);
	}
}

static void now_probes_at_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		struct set set = {.settings = "on,time=2,intvl=60",
				  .source = set_sources[i],
				  .probe_now = true};
		struct connection *c = &hasty[i];
		unsigned long before;
		uint64_t until;

		wait_for_silence(c->ours, 2100);
		before = counter("TCPKeepAlive");
		assert_int_equal(set_one(&set, c->ours).result, CHANGE_DONE);
		until = now_ms() + 10000;
		while (counter("TCPKeepAlive") == before && now_ms() < until)
			poll(NULL, 0, 2);
		assert_int_equal(counter("TCPKeepAlive"), before + 1);
		assert_true(is_alive(c->ours));
	}
}

/* Under a pace what fell silent together must not ask together. */
static void a_pace_gives_each_a_time_of_its_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		struct set set = {
			.settings = "time=100,intvl=60", .source = set_sources[i], .per_s = 1000};
		uint64_t started;
		int due;

		wait_for_silence(paced[i].ours, 4500);
		started = now_ms();
		assert_int_equal(set_one(&set, paced[i].ours).result, CHANGE_DONE);
		due = due_of(paced[i].ours);
		/* Not what is left of it, which is 4.5 s less. */
		assert_in_range(due, 100000 - (int)(now_ms() - started) - 100, 103000);
		assert_int_equal(get_int(paced[i].ours, SOL_SOCKET, SO_KEEPALIVE), 1);
	}
}

/* Nor does --now let them. */
static void a_pace_credits_nothing_but_what_is_probed_now(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		struct set set = {.settings = "time=100,intvl=60",
				  .source = set_sources[i],
				  .probe_now = true,
				  .per_s = 1000};
		uint64_t started;

		wait_for_silence(held_back[i].ours, 4500);
		started = now_ms();
		assert_int_equal(set_one(&set, held_back[i].ours).result, CHANGE_DONE);
		assert_in_range(due_of(held_back[i].ours), 100000 - (int)(now_ms() - started) - 100,
				103000);
	}
}

/* What dies sooner is paced as well, and so are the timers that had been started together. */
/* Nothing but a time moves a timer: it is as scattered as it was. */
static void a_pace_leaves_timers_of_which_no_time_is_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		struct set set = {
			.settings = "intvl=60,probes=3", .source = set_sources[i], .per_s = 1000};

		wait_for_silence(patient[i].ours, 4500);
		assert_int_equal(set_one(&set, patient[i].ours).result, CHANGE_DONE);
		assert_in_range(due_of(patient[i].ours), 1, 100000 - 4500 + 100);
		set_expect(patient[i].ours, 1, 100, 60, 3);
	}
}

/* It has the time already: that nothing of it is to be written must not keep it from being probed.
 */
static void what_is_turned_on_is_probed_now(void **state)
{
	(void)state;
	for (size_t i = 0; i < SOURCES; i++) {
		struct set set = {.settings = "on", .source = set_sources[i], .probe_now = true};
		unsigned long before = counter("TCPKeepAlive");
		uint64_t until = now_ms() + 10000;

		wait_for_silence(turned_on[i].ours, 2100);
		assert_int_equal(set_one(&set, turned_on[i].ours).result, CHANGE_DONE);
		/* Not armed anew, for two seconds: either at once, or probed already. */
		assert_not_in_range(due_of(turned_on[i].ours), 1500, 2500);
		while (counter("TCPKeepAlive") == before && now_ms() < until)
			poll(NULL, 0, 2);
		assert_int_equal(counter("TCPKeepAlive"), before + 1);
		set_expect(turned_on[i].ours, 1, 2, 60, 9);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fewer_probes_than_are_out),
		cmocka_unit_test(a_user_timeout_that_has_passed),
		cmocka_unit_test(turned_on_again_with_probes_out),
		cmocka_unit_test(data_in_flight_for_longer_than_the_user_timeout),
		cmocka_unit_test(a_window_closed_for_longer_than_the_user_timeout),
		cmocka_unit_test(force_ends_them),
		cmocka_unit_test(all_others_have_lived),
		cmocka_unit_test(what_is_long_silent_is_not_probed_at_once),
		cmocka_unit_test(what_is_silent_for_less_is_credited),
		cmocka_unit_test(now_probes_at_once),
		cmocka_unit_test(a_pace_gives_each_a_time_of_its_own),
		cmocka_unit_test(a_pace_credits_nothing_but_what_is_probed_now),
		cmocka_unit_test(a_pace_leaves_timers_of_which_no_time_is_written),
		cmocka_unit_test(what_is_turned_on_is_probed_now),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("set-safe", tests, start_all, NULL);
}
