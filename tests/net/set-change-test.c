/* SPDX-License-Identifier: MIT */
/*
 * Changing open sockets, in the kernel and through descriptors: every kind of socket gets its
 * values and nothing else does; what is seen is what the sockets' own process reads.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "set.h"
#include "unit/unit.h"

#define FOR_EACH_SOURCE(source)                                                                    \
	for (size_t source##_i = 0; source##_i < ARRAY_SIZE(set_sources); source##_i++)            \
		for (enum snapshot_source source = set_sources[source##_i],                        \
					  *source##_once = &source;                                \
		     source##_once; source##_once = NULL)

static void every_kind_gets_its_values(void **state)
{
	(void)state;
	FOR_EACH_SOURCE(source)
	for (enum kind kind = KIND_V4; kind <= KIND_MAPPED; kind++)
		for (int accepted = 0; accepted < 2; accepted++) {
			struct connection c = connection_make(kind, IPPROTO_TCP, accepted);
			struct set set = {.settings =
						  "on,time=60,intvl=10,probes=6,user-timeout=90s",
					  .source = source};
			struct change_outcome outcome = set_one(&set, c.ours);

			assert_int_equal(outcome.result, CHANGE_DONE);
			assert_int_equal(outcome.written, TCPKEEP_ALL);
			set_expect(c.ours, 1, 60, 10, 6);
			assert_int_equal(get_int(c.ours, IPPROTO_TCP, TCP_USER_TIMEOUT), 90000);
			/* The other end is another socket. */
			set_expect(c.theirs, 0, 7200, 75, 9);
			connection_close(&c);
		}
}

static void what_a_listener_accepts_inherits(void **state)
{
	(void)state;
	FOR_EACH_SOURCE(source)
	{
		struct set set = {.settings = "on,time=61,intvl=11,probes=7", .source = source};
		_cleanup_close_ int listener = listener_make(KIND_V6, true, IPPROTO_TCP, 4);
		_cleanup_close_ int peer = -1, accepted = -1;

		assert_int_equal(set_one(&set, listener).result, CHANGE_DONE);
		peer = connect_to(KIND_V6, false, IPPROTO_TCP, port_of(listener), 0);
		accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		set_expect(accepted, 1, 61, 11, 7);
	}
}

/* Its options belong to the socket that the program holds: a subflow alone would be changed in
 * vain.
 */
static void mptcp_is_changed_as_a_whole(void **state)
{
	(void)state;
	FOR_EACH_SOURCE(source)
	{
		struct connection c = connection_make(KIND_V4, IPPROTO_MPTCP, false);
		struct set set = {.settings = "on,time=60,intvl=10,probes=6", .source = source};
		struct set again = set;

		assert_int_equal(set_one(&set, c.ours).result, CHANGE_DONE);
		set_expect(c.ours, 1, 60, 10, 6);
		/* The walk over the subflows sees the same: there is nothing left to do. */
		set_plan(&again, &c.ours, 1);
		assert_int_equal(again.planned[CHANGE_HELD], 1);
		assert_int_equal(again.set.n, 0);
		connection_close(&c);
	}
}

static void what_holds_is_not_touched(void **state)
{
	struct connection c[3];
	int fds[3];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		c[i] = connection_make(KIND_V4, IPPROTO_TCP, false);
		fds[i] = c[i].ours;
	}
	keep(c[0].ours, 60, 10, 6);
	keep(c[1].ours, 60, 10, 7);
	FOR_EACH_SOURCE(source)
	{
		struct set set = {.settings = "on,time=60,intvl=10,probes=6", .source = source};

		set_plan(&set, fds, 3);
		assert_int_equal(set.planned[CHANGE_HELD], source_i == 0 ? 1 : 3);
		set_run(&set);
		if (source_i == 0)
			for (size_t i = 0; i < 2; i++)
				assert_int_equal(
					set.outcomes[i].written,
					set.set.kinds[set.set.items[set.outcomes[i].item].kind]
						.wanted.fields);
		set_clear(&set);
	}
	for (size_t i = 0; i < 3; i++) {
		set_expect(c[i].ours, 1, 60, 10, 6);
		connection_close(&c[i]);
	}
}

