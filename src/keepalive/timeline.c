/* SPDX-License-Identifier: MIT */
/*
 * What the kernel does to a connection, as a pure function: net/ipv4/tcp_timer.c with the clock
 * taken out. Two timers run at most, as in the kernel: the keepalive timer (sk_timer) and the
 * transmit timer, which retransmits data in flight or probes a zero window. All times inside are
 * ticks from the start.
 */
#include <errno.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/macro.h"
#include "timeline.h"
#include "wheel.h"

#define NONE UINT64_MAX

/* include/net/tcp.h */
#define TIMEWAIT_LEN_S 60 /* TCP_TIMEWAIT_LEN */
#define ORPHAN_RETRIES 8  /* tcp_orphan_retries(): what 0 means */

/* A century: beyond it the arithmetic ends, and nobody waits. */
#define SPAN_MAX_US (100ULL * 366 * 86400 * 1000000)

struct state {
	struct tcpkeep_situation situation;
	struct tcpkeep_kernel kernel;

	int64_t time, intvl; /* ticks; effective, as the sysctls give them: zero and negative too */
	int probes_max;
	uint64_t user_timeout; /* ticks; 0 = none */
	uint64_t rto_max;

	uint64_t now;
	uint64_t keepalive_fires, transmit_fires, answer_at, reset_at;
	int64_t heard;    /* negative: before the start */
	int probes_out;   /* keepalive or zero window probes, unanswered: icsk_probes_out */
	unsigned sent;    /* of what events count */
	unsigned backoff; /* zero window: icsk_backoff */
	uint64_t rto;     /* in flight: icsk_rto */
	uint64_t began; /* first retransmission (retrans_stamp) or window probe (icsk_probes_tstamp)
			 */
	bool outstanding;  /* in flight or zero window: keepalive holds its tongue */
	bool armed_before; /* a timer has fired: what follows starts on a tick */
	bool ended;
} __attribute__((__may_alias__)); /* it lives in the caller's opaque_ words */

_Static_assert(sizeof(struct state) <= sizeof(struct tcpkeep_timeline), "opaque_ is too small");

uint64_t timeline_ms_to_ticks(const struct tcpkeep_kernel *kernel, uint64_t ms)
{
	return (ms * kernel->hz + 999) / 1000;
}

bool timeline_kernel_is_sound(const struct tcpkeep_kernel *kernel)
{
	return kernel->hz > 0 && kernel->hz <= 10000 && kernel->rto_max_ms >= TIMELINE_RTO_MIN_MS &&
	       kernel->rto_max_ms <= 86400000 && kernel->retries2 <= TIMELINE_RETRIES_MAX &&
	       kernel->orphan_retries <= TIMELINE_RETRIES_MAX;
}

uint64_t timeline_model_timeout(const struct tcpkeep_kernel *kernel, unsigned boundary)
{
	uint64_t base = timeline_ms_to_ticks(kernel, TIMELINE_RTO_MIN_MS);
	uint64_t rto_max = timeline_ms_to_ticks(kernel, kernel->rto_max_ms);
	unsigned linear = 0;

	while (base << (linear + 1) <= rto_max)
		linear++;
	if (boundary <= linear)
		return ((2ULL << boundary) - 1) * base;
	return ((2ULL << linear) - 1) * base + (boundary - linear) * rto_max;
}

static uint64_t ms_to_ticks(const struct state *s, uint64_t ms)
{
	return timeline_ms_to_ticks(&s->kernel, ms);
}

static uint64_t us_to_ticks(const struct state *s, uint64_t us)
{
	us = MIN(us, SPAN_MAX_US);
	return us / 1000000 * s->kernel.hz + (us % 1000000 * s->kernel.hz + 999999) / 1000000;
}

static uint64_t ticks_to_us(const struct state *s, uint64_t ticks)
{
	return ticks / s->kernel.hz * 1000000 + ticks % s->kernel.hz * 1000000 / s->kernel.hz;
}

/* When a timer of so many ticks fires that is started now. */
static uint64_t arm(const struct state *s, uint64_t delay)
{
	switch (s->situation.wheel) {
	case TCPKEEP_WHEEL_EXACT:
		return s->now + tcpkeep_wheel_delay(s->situation.start_jiffies + s->now, delay);
	case TCPKEEP_WHEEL_EARLIEST:
		/* The first start is anywhere in a tick, so it can be nearly a tick early for us.
		 */
		return s->now + delay + s->armed_before;
	case TCPKEEP_WHEEL_LATEST:
		break;
	}
	return s->now + tcpkeep_wheel_latest(delay);
}

/* A timer whose remaining time was read: it lies in the bucket of the delay that it was started
 * with. */
