/* SPDX-License-Identifier: MIT */
#include "storm-ticks.h"

#include <tcpkeep.h>

#include "base/macro.h"
#include "keepalive/wheel.h"

/* ----------------------------------------------------------------------------------- the heap */

static bool fires_before(const struct cohort *a, const struct cohort *b)
{
	if (a->tick != b->tick)
		return a->tick < b->tick;
	if (a->width != b->width)
		return a->width > b->width;
	return a->serial > b->serial;
}

static void heap_swap(struct storm *storm, uint32_t i, uint32_t j)
{
	uint32_t index = storm->heap[i];

	storm->heap[i] = storm->heap[j];
	storm->heap[j] = index;
}

static bool heap_before(const struct storm *storm, uint32_t i, uint32_t j)
{
	return fires_before(&storm->cohorts[storm->heap[i]], &storm->cohorts[storm->heap[j]]);
}

static void heap_up(struct storm *storm, uint32_t i)
{
	while (i > 0 && heap_before(storm, i, (i - 1) / 2)) {
		heap_swap(storm, i, (i - 1) / 2);
		i = (i - 1) / 2;
	}
}

static void heap_down(struct storm *storm, uint32_t i)
{
	uint32_t child;

	while ((child = 2 * i + 1) < storm->used) {
		if (child + 1 < storm->used && heap_before(storm, child + 1, child))
			child++;
		if (!heap_before(storm, child, i))
			break;
		heap_swap(storm, i, child);
		i = child;
	}
}

void storm_reorder(struct storm *storm)
{
	for (uint32_t i = storm->used / 2; i-- > 0;)
		heap_down(storm, i);
}

/* Takes the first one out. */
static struct cohort heap_pop(struct storm *storm)
{
	uint32_t index = storm->heap[0];

	if (storm->last == index)
		storm->last = NONE;
	heap_swap(storm, 0, --storm->used);
	heap_down(storm, 0);
	return storm->cohorts[index];
}

void storm_place(struct storm *storm, struct cohort cohort)
{
	struct cohort *last = storm->last == NONE ? NULL : &storm->cohorts[storm->last];

	if (cohort.sockets == 0)
		return;
	cohort.serial = storm->serial++;
	if (last && last->tick == cohort.tick && last->width == cohort.width &&
	    last->heard == cohort.heard && last->lost == cohort.lost && last->kind == cohort.kind) {
		last->sockets += cohort.sockets;
		return;
	}
	if (storm->used == COHORTS_MAX) {
		if (!last)
			last = &storm->cohorts[storm->heap[0]];
		last->sockets += cohort.sockets;
		last->lost = MAX(last->lost, cohort.lost);
		last->heard = MIN(last->heard, cohort.heard);
		return;
	}
	storm->last = storm->heap[storm->used];
	storm->cohorts[storm->last] = cohort;
	heap_up(storm, storm->used++);
}

void storm_arm(struct storm *storm, struct cohort cohort, uint64_t now, uint64_t delay)
{
	cohort.tick = now + tcpkeep_wheel_delay(now, delay);
	cohort.width = wheel_bucket(delay);
	storm_place(storm, cohort);
}

/* ------------------------------------------------------------------------------------ a tick */

static void count_second(struct storm *storm, uint64_t tick, uint64_t sent)
{
	if (sent == 0)
		return;
	while (storm->second_used > 0 &&
	       storm->second[storm->second_first].tick + storm->load->hz <= tick) {
		storm->second_sent -= storm->second[storm->second_first].sent;
		storm->second_first = (storm->second_first + 1) % SECOND_TICKS;
		storm->second_used--;
	}
	storm->second[(storm->second_first + storm->second_used) % SECOND_TICKS].tick = tick;
	storm->second[(storm->second_first + storm->second_used) % SECOND_TICKS].sent = sent;
	storm->second_used++;
	storm->second_sent += sent;
	storm->forecast.peak_per_s = MAX(storm->forecast.peak_per_s, storm->second_sent);
	storm->forecast.peak_per_tick = MAX(storm->forecast.peak_per_tick, sent);
}

