/* SPDX-License-Identifier: MIT */
#include "storm.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "keepalive/wheel.h"
#include "storm-model.h"

#define HZ_MAX      1000
#define SOCKETS_MAX (1ULL << 32)

/* Measured (docs/kernel-facts.md): what a probe costs, and what a plan takes for granted. */
static const struct storm_cost measured = {1500, 3000}, doubled = {3000, 6000};

/* A third of a processor that does nothing else. */
#define PROBES_PER_S_MAX 100000

/* Nobody waits longer than this where another way is quicker. */
#define PATIENCE_S 120

/* Nobody minds to wait for so long. */
#define SOON_S 4

static int check(const struct storm_load *load)
{
	const struct tcpkeep_settings *settings = &load->settings;

	if ((settings->fields & TCPKEEP_THREE) != TCPKEEP_THREE || load->hz == 0 ||
	    load->hz > HZ_MAX || load->backlog == 0 || load->sockets > SOCKETS_MAX)
		return -EINVAL;
	if ((settings->fields & TCPKEEP_ON) && !settings->on)
		return -EINVAL;
	if (tcpkeep_settings_validate(settings, TCPKEEP_SCOPE_SOCKET, NULL) < 0)
		return -EINVAL;
	return 0;
}

int storm_forecast(const struct storm_load *load, const struct storm_pace *pace,
		   struct storm_forecast *ret)
{
	int r = check(load);

	if (r < 0)
		return r;
	return storm_simulate(load, pace, &measured, STORM_UNTIL_END, ret);
}

void storm_spread(const struct storm_pace *pace, uint64_t serial, struct tcpkeep_settings *settings)
{
	unsigned time = storm_lowered(settings->time_s, pace->time_less_s);
	unsigned intvl = storm_lowered(settings->intvl_s, pace->intvl_less_s);
	uint64_t times = MIN(pace->time_spread_s, time - 1) + 1UL;
	uint64_t intvls = MIN(pace->intvl_spread_s, intvl - 1) + 1UL;

	settings->time_s = (int)(time - serial % times);
	settings->intvl_s = (int)(intvl - serial / times % intvls);
}

bool storm_range(const struct storm_pace *pace, const struct tcpkeep_settings *settings,
		 struct tcpkeep_settings *ret_lowest, struct tcpkeep_settings *ret_highest)
{
	unsigned time = storm_lowered(settings->time_s, pace->time_less_s);
	unsigned intvl = storm_lowered(settings->intvl_s, pace->intvl_less_s);
	struct tcpkeep_settings lowest = *settings, highest = *settings;

	highest.time_s = (int)time;
	highest.intvl_s = (int)intvl;
	lowest.time_s = (int)storm_lowered(highest.time_s, pace->time_spread_s);
	lowest.intvl_s = (int)storm_lowered(highest.intvl_s, pace->intvl_spread_s);
	*ret_lowest = lowest;
	*ret_highest = highest;
	return lowest.time_s != settings->time_s || lowest.intvl_s != settings->intvl_s;
}

/* ---------------------------------------------------------------------------------- planning */

/* How good a pace is. The order counts. */
enum grade {
	GRADE_DEADLY = 0,
	GRADE_TOLERABLE, /* what is lost leaves every connection a margin */
	GRADE_LOSSLESS,
};

/* With half of the backlog and twice the work; as good as is wanted, or how much less. */
static int grade_pace(const struct storm_load *load, const struct storm_pace *pace,
		      enum grade wanted)
{
	enum storm_until until = wanted == GRADE_LOSSLESS ? STORM_UNTIL_LOSS : STORM_UNTIL_DEATH;
	struct storm_load strained = *load;
	struct storm_forecast forecast;
	int r;

	strained.backlog = MAX(load->backlog / 2, 1U);
	r = storm_simulate(&strained, pace, &doubled, until, &forecast);
	if (r < 0)
		return r;
	if (forecast.average_per_s > PROBES_PER_S_MAX)
		return GRADE_DEADLY;
	if (forecast.lost == 0)
		return GRADE_LOSSLESS;
	if (wanted == GRADE_LOSSLESS || forecast.deaths > 0 ||
	    forecast.worst_lost >= forecast.worst_of)
		return GRADE_DEADLY;
	r = storm_simulate(load, pace, &measured, STORM_UNTIL_DEATH, &forecast);
	if (r < 0)
		return r;
	return forecast.deaths == 0 && 2 * forecast.worst_lost <= forecast.worst_of
		       ? GRADE_TOLERABLE
		       : GRADE_DEADLY;
}

