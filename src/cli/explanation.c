/* SPDX-License-Identifier: MIT */
#include "explanation.h"

#include <errno.h>

#include "base/macro.h"
#include "sockets/outlook.h"

/* Runs the model once, with the earliest wheel first: the latest then completes what that one
 * found. */
static int run_lane(const struct tcpkeep_situation *situation, const struct tcpkeep_kernel *kernel,
		    struct lane *lane)
{
	bool earliest = situation->wheel == TCPKEEP_WHEEL_EARLIEST;
	struct tcpkeep_timeline timeline;
	struct tcpkeep_event event;
	size_t total = 0;
	int r;

	r = tcpkeep_timeline_init(&timeline, situation, kernel);
	if (r < 0)
		return r;
	while (tcpkeep_timeline_next(&timeline, &event) > 0 && event.kind != TCPKEEP_EVENT_DEATH &&
	       event.kind != TCPKEEP_EVENT_FREED && total < LANE_STEPS_LIMIT) {
		lane->kind = event.kind;
		if (total < LANE_STEPS_MAX && earliest)
			lane->steps[total].earliest_us = event.at_us;
		else if (total < LANE_STEPS_MAX)
			lane->steps[total].latest_us = event.at_us;
		total++;
	}
	/* Given up asking: a timer on each tick. The limit is then met within a tick. */
	if (total == LANE_STEPS_LIMIT)
		event = (struct tcpkeep_event){.at_us = lane->worst_us, .error = ETIMEDOUT};
	if (earliest) {
		lane->n_steps = MIN(total, (size_t)LANE_STEPS_MAX);
		lane->n_beyond = total - lane->n_steps;
		lane->death_us = event.at_us;
		lane->error = event.error;
		return 0;
	}
	/* A lane that comes without its worst case has that of this run. */
	lane->worst_us = MAX(lane->worst_us, event.at_us);
	/*
	 * Where a limit on time ends it, late timers reach that limit in fewer steps: the timer
	 * that sends one more packet with the earliest wheel is then the first that can be the
	 * last.
	 */
	if (total < lane->n_steps) {
		lane->n_steps = total;
		lane->n_beyond = 0;
		lane->death_us = lane->steps[total].earliest_us;
	} else {
		lane->n_beyond = MIN(lane->n_beyond, total - lane->n_steps);
	}
	return 0;
}

static int make_lane(const struct explanation *explanation, enum tcpkeep_condition condition,
		     uint64_t worst_us, struct lane *ret)
{
	struct tcpkeep_situation situation = {
		.settings = explanation->settings,
		.condition = condition,
		.wheel = TCPKEEP_WHEEL_EARLIEST,
	};
	int r;

	ret->condition = condition;
	ret->worst_us = worst_us;
	r = run_lane(&situation, &explanation->kernel, ret);
	if (r < 0)
		return r;
	situation.wheel = TCPKEEP_WHEEL_LATEST;
	return run_lane(&situation, &explanation->kernel, ret);
}

unsigned explanation_probes_per_hour_x10(const struct explanation *explanation)
{
	if (explanation->period_us == TCPKEEP_NEVER)
		return 0;
	return (unsigned)(36000000000 / explanation->period_us);
}

int explanation_make(const struct tcpkeep_settings *settings, const struct tcpkeep_kernel *kernel,
		     struct explanation *ret)
{
	int r;

	*ret = (struct explanation){.kernel = *kernel};
	tcpkeep_sysctls_to_settings(&kernel->sysctls, &ret->settings);
	ret->settings.fields = TCPKEEP_ALL;
	ret->settings.on = true;
	ret->from_sysctl = TCPKEEP_THREE & ~settings->fields;
	tcpkeep_settings_merge(&ret->settings, settings);
	ret->period_us = tcpkeep_probe_period_us(&ret->settings, kernel);

	r = tcpkeep_detection(&ret->settings, kernel, &ret->detection);
	if (r < 0)
		return r;
	r = make_lane(ret, TCPKEEP_CONDITION_IDLE, ret->detection.idle_us, &ret->lanes[LANE_IDLE]);
	if (r < 0)
		return r;
	r = make_lane(ret, TCPKEEP_CONDITION_IN_FLIGHT, ret->detection.in_flight_us,
		      &ret->lanes[LANE_IN_FLIGHT]);
	if (r < 0)
		return r;
	return make_lane(ret, TCPKEEP_CONDITION_ZERO_WINDOW, ret->detection.zero_window_us,
			 &ret->lanes[LANE_ZERO_WINDOW]);
}

/* Where the row stands, for the model. */
static struct tcpkeep_situation situation_of(const struct snapshot_row *row,
					     enum tcpkeep_condition condition)
{
	const struct socket_row *socket = &row->socket;
	uint64_t timer_us = (uint64_t)MAX(socket->timer_ms, 0) * 1000;
	struct tcpkeep_situation situation = {
		.settings = row->effective.settings,
		.condition = condition,
		.silence_us = (uint64_t)socket->silence_ms * 1000,
		.orphan = socket->flags & ROW_ORPHAN,
	};

	if (condition == TCPKEEP_CONDITION_IDLE) {
		situation.probes_out = socket->probes_out;
		situation.timer_known = socket->timer == ROW_TIMER_KEEPALIVE;
		situation.timer_us = timer_us;
	} else {
		/* What was retransmitted so far is not told with its times: the timer starts the
		 * count. */
		situation.first_timeout_ms = (unsigned)MAX(timer_us / 1000, (uint64_t)1);
	}
	return situation;
}

static int make_now(const struct snapshot_row *row, struct explanation *explanation)
{
	int condition = outlook_condition(&row->socket);
	struct tcpkeep_situation situation;
	struct lane *now = &explanation->now;
	int r;

	if (condition < 0)
		return 0;
	explanation->has_now = true;
	now->condition = (enum tcpkeep_condition)condition;
	situation = situation_of(row, now->condition);
	situation.wheel = TCPKEEP_WHEEL_EARLIEST;
	r = run_lane(&situation, &explanation->kernel, now);
	if (r < 0)
		return r;
	situation.wheel = TCPKEEP_WHEEL_LATEST;
	r = run_lane(&situation, &explanation->kernel, now);
	if (r < 0)
		return r;
	now->worst_us = MAX(now->worst_us, now->death_us);
	return 0;
}

int explanation_make_live(const struct snapshot_row *socket, struct explanation *ret)
{
	const struct tcpkeep_effective *e = &socket->effective;
	int r;

	r = explanation_make(&e->settings, &socket->netns->kernel, ret);
	if (r < 0)
		return r;
	ret->from_sysctl = (e->time_origin == TCPKEEP_ORIGIN_SYSCTL ? TCPKEEP_TIME : 0) |
			   (e->intvl_origin == TCPKEEP_ORIGIN_SYSCTL ? TCPKEEP_INTVL : 0) |
			   (e->probes_origin == TCPKEEP_ORIGIN_SYSCTL ? TCPKEEP_PROBES : 0);
	ret->socket = socket;
	return make_now(socket, ret);
}
