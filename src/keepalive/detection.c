/* SPDX-License-Identifier: MIT */
/*
 * What settings mean: how long until a dead peer is noticed, how often a healthy one is asked.
 * Worst cases over every phase of the timer wheel, in closed form: the timeline runs one phase at a
 * time, and the worst is often one in the middle, whose last timer but one fires just below a
 * limit.
 */
#include <errno.h>
#include <tcpkeep.h>

#include "base/macro.h"
#include "timeline.h"
#include "wheel.h"

#define NONE UINT64_MAX

/* Where a timer of a chain can fire, in ticks: at the earliest and at the latest. */
struct range {
	uint64_t low, high;
};

static uint64_t latest(uint64_t delay)
{
	return tcpkeep_wheel_latest(delay);
}

static uint64_t ticks_to_us(const struct tcpkeep_kernel *kernel, uint64_t ticks)
{
	if (ticks == NONE)
		return TCPKEEP_NEVER;
	return ticks / kernel->hz * 1000000 + ticks % kernel->hz * 1000000 / kernel->hz;
}

/* -------------------------------------------------------------------------------------- idle */

/*
 * Keepalive with a user timeout: the first probe, then one each intvl, until one timer fires at or
 * beyond the limit. In how many steps is a matter of the phase; they are all alike, so that the
 * first one which may be there decides.
 */
static uint64_t idle_with_limit(struct range first, uint64_t intvl, uint64_t limit)
{
	uint64_t step = latest(intvl), steps = 0, end;

	if (first.high < limit - 1)
		steps = (limit - 1 - first.high + step - 1) / step;
	/* Just below the limit there can be one more probe, and one more step. */
	if (first.low + steps * (intvl + 1) < limit)
		end = limit - 1 + step;
	else
		end = first.high + steps * step;
	/* A probe has to be sent before anybody can be given up, however late it is. */
	return MAX(end, first.high + step);
}

static uint64_t idle(const struct tcpkeep_settings *s, const struct tcpkeep_kernel *kernel)
{
	uint64_t time, intvl, limit = timeline_ms_to_ticks(kernel, (uint64_t)s->user_timeout_ms);

	/* Negative ones are huge in the kernel's unsigned arithmetic. */
	if (!s->on || s->time_s < 0)
		return NONE;
	time = (uint64_t)s->time_s * kernel->hz;
	if (s->probes <= 0 && limit == 0)
		return latest(time);
	if (s->intvl_s < 0)
		return NONE;
	intvl = (uint64_t)s->intvl_s * kernel->hz;
	if (limit == 0)
		return latest(time) + (uint64_t)s->probes * latest(intvl);
	return idle_with_limit((struct range){time, latest(time)}, intvl, limit);
}

/* ------------------------------------------------------------------- data in flight, zero window
 */

/* A chain of timers that back off, from the first packet that asks the peer. */
struct chain {
	uint64_t limit;    /* on the time since that packet; NONE */
	bool clamped;      /* the limit is a user timeout: no timer is armed beyond it */
	unsigned packets;  /* at most so many; UINT_MAX */
	uint64_t at_least; /* a clamped timer has so many ticks */
	uint64_t rto, rto_max;
	unsigned backoff_max;
};

static uint64_t delay_after(const struct chain *chain, unsigned packets)
{
	unsigned backoff = MIN(packets, chain->backoff_max);
	uint64_t delay = backoff < 32 ? chain->rto << backoff : chain->rto_max;

	return MIN(delay, chain->rto_max);
}

/* The latest end, counted from the first packet. */
static uint64_t chain_end(const struct chain *chain)
{
	struct range at = {0, 0};
	uint64_t worst = 0;

	for (unsigned packets = 1; at.low < chain->limit; packets++) {
		uint64_t delay = delay_after(chain, packets), end;

		at.high = MIN(at.high, chain->limit - 1);
		end = at.high + latest(delay);
		if (chain->clamped && end >= chain->limit) {
			uint64_t left = MAX(chain->limit - at.low, chain->at_least);

			end = MAX(chain->limit, at.high + chain->at_least) +
			      wheel_bucket(MIN(delay, left));
		}
		/* The firing that finds all packets spent is the end in any case. */
		if (packets >= chain->packets)
			return MAX(worst, end);
		if (end >= chain->limit)
			worst = MAX(worst, end);
		at.low += delay + 1;
		at.high = end;
	}
	return worst;
}