int storm_is_safe(const struct storm_load *load, const struct storm_pace *pace)
{
	int r = check(load);

	if (r == 0)
		r = grade_pace(load, pace, GRADE_TOLERABLE);
	return MIN(r, 1);
}

/* The bucket of the first timer, in ticks. */
static uint64_t bucket_of(const struct storm_load *load, const struct storm_pace *spread)
{
	return wheel_bucket(storm_lowered(load->settings.time_s, spread->time_less_s) * load->hz);
}

/* A walk over so many of them. */
static struct storm_pace pace_over(const struct storm_load *load, const struct storm_pace *spread,
				   uint64_t buckets)
{
	uint64_t ticks = buckets * bucket_of(load, spread);
	struct storm_pace pace = *spread;

	pace.per_s = buckets == 0 ? 0 : (unsigned)MAX(load->sockets * load->hz / ticks, 1UL);
	return pace;
}

/* One time's worth of buckets: a longer walk meets its own first sockets again. */
static uint64_t buckets_most(const struct storm_load *load, const struct storm_pace *spread)
{
	return storm_lowered(load->settings.time_s, spread->time_less_s) * load->hz /
	       bucket_of(load, spread);
}

/* As many of them as fit into a span. */
static uint64_t buckets_in(const struct storm_load *load, const struct storm_pace *spread,
			   uint64_t span_s)
{
	return MIN(span_s * load->hz / bucket_of(load, spread), buckets_most(load, spread));
}

/* The fewest buckets, at most most, that earn the grade. Returns 1, 0 when none do. */
static int search(const struct storm_load *load, const struct storm_pace *spread, uint64_t most,
		  enum grade wanted, uint64_t *ret)
{
	struct storm_pace pace = pace_over(load, spread, most);
	uint64_t bad = 0, good = most;
	int r = grade_pace(load, &pace, wanted);

	if (r < (int)wanted)
		return MIN(r, 0);
	pace = pace_over(load, spread, 0);
	r = grade_pace(load, &pace, wanted);
	if (r >= (int)wanted)
		good = 0;
	while (r >= 0 && bad + 1 < good) {
		uint64_t middle = (bad + good) / 2;

		pace = pace_over(load, spread, middle);
		r = grade_pace(load, &pace, wanted);
		if (r < (int)wanted)
			bad = middle;
		else
			good = middle;
	}
	*ret = good;
	return r < 0 ? r : 1;
}

/*
 * What takes no patience. Losslessly; else as slowly as patience goes, since a longer walk loses
 * less. A pace of a few seconds is stretched to these few: it leaves room for what comes next.
 */
static int plan_soon(const struct storm_load *load, const struct storm_pace *spread,
		     struct storm_pace *ret)
{
	uint64_t patient = buckets_in(load, spread, PATIENCE_S);
	uint64_t soon = buckets_in(load, spread, SOON_S), buckets;
	struct storm_pace pace;
	int r;

	r = search(load, spread, patient, GRADE_LOSSLESS, &buckets);
	if (r < 0)
		return r;
	if (r == 0) {
		*ret = pace_over(load, spread, patient);
		r = grade_pace(load, ret, GRADE_TOLERABLE);
		return MIN(r, 1);
	}
	*ret = pace_over(load, spread, buckets);
	if (buckets == 0 || buckets >= soon)
		return 1;
	pace = pace_over(load, spread, soon);
	r = grade_pace(load, &pace, GRADE_LOSSLESS);
	if (r == GRADE_LOSSLESS)
		*ret = pace;
	return r < 0 ? r : 1;
}

/* What takes longer: the quickest that is tolerable. */
static int plan_long(const struct storm_load *load, const struct storm_pace *spread,
		     struct storm_pace *ret)
{
	uint64_t most = buckets_most(load, spread), buckets;
	int r;

	if (buckets_in(load, spread, PATIENCE_S) == most)
		return 0;
	r = search(load, spread, most, GRADE_TOLERABLE, &buckets);
	if (r == 1)
		*ret = pace_over(load, spread, buckets);
	return r;
}