/* A value of the sysctl's that is asked for holds as well, and stays the sysctl's. */
static void the_sysctls_value_holds(void **state)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);

	(void)state;
	FOR_EACH_SOURCE(source)
	{
		struct set set = {.settings = "time=7200,intvl=75,probes=9,off", .source = source};

		set_plan(&set, &c.ours, 1);
		assert_int_equal(set.planned[CHANGE_HELD], 1);
	}
	connection_close(&c);
}

static void what_cannot_be_changed_is_skipped(void **state)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
	struct connection waits = connection_make(KIND_V4, IPPROTO_TCP, false);
	int port = port_of(c.ours), port2 = port_of(waits.ours);
	struct set set = {.settings = "on,time=60", .source = set_sources[0]};
	struct rows rows;
	size_t found = 0;

	(void)state;
	/* One is closed by its program alone, the other by both ends. */
	cleanup_close(&c.ours);
	cleanup_close(&waits.ours);
	cleanup_close(&waits.theirs);
	poll(NULL, 0, 50);
	rows_walk(&rows);
	for (size_t i = 0; i < rows.n; i++)
		found += rows.row[i].local_port == port || rows.row[i].local_port == port2;
	assert_int_equal(found, 2);
	set_plan(&set, NULL, 0);
	assert_true(set.planned[CHANGE_SKIPPED] >= 2);
	assert_int_equal(set.planned[CHANGE_DONE], 0);
	set_clear(&set);
	cleanup_close(&c.theirs);
}

static void somebody_elses_change_stands(void **state)
{
	(void)state;
	FOR_EACH_SOURCE(source)
	{
		struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
		struct set set = {.settings = "on,time=60,intvl=10,probes=6", .source = source};

		set_plan(&set, &c.ours, 1);
		set_int(c.ours, IPPROTO_TCP, TCP_KEEPINTVL, 33);
		set_run(&set);
		assert_int_equal(set.counts[CHANGE_REFUSED], 1);
		assert_int_equal(set.outcomes[0].reason, CHANGE_REASON_SINCE);
		assert_int_equal(set.outcomes[0].written, 0);
		set_expect(c.ours, 0, 7200, 33, 9);
		set_clear(&set);
		connection_close(&c);
	}
}

/* The same change by somebody else is no reason to complain. */
static void what_came_to_hold_meanwhile_holds(void **state)
{
	(void)state;
	FOR_EACH_SOURCE(source)
	{
		struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
		struct set set = {.settings = "on,time=60,intvl=10,probes=6", .source = source};

		set_plan(&set, &c.ours, 1);
		keep(c.ours, 60, 10, 6);
		set_run(&set);
		assert_int_equal(set.counts[CHANGE_HELD], 1);
		set_clear(&set);
		connection_close(&c);
	}
}

static void all_or_nothing(void **state)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
	struct set set = {.settings = "on,time=60,intvl=10,probes=6", .source = set_sources[0]};

	(void)state;
	if (set_sources[0] != SNAPSHOT_BPF)
		skip();
	keep(c.ours, 100, 20, 5);
	set_plan(&set, &c.ours, 1);
	/* What no parser lets through: the last of the values is one that the kernel refuses. */
	set.set.kinds[0].wanted.fields |= TCPKEEP_USER_TIMEOUT;
	set.set.kinds[0].wanted.user_timeout_ms = 1U << 31;
	set_run(&set);
	assert_int_equal(set.counts[CHANGE_REFUSED], 1);
	assert_int_equal(set.outcomes[0].reason, CHANGE_REASON_ERROR);
	assert_int_equal(set.outcomes[0].error, -EINVAL);
	assert_int_equal(set.outcomes[0].written, 0);
	set_expect(c.ours, 1, 100, 20, 5);
	assert_int_equal(get_int(c.ours, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	set_clear(&set);
	connection_close(&c);
}

/* Not the one that came after it under the same number, at the same address. */
static void a_closed_socket_is_not_mistaken(void **state)
{
	(void)state;
	FOR_EACH_SOURCE(source)
	{
		struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false), next;
		struct set set = {.settings = "on,time=60,intvl=10,probes=6", .source = source};
		int number = c.ours;

		set_plan(&set, &c.ours, 1);
		connection_close(&c);
		next = connection_make(KIND_V4, IPPROTO_TCP, false);
		next.ours = dup2(next.ours, number) == number ? number : next.ours;
		set_run(&set);
		assert_int_equal(set.counts[CHANGE_VANISHED], 1);
		set_expect(next.ours, 0, 7200, 75, 9);
		set_clear(&set);
		connection_close(&next);
	}
}