static uint64_t armed_already(const struct state *s, uint64_t remaining, uint64_t started_with)
{
	uint64_t bucket = wheel_bucket(started_with);
	uint64_t expires = s->situation.start_jiffies + remaining;

	switch (s->situation.wheel) {
	case TCPKEEP_WHEEL_EXACT:
		return (expires / bucket + 1) * bucket - s->situation.start_jiffies;
	case TCPKEEP_WHEEL_EARLIEST:
		return remaining;
	case TCPKEEP_WHEEL_LATEST:
		break;
	}
	return remaining + bucket;
}

static uint64_t silence(const struct state *s)
{
	return (uint64_t)((int64_t)s->now - s->heard);
}

static void emit(const struct state *s, enum tcpkeep_event_kind kind, int error,
		 struct tcpkeep_event *ret)
{
	*ret = (struct tcpkeep_event){
		.kind = kind,
		.at_us = ticks_to_us(s, s->now),
		.count = s->sent,
		.error = error,
	};
}

static void end(struct state *s, enum tcpkeep_event_kind kind, int error, struct tcpkeep_event *ret)
{
	emit(s, kind, error, ret);
	s->ended = true;
}

/* Something was sent: does an answer come back, and when? */
static void peer_hears(struct state *s)
{
	uint64_t back = s->now + us_to_ticks(s, s->situation.rtt_us);

	switch (s->situation.peer) {
	case TCPKEEP_PEER_SILENT:
		return;
	case TCPKEEP_PEER_RETURNS:
		if (s->now < us_to_ticks(s, s->situation.returns_us))
			return;
		break;
	case TCPKEEP_PEER_RESETS:
		s->reset_at = back;
		return;
	case TCPKEEP_PEER_ANSWERS:
		break;
	}
	s->answer_at = back;
}

/* ------------------------------------------------------- keepalive: tcp_keepalive_timer() */

static bool keepalive_is_dead(const struct state *s)
{
	if (s->user_timeout)
		return silence(s) >= s->user_timeout && s->probes_out > 0;
	return s->probes_out >= s->probes_max;
}

/* True when there is an event to tell. */
static bool keepalive_fire(struct state *s, struct tcpkeep_event *ret)
{
	s->keepalive_fires = NONE;
	if (s->outstanding) {
		s->keepalive_fires = arm(s, (uint64_t)s->time);
		return false;
	}
	if (silence(s) < (uint64_t)s->time) {
		s->keepalive_fires = arm(s, (uint64_t)s->time - silence(s));
		return false;
	}
	if (keepalive_is_dead(s)) {
		end(s, TCPKEEP_EVENT_DEATH, ETIMEDOUT, ret);
		return true;
	}
	s->probes_out++;
	s->sent++;
	/* A negative interval is a huge one in the kernel's unsigned arithmetic: the end of
	 * probing. */
	if (s->intvl >= 0)
		s->keepalive_fires = arm(s, (uint64_t)s->intvl);
	peer_hears(s);
	emit(s, TCPKEEP_EVENT_PROBE, 0, ret);
	return true;
}

/* -------------------------------------------------- data in flight: tcp_retransmit_timer() */

static unsigned retries(const struct state *s)
{
	if (!s->situation.orphan)
		return (unsigned)MAX(s->kernel.retries2, 0);
	return s->kernel.orphan_retries > 0 ? (unsigned)s->kernel.orphan_retries : ORPHAN_RETRIES;
}

/* tcp_write_err(): an orphan has nobody to be told. */
static void give_up(struct state *s, struct tcpkeep_event *ret)
{
	if (s->situation.orphan)
		end(s, TCPKEEP_EVENT_FREED, 0, ret);
	else
		end(s, TCPKEEP_EVENT_DEATH, ETIMEDOUT, ret);
}

static bool retransmits_timed_out(const struct state *s)
{
	uint64_t limit =
		s->user_timeout ? s->user_timeout : timeline_model_timeout(&s->kernel, retries(s));

	return s->sent > 0 && s->now - s->began >= limit;
}

/* tcp_clamp_rto_to_user_timeout() */
static uint64_t clamp_to_user_timeout(const struct state *s, uint64_t delay, uint64_t at_least)
{
	uint64_t elapsed = s->now - s->began;

	if (!s->user_timeout)
		return delay;
	if (elapsed >= s->user_timeout)
		return at_least;
	return MIN(delay, MAX(s->user_timeout - elapsed, at_least));
}