/* Who is nearest to death. */
static void count_worst(struct storm *storm, unsigned lost, unsigned of)
{
	struct storm_forecast *forecast = &storm->forecast;

	if (forecast->worst_of > 0 &&
	    (uint64_t)lost * forecast->worst_of <= (uint64_t)forecast->worst_lost * of)
		return;
	forecast->worst_lost = lost;
	forecast->worst_of = of;
}

/* What the queue takes of so many probes; the rest is lost. */
static void send_probes(struct storm *storm, const struct cohort *cohort, uint64_t sockets,
			uint64_t now)
{
	uint64_t intvl = storm->kinds[cohort->kind].intvl;
	uint64_t room = storm->load->backlog - MIN(storm->queued, storm->load->backlog);
	struct cohort answered = *cohort, unheard = *cohort;

	answered.sockets = MIN(sockets, room);
	answered.lost = 0;
	answered.heard = now;
	unheard.sockets = sockets - answered.sockets;
	unheard.lost++;
	storm_arm(storm, answered, now, intvl);
	storm_arm(storm, unheard, now, intvl);
	storm->queued += answered.sockets;
	storm->cursor_ns += sockets * storm->cost->send_ns;
	storm->sent += sockets;
	storm->tick_sent += sockets;
	if (unheard.sockets == 0)
		return;
	storm->last_loss_tick = now;
	storm->forecast.lost += unheard.sockets;
	storm->forecast.lost_in_row_max = MAX(storm->forecast.lost_in_row_max, unheard.lost);
	count_worst(storm, unheard.lost, storm->kinds[cohort->kind].probes);
}

static bool is_dead(const struct storm *storm, const struct cohort *cohort, uint64_t now)
{
	const struct kind *kind = &storm->kinds[cohort->kind];

	if (cohort->lost == 0)
		return false;
	if (kind->user_timeout > 0)
		return now - cohort->heard >= kind->user_timeout;
	return cohort->lost >= kind->probes;
}

/* tcp_keepalive_timer(), for a whole cohort. Jiffies pass while it sends: in pieces of a tick. */
static unsigned fire(struct storm *storm, struct cohort cohort)
{
	unsigned steps = 0;

	while (cohort.sockets > 0) {
		uint64_t now = MAX(cohort.tick, storm->cursor_ns / storm->tick_ns);
		uint64_t left_ns = (now + 1) * storm->tick_ns - storm->cursor_ns;
		uint64_t piece = left_ns / storm->cost->send_ns + 1;
		uint64_t time = storm->kinds[cohort.kind].time;

		steps++;
		if (is_dead(storm, &cohort, now)) {
			storm->forecast.deaths += cohort.sockets;
			break;
		}
		if (now - cohort.heard < time) {
			storm_arm(storm, cohort, now, time - (now - cohort.heard));
			break;
		}
		piece = MIN(piece, cohort.sockets);
		send_probes(storm, &cohort, piece, now);
		cohort.sockets -= piece;
	}
	return steps;
}

unsigned storm_run_tick(struct storm *storm)
{
	uint64_t tick = storm->cohorts[storm->heap[0]].tick;
	uint64_t start_ns = tick * storm->tick_ns;
	unsigned steps = 0;

	if (start_ns >= storm->cursor_ns) {
		uint64_t drained = (start_ns - storm->cursor_ns) / storm->cost->drain_ns;

		storm->queued -= MIN(storm->queued, drained);
		storm->cursor_ns = start_ns;
	}
	storm->tick_sent = 0;
	while (storm->used > 0 && storm->cohorts[storm->heap[0]].tick == tick)
		steps += fire(storm, heap_pop(storm));
	count_second(storm, tick, storm->tick_sent);
	return steps;
}
