/* SPDX-License-Identifier: MIT */
#include "storm-standing.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "change.h"
#include "keepalive/wheel.h"

/* kernel/time/timer.c: each level of the wheel is 8 times coarser. */
#define LVL_CLK_SHIFT 3
#define LVL_MAX       8U

/* A hash that is fuller is slow. */
#define BINS_USED (STORM_STANDING_BINS * 3 / 4)

/* Bits that are kept of time and intvl, and of the probes, with each step of lowering. */
static const struct {
	unsigned time, intvl, probes;
} kept[] = {{32, 32, 32}, {4, 4, 32}, {2, 2, 2}, {1, 1, 1}, {1, 0, 0}};

struct storm_standing *storm_standing_new(unsigned hz)
{
	struct storm_standing *standing = calloc(1, sizeof(*standing));

	if (standing)
		standing->hz = hz;
	return standing;
}

/* ------------------------------------------------------------------------------------- kinds */

/* Of a value its highest bits; with none of them 1. */
static unsigned lower(unsigned value, unsigned bits)
{
	unsigned have = 0;

	for (unsigned rest = value; rest > 0; rest >>= 1)
		have++;
	if (bits == 0)
		return 1;
	return have > bits ? value >> (have - bits) << (have - bits) : value;
}

static void lower_kind(struct storm_standing_kind *kind, unsigned step)
{
	kind->time_s = lower(kind->time_s, kept[step].time);
	kind->intvl_s = lower(kind->intvl_s, kept[step].intvl);
	kind->tolerates = lower(kind->tolerates, kept[step].probes);
}

/* Its number; STORM_STANDING_KINDS: there is no room. */
static unsigned find_kind(struct storm_standing *standing, struct storm_standing_kind kind)
{
	unsigned i;

	lower_kind(&kind, standing->lowered);
	for (i = 0; i < standing->n_kinds; i++) {
		const struct storm_standing_kind *known = &standing->kinds[i];

		if (known->time_s == kind.time_s && known->intvl_s == kind.intvl_s &&
		    known->tolerates == kind.tolerates && known->ours == kind.ours)
			break;
	}
	if (i == standing->n_kinds && i < STORM_STANDING_KINDS) {
		kind.sockets = 0;
		standing->kinds[standing->n_kinds++] = kind;
	}
	return i;
}

/* -------------------------------------------------------------------------------------- bins */

static uint32_t put_off(uint32_t tick, unsigned levels)
{
	uint32_t width = 1U << LVL_CLK_SHIFT * levels;

	return (tick + width - 1) & ~(width - 1);
}

static void add_bin(struct storm_standing *standing, struct storm_standing_bin bin)
{
	uint64_t key;
	size_t at;

	if (!bin.together)
		bin.tick = put_off(bin.tick, standing->coarser);
	key = (uint64_t)bin.tick << 16 | (uint64_t)bin.kind << 8 | (uint64_t)bin.level << 1 |
	      bin.together;
	at = key * 0x9e3779b97f4a7c15ULL >> 32 & (STORM_STANDING_BINS - 1);
	for (;; at = (at + 1) & (STORM_STANDING_BINS - 1)) {
		struct storm_standing_bin *known = &standing->bins[at];

		if (known->sockets > 0 &&
		    (known->tick != bin.tick || known->kind != bin.kind ||
		     known->level != bin.level || known->together != bin.together))
			continue;
		if (known->sockets == 0)
			standing->n_bins++;
		bin.sockets += known->sockets;
		*known = bin;
		return;
	}
}

/* Puts everything in anew. False: there is no room for the kinds. */
static bool put_again(struct storm_standing *standing, const struct storm_standing *old)
{
	standing->n_kinds = standing->n_bins = 0;
	memset(standing->bins, 0, sizeof(standing->bins));
	for (size_t i = 0; i < STORM_STANDING_BINS; i++) {
		struct storm_standing_bin bin = old->bins[i];
		unsigned kind;

		if (bin.sockets == 0)
			continue;
		kind = find_kind(standing, old->kinds[bin.kind]);
		if (kind == STORM_STANDING_KINDS)
			return false;
		standing->kinds[kind].sockets += bin.sockets;
		bin.kind = (uint8_t)kind;
		add_bin(standing, bin);
	}
	return true;
}

