/* SPDX-License-Identifier: MIT */
/* What `tcpkeep prove` makes of segments and of times: it has to be able to say no. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/macro.h"
#include "prove/flow.h"
#include "prove/judge.h"
#include "unit.h"

#define CLIENT_PORT 40000
#define MS          1000000ULL

static struct lab_packet segment(bool outgoing, uint64_t time_ms, uint32_t seq, uint8_t flags,
				 uint32_t payload)
{
	return (struct lab_packet){
		.time_ns = time_ms * MS,
		.outgoing = outgoing,
		.source_port = outgoing ? CLIENT_PORT : PROVE_PORT,
		.destination_port = outgoing ? PROVE_PORT : CLIENT_PORT,
		.seq = seq,
		.flags = flags,
		.payload = payload,
	};
}

static void feed(struct flow *flow, struct lab_packet packet)
{
	assert_true(flow_owns(flow, &packet));
	flow_feed(flow, &packet);
}

/* Connected at 1 ms, 20 bytes asked at 2 ms and acknowledged at 3 ms, idle from then on. */
static struct flow idle_flow(uint32_t isn)
{
	struct lab_packet syn = segment(true, 0, isn, TH_SYN, 0);
	struct flow flow;

	assert_true(flow_begins(&syn));
	flow_init(&flow, &syn);
	feed(&flow, segment(false, 1, 500, TH_SYN | TH_ACK, 0));
	feed(&flow, segment(true, 1, isn + 1, TH_ACK, 0));
	feed(&flow, segment(true, 2, isn + 1, TH_ACK | TH_PUSH, 20));
	feed(&flow, segment(false, 3, 501, TH_ACK, 0));
	return flow;
}

static void test_probes_are_told_from_acknowledgements(void **unused)
{
	/* The second one: sequence numbers that wrap around. */
	static const uint32_t isns[] = {1000, UINT32_MAX - 10};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(isns); i++) {
		uint32_t next = isns[i] + 21;
		struct flow flow = idle_flow(isns[i]);

		assert_int_equal(flow.n_probes, 0);
		assert_int_equal(flow.heard_ns, 3 * MS);
		feed(&flow, segment(true, 100, next, TH_ACK, 0));
		assert_int_equal(flow.n_probes, 0);
		feed(&flow, segment(true, 2003, next - 1, TH_ACK, 0));
		feed(&flow, segment(false, 2004, 501, TH_ACK, 0));
		feed(&flow, segment(true, 4003, next - 1, TH_ACK, 0));
		assert_int_equal(flow.n_probes, 2);
		assert_int_equal(flow.probes[0].sent_ns, 2003 * MS);
		assert_int_equal(flow.probes[0].answered_ns, 2004 * MS);
		assert_true(flow.probes[1].answered_ns == FLOW_NEVER);
		/* The answer to a probe was heard, but is not where the silence began. */
		assert_int_equal(flow.heard_ns, 3 * MS);
		assert_int_equal(flow.heard_any_ns, 2004 * MS);
	}
}

static void test_activity_and_ends(void **unused)
{
	struct flow flow = idle_flow(1000);
	struct lab_packet foreign = segment(true, 5, 1, TH_ACK, 0);

	(void)unused;
	foreign.source_port++;
	assert_false(flow_owns(&flow, &foreign));
	feed(&flow, segment(true, 2003, 1020, TH_ACK, 0));
	feed(&flow, segment(false, 2500, 501, TH_ACK | TH_PUSH, 10));
	assert_int_equal(flow.n_probes, 0);
	assert_int_equal(flow.activity_ns, 2500 * MS);
	assert_int_equal(flow.got_data_ns, 2500 * MS);
	flow.keep_probes = true;
	feed(&flow, segment(true, 4600, 1020, TH_ACK, 0));
	feed(&flow, segment(true, 5000, 1021, TH_FIN | TH_ACK, 0));
	assert_int_equal(flow.n_probes, 1);
	assert_int_equal(flow.fin_ns, 5000 * MS);
	feed(&flow, segment(true, 6000, 1022, TH_RST | TH_ACK, 0));
	assert_int_equal(flow.reset_ns, 6000 * MS);
	assert_true(flow.reset_in_ns == FLOW_NEVER);
}

/* A result as a kernel that keeps to the model gives it: HZ=250, time=2 intvl=1 probes=3. */
static struct prove_result good_result(struct prove_plan *plan)
{
	static const struct tcpkeep_settings settings;
	struct prove_result result = {0};
	struct prove_seen *nat = result.seen[PROVE_NAT], *vanish = result.seen[PROVE_VANISH];