/*
 * How much less than time is below the next level of the wheel: eight times as many buckets fit
 * into it. 0: it is too far to go, or there is no such level.
 */
static unsigned less_for_level(const struct storm_load *load)
{
	unsigned time = (unsigned)load->settings.time_s;
	struct storm_pace none = {0}, less = {0};

	for (less.time_less_s = 1; less.time_less_s <= time / 4; less.time_less_s++)
		if (bucket_of(load, &less) < bucket_of(load, &none))
			return less.time_less_s;
	return 0;
}

#define SPREADS 6

/* What is done to the values when a pace alone does not do: the gentlest first. */
static void make_spreads(const struct storm_load *load, struct storm_pace spread[static SPREADS])
{
	unsigned time = (unsigned)load->settings.time_s, intvl = (unsigned)load->settings.intvl_s;
	unsigned less = less_for_level(load);

	memset(spread, 0, SPREADS * sizeof(*spread));
	if (load->values_fixed)
		return;
	spread[0] = (struct storm_pace){0};
	spread[1] = (struct storm_pace){.intvl_less_s = intvl >= 4};
	spread[2] = (struct storm_pace){.intvl_spread_s = intvl / 4};
	spread[3] = (struct storm_pace){.time_less_s = less};
	spread[4] = (struct storm_pace){.time_less_s = less, .intvl_spread_s = intvl / 4};
	spread[5] = (struct storm_pace){.time_spread_s = time / 4, .intvl_spread_s = intvl / 4};
}

/* Nothing that the ones before it were not. */
static bool is_repeated(const struct storm_pace spread[static SPREADS], unsigned i)
{
	for (unsigned j = 0; j < i; j++)
		if (memcmp(&spread[i], &spread[j], sizeof(spread[i])) == 0)
			return true;
	return false;
}

/* Fewest deaths, then fewest in a row. */
static bool is_better(const struct storm_forecast *a, const struct storm_forecast *b)
{
	if (a->deaths != b->deaths)
		return a->deaths < b->deaths;
	return a->lost_in_row_max < b->lost_in_row_max;
}

static uint64_t takes_ms(const struct storm_load *load, const struct storm_pace *pace)
{
	return pace->per_s ? load->sockets * 1000 / pace->per_s : 0;
}

/* Whether the nearest to death is farther from it; lost / of, of 0 being none lost. */
static bool is_farther(const struct storm_forecast *a, const struct storm_forecast *b)
{
	return (uint64_t)a->worst_lost * MAX(b->worst_of, 1U) <
	       (uint64_t)b->worst_lost * MAX(a->worst_of, 1U);
}

/*
 * What is soon: the gentlest way with the values by which nobody loses more than a quarter of what
 * it may; else the one by which it loses the least. Returns 1, 0 when there is none.
 */
static int choose_soon(const struct storm_load *load,
		       const struct storm_pace spread[static SPREADS], struct storm_pace *ret)
{
	struct storm_forecast forecast, least = {0};
	struct storm_pace pace;
	bool found = false;
	int r;

	for (unsigned i = 0; i < SPREADS; i++) {
		if (is_repeated(spread, i))
			continue;
		r = plan_soon(load, &spread[i], &pace);
		if (r > 0)
			r = storm_forecast(load, &pace, &forecast) < 0 ? -ENOMEM : 1;
		if (r < 0)
			return r;
		if (r == 0 || (found && !is_farther(&forecast, &least)))
			continue;
		*ret = pace;
		least = forecast;
		found = true;
		if (4 * forecast.worst_lost <= forecast.worst_of)
			break;
	}
	return found;
}

/* What is soon; else the quickest of all. Returns 1, 0 when there is none. */
static int choose(const struct storm_load *load, const struct storm_pace spread[static SPREADS],
		  struct storm_pace *ret)
{
	struct storm_pace pace;
	bool found = false;
	int r;

	r = choose_soon(load, spread, ret);
	if (r != 0)
		return r;
	for (unsigned i = 0; r >= 0 && i < SPREADS; i++) {
		if (is_repeated(spread, i))
			continue;
		r = plan_long(load, &spread[i], &pace);
		if (r <= 0 || (found && takes_ms(load, &pace) >= takes_ms(load, ret)))
			continue;
		*ret = pace;
		found = true;
	}
	return r < 0 ? r : found;
}