/* So many in a second, and not all of them at the start of it. */
static void the_pace_is_kept(void **state)
{
	struct connection c[60];
	int fds[60];

	(void)state;
	for (size_t i = 0; i < 60; i++) {
		c[i] = connection_make(KIND_V4, IPPROTO_TCP, false);
		fds[i] = c[i].ours;
	}
	FOR_EACH_SOURCE(source)
	{
		struct set set = {.settings = source_i == 0 ? "on,time=60" : "time=61",
				  .source = source,
				  .per_s = 100};
		uint64_t started;

		set_plan(&set, fds, 60);
		assert_int_equal(set.set.n, 60);
		started = now_ms();
		set_run(&set);
		assert_int_equal(set.counts[CHANGE_DONE], 60);
		/* 59 steps of 10 ms; it may be late, and makes up for 20 ms. */
		assert_true(now_ms() - started >= 59 * 10 - 21);
		set_clear(&set);
	}
	for (size_t i = 0; i < 60; i++) {
		set_expect(c[i].ours, 1, 61, 75, 9);
		connection_close(&c[i]);
	}
}

/* ----------------------------------------------------------------------------------- the churn */

static _Atomic bool stop_churn;
static _Atomic unsigned wrong, churned;
static _Atomic unsigned planned; /* which plan stands, 0: none */

/* Opens and closes under the same numbers: whoever is changed without having been there is wrong.
 */
static void *churn(void *userdata)
{
	int port = *(const int *)userdata;

	while (!stop_churn) {
		unsigned plan = planned;
		int fd = connect_to(KIND_V4, true, IPPROTO_TCP, port, 0);

		poll(NULL, 0, 0);
		/* Of a later plan, which it would be in, it is no proof. */
		if (plan > 0 && get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE) != 7200 && planned == plan)
			wrong++;
		close(fd);
		churned++;
	}
	return NULL;
}

static void *accept_all(void *userdata)
{
	int listener = *(const int *)userdata, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	return NULL;
}

static void no_wrong_socket_is_ever_changed(void **state)
{
	int listener = listener_make(KIND_V4, false, IPPROTO_TCP, 64);
	int port = port_of(listener);
	pthread_t threads[3];
	unsigned before, plans = 0;

	(void)state;
	assert_int_equal(pthread_create(&threads[0], NULL, accept_all, &listener), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, churn, &port), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, churn, &port), 0);
	FOR_EACH_SOURCE(source)
	for (int round = 0; round < 10; round++) {
		struct set set = {.settings = "time=60", .source = source};
		struct connection steady = connection_make(KIND_V4, IPPROTO_TCP, true);

		planned = 0;
		before = churned;
		while (churned < before + 2)
			poll(NULL, 0, 1);
		set_plan(&set, NULL, 0);
		planned = ++plans;
		before = churned;
		while (churned < before + 2)
			poll(NULL, 0, 1);
		set_run(&set);
		/* What was there and still is has it; of the others none has anything. */
		assert_int_equal(get_int(steady.ours, IPPROTO_TCP, TCP_KEEPIDLE), 60);
		before = churned;
		while (churned < before + 2)
			poll(NULL, 0, 1);
		set_clear(&set);
		connection_close(&steady);
	}
	stop_churn = true;
	pthread_join(threads[1], NULL);
	pthread_join(threads[2], NULL);
	shutdown(listener, SHUT_RDWR);
	pthread_join(threads[0], NULL);
	close(listener);
	assert_int_equal(wrong, 0);
}