static void retransmit_fire(struct state *s, struct tcpkeep_event *ret)
{
	s->transmit_fires = NONE;
	if (retransmits_timed_out(s)) {
		give_up(s, ret);
		return;
	}
	if (s->sent == 0)
		s->began = s->now;
	s->sent++;
	s->rto = MIN(s->rto * 2, s->rto_max);
	s->transmit_fires = arm(s, clamp_to_user_timeout(s, s->rto, 1));
	peer_hears(s);
	emit(s, TCPKEEP_EVENT_RETRANSMIT, 0, ret);
}

/* ------------------------------------------------------- zero window: tcp_probe_timer() */

/* tcp_probe0_when(), tcp_clamp_probe0_to_user_timeout() */
static uint64_t window_probe_delay(const struct state *s)
{
	uint64_t delay = s->rto << MIN(s->backoff, (unsigned)TIMELINE_PROBE0_BACKOFF_MAX);

	delay = MIN(delay, s->rto_max);
	if (s->began == NONE)
		return delay;
	return clamp_to_user_timeout(s, delay, TIMELINE_TIMEOUT_MIN_TICKS);
}

static void window_probe_fire(struct state *s, struct tcpkeep_event *ret)
{
	bool timed_out =
		s->user_timeout && s->began != NONE && s->now - s->began >= s->user_timeout;

	s->transmit_fires = NONE;
	if (timed_out || s->probes_out >= (int)retries(s)) {
		give_up(s, ret);
		return;
	}
	if (s->began == NONE)
		s->began = s->now;
	s->probes_out++;
	s->sent++;
	if (s->backoff < (unsigned)MAX(s->kernel.retries2, 0))
		s->backoff++;
	s->transmit_fires = arm(s, window_probe_delay(s));
	peer_hears(s);
	emit(s, TCPKEEP_EVENT_WINDOW_PROBE, 0, ret);
}

/* --------------------------------------------------------------------------- what arrives */

static void answer_arrives(struct state *s, struct tcpkeep_event *ret)
{
	s->answer_at = NONE;
	s->heard = (int64_t)s->now;
	s->probes_out = 0;
	if (s->situation.condition == TCPKEEP_CONDITION_IN_FLIGHT && s->outstanding) {
		/* All of it is acknowledged: from here on the connection is idle. */
		s->outstanding = false;
		s->transmit_fires = NONE;
	} else if (s->situation.condition == TCPKEEP_CONDITION_ZERO_WINDOW) {
		/* tcp_ack_probe(): the window is still closed, the timer starts again. */
		s->transmit_fires = arm(s, window_probe_delay(s));
	}
	emit(s, TCPKEEP_EVENT_ANSWER, 0, ret);
	s->sent = 0;
}

static void transmit_fire(struct state *s, struct tcpkeep_event *ret)
{
	switch (s->situation.condition) {
	case TCPKEEP_CONDITION_IN_FLIGHT:
		retransmit_fire(s, ret);
		return;
	case TCPKEEP_CONDITION_ZERO_WINDOW:
		window_probe_fire(s, ret);
		return;
	case TCPKEEP_CONDITION_IDLE:
	case TCPKEEP_CONDITION_ORPHAN_FIN_WAIT2:
		break;
	}
	end(s, TCPKEEP_EVENT_FREED, 0, ret);
}

/* ------------------------------------------------------------------------------ the start */

static void start_keepalive(struct state *s)
{
	uint64_t time = (uint64_t)s->time;

	/* A negative time is a huge one in the kernel's unsigned arithmetic: it never probes. */
	if (!s->situation.settings.on || s->time < 0)
		return;
	if (s->situation.timer_known) {
		uint64_t started_with = s->probes_out > 0 ? (uint64_t)MAX(s->intvl, 0) : time;

		s->keepalive_fires =
			armed_already(s, us_to_ticks(s, s->situation.timer_us), started_with);
	} else {
		s->keepalive_fires = arm(s, time > silence(s) ? time - silence(s) : 0);
	}
}

/* tcp_close(), tcp_rcv_state_process(): FIN_WAIT2 without an owner lives tcp_fin_timeout. */
static void start_orphan(struct state *s)
{
	uint64_t total = (uint64_t)s->kernel.fin_timeout_s * s->kernel.hz;
	uint64_t timewait = TIMEWAIT_LEN_S * (uint64_t)s->kernel.hz;

	if (total <= timewait) {
		s->transmit_fires = arm(s, total);
		return;
	}
	/* A longer one first waits as a socket, then as long again as a time-wait entry. */
	s->transmit_fires = arm(s, total - timewait);
	s->transmit_fires += arm(s, total - timewait) - s->now;
}

