/* SPDX-License-Identifier: MIT */
/* From the settings to the times of the experiment. */
#include <errno.h>

#include "base/macro.h"
#include "keepalive/error.h"
#include "prove.h"

#define SECOND_US 1000000ULL

/* Short, and yet each step is far longer than the timer wheel's buckets: the proof is quick and
 * sharp. */
static const struct tcpkeep_settings default_settings = TCPKEEP_SETTINGS(2, 1, 3);

/* After so many milliseconds without data the vanishing server vanishes: before the first probe. */
#define VANISH_AFTER_MS 1000

/* The answer comes so long after the NAT forgot; retransmissions fill the time in which it may
 * arrive. */
#define ANSWER_AFTER_NAT_S 3
#define ANSWER_WITHIN_S    3

/* What is watched beyond the last moment at which the model expects the death. */
#define WATCH_MARGIN_US (1500 * 1000ULL)

/* Connecting, tidying: what the duration leaves for the client to start. */
#define START_BUDGET_US (10 * SECOND_US)

static int detect_us(const struct prove_plan *plan, uint64_t *ret)
{
	struct tcpkeep_detection detection;
	int r;

	r = tcpkeep_detection(&plan->settings, &plan->kernel, &detection);
	if (r < 0)
		return r;
	*ret = detection.idle_us;
	return 0;
}

uint64_t prove_plan_duration_us(const struct prove_plan *plan)
{
	return MAX(plan->answer_after_us + plan->answer_within_us, plan->watch_until_us);
}

static int refuse(const struct prove_plan *plan, struct tcpkeep_error *error)
{
	char text[TCPKEEP_SETTINGS_TEXT_MAX];

	tcpkeep_settings_format(&plan->settings, text, sizeof(text));
	return error_set(error, -E2BIG,
			 "'%s' takes too long to prove: all has to be over in 40 s; choose a time "
			 "up to 16 and time + intvl x probes up to 25, or see 'tcpkeep explain %s'",
			 text, text);
}

int prove_plan_make(const struct tcpkeep_settings *settings, struct prove_plan *ret,
		    struct tcpkeep_error *error)
{
	struct prove_plan plan = {
		.settings = default_settings,
		/* A new network namespace starts at the kernel's defaults, not at the host's. */
		.kernel = TCPKEEP_KERNEL_DEFAULT,
	};
	struct tcpkeep_kernel host;
	uint64_t dead_us;
	int period_s, r;

	r = tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &host);
	if (r < 0)
		return error_set(error, r, "cannot read the kernel's HZ");
	plan.kernel.hz = host.hz;

	tcpkeep_settings_merge(&plan.settings, settings);
	if (!plan.settings.on)
		return error_set(error, -EINVAL, "'off' leaves nothing to prove");
	r = detect_us(&plan, &dead_us);
	if (r < 0)
		return error_set(error, r, "the model refuses the settings");

	/* Half as long again as the time until a probe refreshes it, at least two seconds more. */
	period_s = MAX(plan.settings.time_s, plan.settings.intvl_s);
	plan.nat_timeout_s = (unsigned)(period_s + MAX(period_s / 2, 2));
	plan.answer_after_us = (plan.nat_timeout_s + ANSWER_AFTER_NAT_S) * SECOND_US;
	plan.answer_within_us = ANSWER_WITHIN_S * SECOND_US;
	plan.vanish_after_us =
		MIN(VANISH_AFTER_MS * 1000ULL, (uint64_t)plan.settings.time_s * SECOND_US / 2);
	plan.watch_until_us = MAX(dead_us + WATCH_MARGIN_US, plan.answer_after_us);
	if (dead_us == TCPKEEP_NEVER ||
	    prove_plan_duration_us(&plan) + START_BUDGET_US > PROVE_TOTAL_MAX_US)
		return refuse(&plan, error);
	*ret = plan;
	return 0;
}

const char *prove_outcome_name(enum prove_outcome outcome)
{
	static const char *const names[] = {
		[PROVE_PENDING] = "pending",     [PROVE_ANSWERED] = "answered",
		[PROVE_LOST] = "lost",           [PROVE_NOTICED] = "noticed",
		[PROVE_UNNOTICED] = "unnoticed", [PROVE_NOT_CONNECTED] = "not-connected",
		[PROVE_EXITED] = "exited",       [PROVE_CLOSED] = "closed",
		[PROVE_RESTLESS] = "restless",   [PROVE_NOT_IDLE] = "not-idle",
	};

	return (size_t)outcome < ARRAY_SIZE(names) ? names[outcome] : "unknown";
}