/* Of what is not safe, the pace that is least bad. */
static int choose_least_bad(const struct storm_load *load,
			    const struct storm_pace spread[static SPREADS],
			    struct storm_pace *ret_pace, struct storm_forecast *ret)
{
	struct storm_forecast forecast;
	struct storm_pace pace;
	int r;

	for (unsigned i = 0; i < SPREADS; i++) {
		if (is_repeated(spread, i))
			continue;
		pace = pace_over(load, &spread[i], buckets_most(load, &spread[i]));
		r = storm_forecast(load, &pace, &forecast);
		if (r < 0)
			return r;
		if (i > 0 && !is_better(&forecast, ret))
			continue;
		*ret = forecast;
		*ret_pace = pace;
	}
	return 0;
}

int storm_plan(const struct storm_load *load, struct storm_pace *ret_pace,
	       struct storm_forecast *ret_forecast)
{
	struct storm_pace spread[SPREADS], pace = {0};
	int r = check(load);

	if (r < 0)
		return r;
	make_spreads(load, spread);
	r = choose(load, spread, &pace);
	if (r < 0)
		return r;
	if (r == 0)
		return choose_least_bad(load, spread, ret_pace, ret_forecast);
	*ret_pace = pace;
	r = storm_forecast(load, &pace, ret_forecast);
	return r < 0 ? r : 1;
}

/* ------------------------------------------------------------------------------------ remedy */

/* Whether a full walk with all spreading that is allowed is safe. */
static int is_feasible(const struct storm_load *load)
{
	struct storm_pace spread[SPREADS], pace;
	int r = GRADE_DEADLY;

	make_spreads(load, spread);
	for (unsigned i = 0; i < SPREADS && r == GRADE_DEADLY; i++) {
		if (is_repeated(spread, i))
			continue;
		pace = pace_over(load, &spread[i], buckets_most(load, &spread[i]));
		r = grade_pace(load, &pace, GRADE_TOLERABLE);
	}
	return r;
}

/* The smallest value in (low, high] for which the load, changed by set(), is feasible; 0: none. */
static int64_t least_feasible(const struct storm_load *load, int64_t low, int64_t high,
			      void (*set)(struct storm_load *load, int64_t value))
{
	struct storm_load changed = *load;
	int64_t found = 0;

	/* Upwards by doubling, then halving what is between. */
	for (int64_t value = MAX(low, 1) * 2;; value *= 2) {
		int r;

		value = MIN(value, high);
		set(&changed, value);
		r = is_feasible(&changed);
		if (r < 0)
			return r;
		if (r > 0) {
			found = value;
			break;
		}
		if (value == high)
			return 0;
		low = value;
	}
	while (found - low > MAX(found / 16, 1)) {
		int64_t middle = low + (found - low) / 2;
		int r;

		set(&changed, middle);
		r = is_feasible(&changed);
		if (r < 0)
			return r;
		if (r > 0)
			found = middle;
		else
			low = middle;
	}
	return found;
}

static void set_backlog(struct storm_load *load, int64_t value)
{
	load->backlog = (unsigned)value;
}

static void set_time(struct storm_load *load, int64_t value)
{
	load->settings.time_s = (int)value;
}

static void set_probes(struct storm_load *load, int64_t value)
{
	load->settings.probes = (int)value;
}

int storm_remedy(const struct storm_load *load, struct storm_remedy *ret)
{
	int64_t backlog, time_s, probes;
	int r = check(load);

	if (r < 0)
		return r;
	backlog = least_feasible(load, load->backlog, INT32_MAX, set_backlog);
	if (backlog < 0)
		return (int)backlog;
	time_s = least_feasible(load, load->settings.time_s, TCPKEEP_TIME_MAX_S, set_time);
	if (time_s < 0)
		return (int)time_s;
	probes = least_feasible(load, load->settings.probes, TCPKEEP_PROBES_MAX, set_probes);
	if (probes < 0)
		return (int)probes;
	*ret = (struct storm_remedy){
		.backlog = (unsigned)backlog,
		.time_s = (int)time_s,
		.probes = (int)probes,
	};
	return 0;
}
