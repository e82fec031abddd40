/* SPDX-License-Identifier: MIT */
#include "judge.h"

#include "base/macro.h"

/* A busy computer runs its timers late, on top of what the wheel makes of them. */
#define LATE_SLACK_US 25000

/* The model's events in one bound of the timer wheel. */
struct prediction {
	uint64_t probes[PROVE_PROBES_MAX];
	unsigned n_probes;
	uint64_t death_us; /* TCPKEEP_NEVER: none */
};

static int predict(const struct prove_plan *plan, enum prove_scenario scenario,
		   const struct prove_seen *seen, enum tcpkeep_wheel wheel, struct prediction *ret)
{
	struct tcpkeep_situation situation = {
		.settings = plan->settings,
		.peer = scenario == PROVE_NAT ? TCPKEEP_PEER_ANSWERS : TCPKEEP_PEER_SILENT,
		.wheel = wheel,
	};
	struct prediction prediction = {.death_us = TCPKEEP_NEVER};
	struct tcpkeep_timeline timeline;
	struct tcpkeep_event event;
	int r;

	r = tcpkeep_timeline_init(&timeline, &situation, &plan->kernel);
	if (r < 0)
		return r;
	while (tcpkeep_timeline_next(&timeline, &event) > 0) {
		if (scenario == PROVE_NAT && event.at_us >= seen->acted_us)
			break;
		if (event.kind == TCPKEEP_EVENT_DEATH)
			prediction.death_us = event.at_us;
		if (event.kind != TCPKEEP_EVENT_PROBE)
			continue;
		if (prediction.n_probes == PROVE_PROBES_MAX)
			break;
		prediction.probes[prediction.n_probes++] = event.at_us;
	}
	*ret = prediction;
	return 0;
}

static void add(const struct prove_plan *plan, struct prove_result *result,
		const struct prove_time *time)
{
	uint64_t tick_us = 1000000 / plan->kernel.hz;
	struct prove_time *added;

	if (result->n_times == PROVE_TIMES_MAX)
		return;
	added = &result->times[result->n_times++];
	*added = *time;
	/* The kernel counts ticks: what it heard may have come a tick after its clock's last step.
	 */
	added->agrees = time->measured_us != TCPKEEP_NEVER && time->earliest_us != TCPKEEP_NEVER &&
			time->measured_us + tick_us >= time->earliest_us &&
			time->measured_us <= time->latest_us + tick_us + LATE_SLACK_US;
	result->n_agree += added->agrees;
}

/* Probes that only one bound has (before the answer or a user timeout) may be sent or not. */
static void judge_probes(const struct prove_plan *plan, struct prove_result *result,
			 enum prove_scenario scenario, const struct prediction *earliest,
			 const struct prediction *latest)
{
	const struct prove_seen *seen = &result->seen[scenario][PROVE_WITH];
	unsigned surely = MIN(earliest->n_probes, latest->n_probes);
	unsigned possibly = MAX(earliest->n_probes, latest->n_probes);

	for (unsigned i = 0; i < MAX(surely, seen->n_probes); i++) {
		struct prove_time time = {
			.scenario = scenario,
			.kind = TCPKEEP_EVENT_PROBE,
			.count = i + 1,
			.earliest_us = TCPKEEP_NEVER,
			.latest_us = TCPKEEP_NEVER,
			.measured_us = i < seen->n_probes ? seen->probes[i].sent_us : TCPKEEP_NEVER,
		};

		if (i < surely) {
			time.earliest_us = earliest->probes[i];
			time.latest_us = latest->probes[i];
		} else if (i < possibly) {
			continue;
		}
		if (scenario == PROVE_NAT && time.measured_us != TCPKEEP_NEVER &&
		    time.measured_us >= seen->acted_us)
			continue;
		add(plan, result, &time);
	}
}

static void judge_scenario(const struct prove_plan *plan, struct prove_result *result,
			   enum prove_scenario scenario)
{
	const struct prove_seen *seen = &result->seen[scenario][PROVE_WITH];
	struct prediction earliest, latest;

	if (seen->acted_us == TCPKEEP_NEVER ||
	    predict(plan, scenario, seen, TCPKEEP_WHEEL_EARLIEST, &earliest) < 0 ||
	    predict(plan, scenario, seen, TCPKEEP_WHEEL_LATEST, &latest) < 0)
		return;
	judge_probes(plan, result, scenario, &earliest, &latest);
	if (scenario == PROVE_VANISH)
		add(plan, result,
		    &(struct prove_time){
			    .scenario = scenario,
			    .kind = TCPKEEP_EVENT_DEATH,
			    .count = 1,
			    .earliest_us = earliest.death_us,
			    .latest_us = latest.death_us,
			    .measured_us = seen->death_us,
		    });
}

static bool is_judgement(enum prove_outcome outcome)
{
	return outcome == PROVE_ANSWERED || outcome == PROVE_LOST || outcome == PROVE_NOTICED ||
	       outcome == PROVE_UNNOTICED;
}

void prove_judge(const struct prove_plan *plan, struct prove_result *result)
{
	const struct prove_seen *lost = &result->seen[PROVE_NAT][PROVE_WITHOUT];
	const struct prove_seen *unnoticed = &result->seen[PROVE_VANISH][PROVE_WITHOUT];
	const struct prove_seen *noticed = &result->seen[PROVE_VANISH][PROVE_WITH];

	result->n_times = result->n_agree = 0;
	for (int scenario = 0; scenario < PROVE_SCENARIOS; scenario++)
		judge_scenario(plan, result, (enum prove_scenario)scenario);

	result->kept = result->seen[PROVE_NAT][PROVE_WITH].outcome == PROVE_ANSWERED;
	result->noticed = noticed->outcome == PROVE_NOTICED && noticed->socket_gone;
	/* "Never" is more than "not yet": there is no timer that could ever fire. */
	result->contrast = plan->command ||
			   (lost->outcome == PROVE_LOST && unnoticed->outcome == PROVE_UNNOTICED &&
			    unnoticed->timer_known && unnoticed->timer == 0);
	result->judged = true;
	for (int scenario = 0; scenario < PROVE_SCENARIOS; scenario++)
		for (int way = 0; way < PROVE_WAYS; way++)
			result->judged &= is_judgement(result->seen[scenario][way].outcome);
}

bool prove_result_is_good(const struct prove_result *result)
{
	return result->judged && result->kept && result->noticed && result->contrast &&
	       result->n_times > 0 && result->n_agree == result->n_times;
}