/* With coarser ticks or lower values; with the lowest there is always room. */
static int make_room(struct storm_standing *standing)
{
	_cleanup_free_ struct storm_standing *old = malloc(sizeof(*old));

	if (!old)
		return -ENOMEM;
	*old = *standing;
	while (!put_again(standing, old))
		standing->lowered++;
	return 0;
}

/* ----------------------------------------------------------------------------------- a socket */

/* Where a timer stands, in ticks. */
struct clock {
	uint32_t now, expires, silence;
	unsigned level;
};

static uint32_t to_ticks(uint32_t ms, unsigned hz)
{
	return (uint32_t)MIN((uint64_t)ms * hz / 1000, (uint64_t)INT32_MAX);
}

static unsigned level_of(uint64_t delay)
{
	unsigned level = 0;

	for (uint64_t width = wheel_bucket(delay); width > 1; width >>= LVL_CLK_SHIFT)
		level++;
	return level;
}

/* False: when it fires is not known. */
static bool read_clock(struct storm_standing *standing, const struct socket_row *row,
		       const struct storm_standing_kind *kind, struct clock *ret)
{
	bool keeps = row->known & ROW_KNOWN_TIMER && row->timer == ROW_TIMER_KEEPALIVE;
	uint32_t due =
		keeps && row->timer_ms > 0 ? to_ticks((uint32_t)row->timer_ms, standing->hz) : 0;
	/* What the timer was armed with where nobody tells. */
	unsigned delay_s = row->probes_out > 0 ? kind->intvl_s : kind->time_s;

	if (!(row->known & ROW_KNOWN_SILENCE))
		return false;
	*ret = (struct clock){
		.now = standing->now,
		.expires = standing->now + due,
		.silence = to_ticks(row->silence_ms, standing->hz),
		.level = level_of((uint64_t)delay_s * standing->hz),
	};
	/* Nobody else tells the kernel's clock: any will do, but it has to be one. */
	if (!(row->known & ROW_KNOWN_BUCKET))
		return keeps;
	ret->expires = row->expires_tick;
	ret->level = row->timer_level;
	if (due > 0) {
		ret->now = row->expires_tick - due;
		if (!standing->now_known)
			standing->now = ret->now;
		standing->now_known = true;
	}
	return standing->now_known;
}

/*
 * When it will probe: as its timer fires, or once more, when it has not been silent for long enough
 * by then. A tick lies in its bucket's end: calc_index() in kernel/time/timer.c.
 */
static void find_tick(const struct clock *clock, uint64_t time, struct storm_standing_bin *bin)
{
	uint32_t width = 1U << LVL_CLK_SHIFT * MIN(clock->level, LVL_MAX);
	uint32_t fires = (clock->expires / width + 1) * width;
	int64_t elapsed = (int64_t)clock->silence + (int32_t)(fires - clock->now);

	bin->tick = fires;
	bin->level = (uint8_t)MIN(clock->level, LVL_MAX);
	if (elapsed >= (int64_t)time)
		return;
	bin->tick += (uint32_t)tcpkeep_wheel_delay(fires, (uint64_t)((int64_t)time - elapsed));
	bin->level = (uint8_t)level_of((uint64_t)((int64_t)time - elapsed));
}

static bool is_probing(const struct socket_row *row, const struct change_values *values)
{
	switch (row->state) {
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
	case TCP_FIN_WAIT2:
		return values->on && !(row->flags & ROW_ORPHAN);
	}
	return false;
}