static struct chain chain_new(const struct tcpkeep_settings *s, const struct tcpkeep_kernel *kernel)
{
	struct chain chain = {
		.limit = timeline_ms_to_ticks(kernel, (uint64_t)s->user_timeout_ms),
		.packets = UINT32_MAX,
		.rto = timeline_ms_to_ticks(kernel, TIMELINE_RTO_MIN_MS),
		.rto_max = timeline_ms_to_ticks(kernel, kernel->rto_max_ms),
	};

	chain.clamped = chain.limit > 0;
	return chain;
}

static uint64_t in_flight(const struct tcpkeep_settings *s, const struct tcpkeep_kernel *kernel)
{
	struct chain chain = chain_new(s, kernel);

	if (!chain.clamped)
		chain.limit = timeline_model_timeout(kernel, (unsigned)MAX(kernel->retries2, 0));
	chain.at_least = 1;
	chain.backoff_max = UINT32_MAX;
	return latest(chain.rto) + chain_end(&chain);
}

static uint64_t zero_window(const struct tcpkeep_settings *s, const struct tcpkeep_kernel *kernel,
			    bool answered)
{
	struct chain chain = chain_new(s, kernel);
	unsigned retries = (unsigned)MAX(kernel->retries2, 0);

	if (answered && !chain.clamped)
		return NONE;
	if (retries == 0 && !answered)
		return latest(chain.rto);
	if (!chain.clamped)
		chain.limit = NONE;
	if (!answered)
		chain.packets = retries;
	chain.at_least = TIMELINE_TIMEOUT_MIN_TICKS;
	chain.backoff_max = MIN(retries, (unsigned)TIMELINE_PROBE0_BACKOFF_MAX);
	return latest(chain.rto) + chain_end(&chain);
}

/* ---------------------------------------------------------------------------------- together */

static void fill_effective(const struct tcpkeep_settings *settings,
			   const struct tcpkeep_kernel *kernel, struct tcpkeep_settings *ret)
{
	tcpkeep_sysctls_to_settings(&kernel->sysctls, ret);
	tcpkeep_settings_merge(ret, settings);
	if (!(ret->fields & TCPKEEP_ON))
		ret->on = false;
	if (!(ret->fields & TCPKEEP_USER_TIMEOUT))
		ret->user_timeout_ms = 0;
}

EXPORT int tcpkeep_detection(const struct tcpkeep_settings *settings,
			     const struct tcpkeep_kernel *kernel, struct tcpkeep_detection *ret)
{
	struct tcpkeep_settings effective;

	if (!timeline_kernel_is_sound(kernel))
		return -EINVAL;
	fill_effective(settings, kernel, &effective);
	if (effective.user_timeout_ms < 0)
		return -EINVAL;
	*ret = (struct tcpkeep_detection){
		.idle_us = ticks_to_us(kernel, idle(&effective, kernel)),
		.in_flight_us = ticks_to_us(kernel, in_flight(&effective, kernel)),
		.zero_window_us = ticks_to_us(kernel, zero_window(&effective, kernel, false)),
		.zero_window_answered_us =
			ticks_to_us(kernel, zero_window(&effective, kernel, true)),
	};
	return 0;
}

EXPORT uint64_t tcpkeep_probe_period_us(const struct tcpkeep_settings *settings,
					const struct tcpkeep_kernel *kernel)
{
	struct tcpkeep_settings effective;
	uint64_t period_us;

	fill_effective(settings, kernel, &effective);
	if (!effective.on || effective.time_s < 0 || effective.intvl_s < 0)
		return TCPKEEP_NEVER;
	/*
	 * After an answered probe the timer runs for intvl and then for what is left of time: the
	 * period is the longer of the two. Zero of both (the sysctls) is a probe on each tick.
	 */
	period_us = (uint64_t)MAX(effective.time_s, effective.intvl_s) * 1000000;
	return period_us ? period_us : 1000000 / kernel->hz;
}