static void start_transmit(struct state *s)
{
	unsigned rto_ms = s->situation.rto_ms ? s->situation.rto_ms : TIMELINE_RTO_MIN_MS;
	unsigned first_ms = s->situation.first_timeout_ms ? s->situation.first_timeout_ms : rto_ms;

	s->outstanding = true;
	s->rto = ms_to_ticks(s, MAX(rto_ms, (unsigned)TIMELINE_RTO_MIN_MS));
	s->transmit_fires = arm(s, ms_to_ticks(s, first_ms));
	if (s->situation.condition == TCPKEEP_CONDITION_IN_FLIGHT)
		peer_hears(s);
}

/* What the socket has not set comes from the sysctls. */
static void fill_effective(struct state *s)
{
	struct tcpkeep_settings effective;
	int hz = (int)s->kernel.hz;

	tcpkeep_sysctls_to_settings(&s->kernel.sysctls, &effective);
	tcpkeep_settings_merge(&effective, &s->situation.settings);
	if (!(effective.fields & TCPKEEP_ON))
		effective.on = false;
	if (!(effective.fields & TCPKEEP_USER_TIMEOUT))
		effective.user_timeout_ms = 0;
	s->situation.settings = effective;
	s->time = (int64_t)effective.time_s * hz;
	s->intvl = (int64_t)effective.intvl_s * hz;
	s->probes_max = effective.probes;
	s->user_timeout = ms_to_ticks(s, (uint64_t)MAX(effective.user_timeout_ms, 0));
}

EXPORT int tcpkeep_timeline_init(struct tcpkeep_timeline *timeline,
				 const struct tcpkeep_situation *situation,
				 const struct tcpkeep_kernel *kernel)
{
	struct state *s = (struct state *)timeline->opaque_;

	if (!timeline_kernel_is_sound(kernel) || situation->probes_out < 0 ||
	    situation->probes_out > UINT8_MAX || situation->silence_us > SPAN_MAX_US ||
	    situation->timer_us > SPAN_MAX_US || situation->rtt_us > SPAN_MAX_US ||
	    situation->rto_ms > kernel->rto_max_ms || situation->first_timeout_ms > INT32_MAX)
		return -EINVAL;
	*s = (struct state){
		.situation = *situation,
		.kernel = *kernel,
		.keepalive_fires = NONE,
		.transmit_fires = NONE,
		.answer_at = NONE,
		.reset_at = NONE,
		.began = NONE,
		.probes_out = situation->probes_out,
		.sent = (unsigned)MAX(situation->probes_out, 0),
	};
	s->rto_max = ms_to_ticks(s, kernel->rto_max_ms);
	s->heard = -(int64_t)us_to_ticks(s, situation->silence_us);
	fill_effective(s);
	if (situation->condition == TCPKEEP_CONDITION_ORPHAN_FIN_WAIT2) {
		start_orphan(s);
		return 0;
	}
	if (situation->condition != TCPKEEP_CONDITION_IDLE)
		start_transmit(s);
	if (!situation->orphan)
		start_keepalive(s);
	return 0;
}

EXPORT int tcpkeep_timeline_next(struct tcpkeep_timeline *timeline, struct tcpkeep_event *ret)
{
	struct state *s = (struct state *)timeline->opaque_;

	while (!s->ended) {
		uint64_t timer = MIN(s->keepalive_fires, s->transmit_fires);
		uint64_t arrival = MIN(s->answer_at, s->reset_at);

		if (MIN(timer, arrival) == NONE)
			break;
		s->now = MIN(timer, arrival);
		if (s->now == s->reset_at) {
			end(s, TCPKEEP_EVENT_RESET, ECONNRESET, ret);
			return 1;
		}
		if (s->now == s->answer_at) {
			answer_arrives(s, ret);
			return 1;
		}
		s->armed_before = true;
		if (s->now == s->transmit_fires) {
			transmit_fire(s, ret);
			return 1;
		}
		if (keepalive_fire(s, ret))
			return 1;
	}
	*ret = (struct tcpkeep_event){.kind = TCPKEEP_EVENT_END, .at_us = TCPKEEP_NEVER};
	return 0;
}

EXPORT const char *tcpkeep_event_name(enum tcpkeep_event_kind kind)
{
	static const char *const names[] = {
		[TCPKEEP_EVENT_END] = "end",
		[TCPKEEP_EVENT_PROBE] = "probe",
		[TCPKEEP_EVENT_RETRANSMIT] = "retransmit",
		[TCPKEEP_EVENT_WINDOW_PROBE] = "window-probe",
		[TCPKEEP_EVENT_ANSWER] = "answer",
		[TCPKEEP_EVENT_DEATH] = "death",
		[TCPKEEP_EVENT_RESET] = "reset",
		[TCPKEEP_EVENT_FREED] = "freed",
	};

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}