/* ---------------------------------------------------------------------------------------- undo */

struct given {
	const struct change_set *set;
	struct change_set back;
	enum change_result result;
	enum change_reason reason;
};

static int plan_back(const struct snapshot_row *row, void *userdata)
{
	struct given *given = userdata;
	struct change_kind kind;

	for (size_t i = 0; i < given->set->n; i++) {
		if (given->set->items[i].cookie != row->socket.cookie)
			continue;
		given->result = change_plan_undo(row, &given->set->kinds[given->set->items[i].kind],
						 false, &kind, &given->reason);
		if (given->result == CHANGE_DONE)
			return change_set_add(&given->back, row->socket.cookie, &kind, row->owners,
					      row->n_owners);
	}
	return 0;
}

static void give_back(struct set *set, struct given *given)
{
	const struct snapshot_options options = {
		.source = set->source, .owners = true, .netns = here};
	struct snapshot_report report;

	*given = (struct given){.set = &set->set, .result = CHANGE_VANISHED};
	assert_int_equal(snapshot_run(&options, plan_back, given, &report, NULL), 0);
	if (given->back.n > 0) {
		struct set back = {.source = set->source, .set = given->back};

		set_run(&back);
		assert_int_equal(back.counts[CHANGE_DONE], 1);
	}
	change_set_clear(&given->back);
}

static void the_old_values_come_back(void **state)
{
	(void)state;
	FOR_EACH_SOURCE(source)
	{
		struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
		struct set set = {.settings = "on,time=60,intvl=10,probes=6,user-timeout=9s",
				  .source = source};
		struct given given;

		set_int(c.ours, IPPROTO_TCP, TCP_KEEPINTVL, 33);
		set_plan(&set, &c.ours, 1);
		/* Only BPF can tell which of them are the sysctl's. */
		assert_int_equal(change_kind_lost(&set.set.kinds[0]),
				 source == SNAPSHOT_BPF ? TCPKEEP_TIME | TCPKEEP_PROBES : 0);
		set_run(&set);
		set_expect(c.ours, 1, 60, 10, 6);
		give_back(&set, &given);
		set_expect(c.ours, 0, 7200, 33, 9);
		assert_int_equal(get_int(c.ours, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
		/* A second time there is nothing to do. */
		give_back(&set, &given);
		assert_int_equal(given.result, CHANGE_HELD);
		set_clear(&set);
		connection_close(&c);
	}
}

static void a_later_change_is_not_overwritten(void **state)
{
	(void)state;
	FOR_EACH_SOURCE(source)
	{
		struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
		struct set set = {.settings = "on,time=60,intvl=10,probes=6", .source = source};
		struct given given;

		set_plan(&set, &c.ours, 1);
		set_run(&set);
		set_int(c.ours, IPPROTO_TCP, TCP_KEEPCNT, 8);
		give_back(&set, &given);
		assert_int_equal(given.result, CHANGE_REFUSED);
		assert_int_equal(given.reason, CHANGE_REASON_SINCE);
		set_expect(c.ours, 1, 60, 10, 8);
		set_clear(&set);
		connection_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_gets_its_values),
		cmocka_unit_test(what_a_listener_accepts_inherits),
		cmocka_unit_test(mptcp_is_changed_as_a_whole),
		cmocka_unit_test(what_holds_is_not_touched),
		cmocka_unit_test(the_sysctls_value_holds),
		cmocka_unit_test(what_cannot_be_changed_is_skipped),
		cmocka_unit_test(somebody_elses_change_stands),
		cmocka_unit_test(what_came_to_hold_meanwhile_holds),
		cmocka_unit_test(all_or_nothing),
		cmocka_unit_test(a_closed_socket_is_not_mistaken),
		cmocka_unit_test(the_pace_is_kept),
		cmocka_unit_test(no_wrong_socket_is_ever_changed),
		cmocka_unit_test(the_old_values_come_back),
		cmocka_unit_test(a_later_change_is_not_overwritten),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("set-change", tests, set_start, NULL);
}