	assert_int_equal(prove_plan_make(&settings, plan, NULL), 0);
	plan->kernel.hz = 250;
	nat[PROVE_WITHOUT].outcome = PROVE_LOST;
	nat[PROVE_WITH].outcome = PROVE_ANSWERED;
	nat[PROVE_WITH].acted_us = 7005000;
	nat[PROVE_WITH].n_probes = 3;
	for (unsigned i = 0; i < 3; i++)
		nat[PROVE_WITH].probes[i].sent_us = (i + 1) * 2015000;
	vanish[PROVE_WITHOUT].outcome = PROVE_UNNOTICED;
	vanish[PROVE_WITHOUT].timer_known = true;
	vanish[PROVE_WITH].outcome = PROVE_NOTICED;
	vanish[PROVE_WITH].socket_gone = true;
	vanish[PROVE_WITH].acted_us = 1005000;
	vanish[PROVE_WITH].n_probes = 3;
	for (unsigned i = 0; i < 3; i++)
		vanish[PROVE_WITH].probes[i].sent_us = 2016000 + i * 1024000;
	vanish[PROVE_WITH].death_us = 5088000;
	return result;
}

static bool is_good(const struct prove_plan *plan, struct prove_result *result)
{
	prove_judge(plan, result);
	return prove_result_is_good(result);
}

static void test_a_good_result_is_good(void **unused)
{
	struct prove_plan plan;
	struct prove_result result = good_result(&plan);

	(void)unused;
	assert_true(is_good(&plan, &result));
	assert_int_equal(result.n_times, 7);
	assert_int_equal(result.n_agree, 7);
	assert_int_equal(plan.nat_timeout_s, 4);
}

/* A tenth of a second is wrong, early and late; so is a probe too many or too few. */
static void test_wrong_times_differ(void **unused)
{
	struct prove_plan plan;
	struct prove_result result;

	(void)unused;
	for (int what = 0; what < 6; what++) {
		struct prove_seen *vanish, *nat;

		result = good_result(&plan);
		vanish = &result.seen[PROVE_VANISH][PROVE_WITH];
		nat = &result.seen[PROVE_NAT][PROVE_WITH];
		if (what == 0)
			vanish->death_us = 5012000 - 100000;
		if (what == 1)
			vanish->death_us = 5128000 + 100000;
		if (what == 2)
			vanish->probes[0].sent_us = 1900000;
		if (what == 3)
			vanish->n_probes = 2;
		if (what == 4)
			vanish->probes[vanish->n_probes++].sent_us = 5000000;
		if (what == 5)
			nat->probes[nat->n_probes++].sent_us = 6500000;
		assert_false(is_good(&plan, &result));
		assert_true(result.n_agree < result.n_times);
	}
}

/* What has to be shown beside the times. */
static void test_wrong_outcomes_are_not_proven(void **unused)
{
	struct prove_plan plan;
	struct prove_result result;

	(void)unused;
	result = good_result(&plan);
	result.seen[PROVE_NAT][PROVE_WITH].outcome = PROVE_LOST;
	assert_false(is_good(&plan, &result));
	result = good_result(&plan);
	result.seen[PROVE_NAT][PROVE_WITHOUT].outcome = PROVE_ANSWERED;
	assert_false(is_good(&plan, &result));
	result = good_result(&plan);
	result.seen[PROVE_VANISH][PROVE_WITH].socket_gone = false;
	assert_false(is_good(&plan, &result));
	/* "Never" with a timer armed is only "not yet". */
	result = good_result(&plan);
	result.seen[PROVE_VANISH][PROVE_WITHOUT].timer = 2;
	assert_false(is_good(&plan, &result));
	result = good_result(&plan);
	result.seen[PROVE_NAT][PROVE_WITH].outcome = PROVE_EXITED;
	assert_false(is_good(&plan, &result));
}

static void test_plans(void **unused)
{
	struct tcpkeep_settings settings = TCPKEEP_SETTINGS(16, 1, 3);
	struct tcpkeep_error error;
	struct prove_plan plan;

	(void)unused;
	assert_int_equal(prove_plan_make(&settings, &plan, &error), 0);
	assert_true(plan.nat_timeout_s > 16);
	assert_true(prove_plan_duration_us(&plan) < PROVE_TOTAL_MAX_US);
	assert_true(plan.answer_after_us > plan.nat_timeout_s * 1000000ULL);
	settings.time_s = 100;
	assert_int_equal(prove_plan_make(&settings, &plan, &error), -E2BIG);
	assert_non_null(strstr(error.message, "takes too long"));
	settings = (struct tcpkeep_settings)TCPKEEP_SETTINGS(2, 1, 127);
	assert_int_equal(prove_plan_make(&settings, &plan, &error), -E2BIG);
	/* A user timeout ends it sooner. */
	settings.fields |= TCPKEEP_USER_TIMEOUT;
	settings.user_timeout_ms = 5000;
	assert_int_equal(prove_plan_make(&settings, &plan, &error), 0);
	settings.on = false;
	assert_int_equal(prove_plan_make(&settings, &plan, &error), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probes_are_told_from_acknowledgements),
		cmocka_unit_test(test_activity_and_ends),
		cmocka_unit_test(test_a_good_result_is_good),
		cmocka_unit_test(test_wrong_times_differ),
		cmocka_unit_test(test_wrong_outcomes_are_not_proven),
		cmocka_unit_test(test_plans),
	};

	return run_unit_tests("prove", tests);
}