int storm_standing_add(struct storm_standing *standing, const struct socket_row *row,
		       const struct change_values *values, bool ours)
{
	struct storm_standing_kind kind = {
		.time_s = MAX(values->time_s, 1U),
		.intvl_s = MAX(values->intvl_s, 1U),
		.tolerates = (unsigned)change_values_tolerate(values),
		.ours = ours,
	};
	struct storm_standing_bin bin = {.sockets = 1};
	struct clock clock;
	unsigned number;

	if (!is_probing(row, values))
		return 0;
	if (read_clock(standing, row, &kind, &clock))
		find_tick(&clock, (uint64_t)kind.time_s * standing->hz, &bin);
	else
		bin.together = true;
	while ((number = find_kind(standing, kind)) == STORM_STANDING_KINDS) {
		standing->lowered++;
		if (make_room(standing) < 0)
			return -ENOMEM;
	}
	while (standing->n_bins >= BINS_USED) {
		standing->coarser++;
		if (make_room(standing) < 0)
			return -ENOMEM;
		number = find_kind(standing, kind);
	}
	bin.kind = (uint8_t)number;
	standing->kinds[number].sockets++;
	standing->sockets++;
	add_bin(standing, bin);
	return 0;
}

/* ------------------------------------------------------------------------------------ the whole */

static int compare_bins(const void *a, const void *b)
{
	const struct storm_standing_bin *x = a, *y = b;

	if ((x->sockets == 0) != (y->sockets == 0))
		return x->sockets == 0 ? 1 : -1;
	if (x->tick != y->tick)
		return (int32_t)(x->tick - y->tick) < 0 ? -1 : 1;
	return x->kind - y->kind;
}

/* Without a tick yet: first. Ticks are compared around the counter, and 0 is no place in it. */
static int compare_unsealed(const void *a, const void *b)
{
	const struct storm_standing_bin *x = a, *y = b;

	if (x->sockets > 0 && y->sockets > 0 && x->together != y->together)
		return x->together ? -1 : 1;
	return compare_bins(a, b);
}

void storm_standing_seal(struct storm_standing *standing)
{
	uint32_t heaviest;

	qsort(standing->bins, STORM_STANDING_BINS, sizeof(*standing->bins), compare_unsealed);
	if (!storm_standing_heaviest(standing, 1, &heaviest))
		heaviest = standing->now + 1;
	for (unsigned i = 0; i < standing->n_bins; i++)
		if (standing->bins[i].together)
			standing->bins[i].tick = heaviest;
	qsort(standing->bins, standing->n_bins, sizeof(*standing->bins), compare_bins);
}

static uint64_t rate_of(const struct storm_standing_kind *kind)
{
	return kind->sockets * 1000 / MAX(kind->time_s, kind->intvl_s);
}

const struct storm_standing_kind *storm_standing_busiest(const struct storm_standing *standing)
{
	const struct storm_standing_kind *busiest = &standing->kinds[0];

	for (unsigned i = 1; i < standing->n_kinds; i++)
		if (rate_of(&standing->kinds[i]) > rate_of(busiest))
			busiest = &standing->kinds[i];
	return busiest;
}

uint64_t storm_standing_rate(const struct storm_standing *standing, bool ours)
{
	uint64_t rate = 0;

	for (unsigned i = 0; standing && i < standing->n_kinds; i++)
		if (standing->kinds[i].ours == ours)
			rate += rate_of(&standing->kinds[i]);
	return rate;
}

bool storm_standing_heaviest(const struct storm_standing *standing, uint64_t width, uint32_t *ret)
{
	uint64_t most = 0, sum = 0;
	uint32_t tick = 0; /* of the sum */
	bool exact = false;

	for (unsigned i = 0; i < standing->n_bins; i++) {
		const struct storm_standing_bin *bin = &standing->bins[i];
		bool fits = bin->tick % width == 0;

		if (bin->together)
			continue;
		if (bin->tick != tick)
			sum = 0;
		tick = bin->tick;
		sum += bin->sockets;
		if ((fits == exact && sum <= most) || (exact && !fits))
			continue;
		exact = fits;
		most = sum;
		*ret = bin->tick;
	}
	return most > 0;
}
