/* SPDX-License-Identifier: MIT */
/* What the timeline means: how long until a dead peer is noticed, how often it asks. */
#include <tcpkeep.h>

#include "base/macro.h"

/* How one run of the model ends. */
struct end {
	uint64_t at_us;    /* of the death; TCPKEEP_NEVER */
	uint64_t first_us; /* of the first packet that asked the peer */
	unsigned count;    /* how many did */
};

static int run(const struct tcpkeep_situation *situation, enum tcpkeep_wheel wheel,
	       const struct tcpkeep_kernel *kernel, struct end *ret)
{
	struct tcpkeep_situation with_wheel = *situation;
	struct tcpkeep_timeline timeline;
	struct end end = {.first_us = TCPKEEP_NEVER};
	struct tcpkeep_event event;
	int r;

	with_wheel.wheel = wheel;
	r = tcpkeep_timeline_init(&timeline, &with_wheel, kernel);
	if (r < 0)
		return r;
	while (tcpkeep_timeline_next(&timeline, &event) > 0) {
		if (end.first_us == TCPKEEP_NEVER)
			end.first_us = event.at_us;
		if (event.kind == TCPKEEP_EVENT_DEATH)
			break;
		end.count = event.count;
	}
	end.at_us = event.at_us;
	*ret = end;
	return 0;
}

/*
 * The worst case between the earliest and the latest wheel. When both end after the same number of
 * packets, so does all between, and the latest is the worst. Otherwise a limit on time lies between
 * them: the worst is the timer that fires just below the limit, and one more step.
 */
static int worst_case(const struct tcpkeep_situation *situation,
		      const struct tcpkeep_kernel *kernel, uint64_t *ret_us)
{
	struct end earliest, latest;
	uint64_t step_us;
	int r;

	r = run(situation, TCPKEEP_WHEEL_EARLIEST, kernel, &earliest);
	if (r < 0)
		return r;
	r = run(situation, TCPKEEP_WHEEL_LATEST, kernel, &latest);
	if (r < 0)
		return r;
	*ret_us = MAX(earliest.at_us, latest.at_us);
	if (*ret_us == TCPKEEP_NEVER || earliest.count == latest.count ||
	    situation->condition == TCPKEEP_CONDITION_ZERO_WINDOW)
		return 0;

	step_us = *ret_us - MIN(earliest.at_us, latest.at_us);
	if (situation->condition == TCPKEEP_CONDITION_IDLE) {
		uint64_t limit_us = (uint64_t)situation->settings.user_timeout_ms * 1000;
		int intvl_s = situation->settings.intvl_s;
		uint64_t ticks = (uint64_t)intvl_s * kernel->hz;

		step_us = tcpkeep_wheel_latest(ticks) * 1000000 / kernel->hz;
		*ret_us = MAX(*ret_us, limit_us + step_us);
	} else {
		/* The packets of the earliest run, each as late as it can be. */
		*ret_us += latest.first_us - earliest.first_us + step_us / 8;
	}
	return 0;
}

EXPORT int tcpkeep_detection(const struct tcpkeep_settings *settings,
			     const struct tcpkeep_kernel *kernel, struct tcpkeep_detection *ret)
{
	struct tcpkeep_situation situation = {0};
	struct tcpkeep_detection detection;
	int r;

	tcpkeep_sysctls_to_settings(&kernel->sysctls, &situation.settings);
	tcpkeep_settings_merge(&situation.settings, settings);
	r = worst_case(&situation, kernel, &detection.idle_us);
	if (r < 0)
		return r;
	situation.condition = TCPKEEP_CONDITION_IN_FLIGHT;
	r = worst_case(&situation, kernel, &detection.in_flight_us);
	if (r < 0)
		return r;
	situation.condition = TCPKEEP_CONDITION_ZERO_WINDOW;
	r = worst_case(&situation, kernel, &detection.zero_window_us);
	if (r < 0)
		return r;

	/* A peer that answers each window probe lives for ever, unless a user timeout ends it. */
	detection.zero_window_answered_us = TCPKEEP_NEVER;
	situation.peer = TCPKEEP_PEER_ANSWERS;
	if (situation.settings.fields & TCPKEEP_USER_TIMEOUT &&
	    situation.settings.user_timeout_ms > 0) {
		r = worst_case(&situation, kernel, &detection.zero_window_answered_us);
		if (r < 0)
			return r;
	}
	*ret = detection;
	return 0;
}

EXPORT uint64_t tcpkeep_probe_period_us(const struct tcpkeep_settings *settings,
					const struct tcpkeep_kernel *kernel)
{
	struct tcpkeep_settings effective;
	uint64_t period_us;

	tcpkeep_sysctls_to_settings(&kernel->sysctls, &effective);
	tcpkeep_settings_merge(&effective, settings);
	if (!(effective.fields & TCPKEEP_ON) || !effective.on || effective.time_s < 0 ||
	    effective.intvl_s < 0)
		return TCPKEEP_NEVER;
	/*
	 * After an answered probe the timer runs for intvl and then for what is left of time: the
	 * period is the longer of the two. Zero of both (the sysctls) is a probe on each tick.
	 */
	period_us = (uint64_t)MAX(effective.time_s, effective.intvl_s) * 1000000;
	return period_us ? period_us : 1000000 / kernel->hz;
}
