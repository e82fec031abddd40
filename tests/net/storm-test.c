/* SPDX-License-Identifier: MIT */
/*
 * The forecast and the plan against the running kernel: thousands of idle loopback connections in a
 * network of their own. At once, the probes overflow the queue and kill what the forecast says;
 * with the plan, none dies. The queue is the machine's own, of the size that it has.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "lab/lab.h"
#include "sockets/change.h"
#include "sockets/pace.h"
#include "sockets/snapshot.h"
#include "sockets/storm-standing.h"
#include "sockets/storm.h"
#include "unit/unit.h"

#define SOCKETS 9000
#define SPARE   100 /* descriptors for everything else */
#define TRIES   3   /* the walk at once may be interrupted and fall into several buckets */

static int ends[SOCKETS];
static struct storm_load load = {.sockets = SOCKETS, .settings = TCPKEEP_SETTINGS(2, 1, 2)};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void wait_until(uint64_t when_ms)
{
	struct timespec when = {(time_t)(when_ms / 1000), (long)(when_ms % 1000) * 1000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) != 0)
		;
}

/* ----------------------------------------------------------------------------------- counters */

/* A TcpExt counter of the namespace that this thread is in. */
static uint64_t counter(const char *name)
{
	char names[8192], values[8192], *n, *v;
	_cleanup_fclose_ FILE *f = fopen("/proc/thread-self/net/netstat", "re");

	assert_non_null(f);
	while (fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
		const char *key = strtok_r(names, " \n", &n);
		const char *value = strtok_r(values, " \n", &v);

		while (key && value && strcmp(key, name) != 0) {
			key = strtok_r(NULL, " \n", &n);
			value = strtok_r(NULL, " \n", &v);
		}
		if (key && value)
			return strtoull(value, NULL, 10);
	}
	fail_msg("no %s", name);
	return 0;
}

static unsigned backlog(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/sys/net/core/netdev_max_backlog", "re");
	unsigned value = 0;

	assert_true(f && fscanf(f, "%u", &value) == 1);
	return value;
}

/* ------------------------------------------------------------------------------------ the room */

static void connect_all(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);
	_cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 16), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	for (size_t i = 0; i < SOCKETS; i += 2) {
		ends[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(ends[i] >= 0);
		assert_int_equal(connect(ends[i], (struct sockaddr *)&address, len), 0);
		ends[i + 1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(ends[i + 1] >= 0);
	}
}

/* A reset leaves nothing behind. */
static void end_all(void)
{
	const struct linger at_once = {1, 0};

	for (size_t i = 0; i < SOCKETS; i++) {
		setsockopt(ends[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(ends[i]);
	}
}

static int enter_network(void)
{
	struct tcpkeep_error error = {0};
	_cleanup_close_ int netns = lab_netns_new(&error);

	if (netns < 0 || setns(netns, CLONE_NEWNET) < 0) {
		print_error("# %s\n", error.message);
		return -1;
	}
	return 0;
}

/* TCP_KEEPIDLE before SO_KEEPALIVE: a full time from now. */
static void set_one(int fd, uint64_t serial, const struct storm_pace *pace)
{
	struct tcpkeep_settings settings = load.settings;
	const int on = 1;

	storm_spread(pace, serial, &settings);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &settings.time_s, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &settings.intvl_s, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &settings.probes, sizeof(int));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)), 0);
}

/* One thread on one processor, as `tcpkeep set` walks, over those from first on. Returns what it
 * took. */
static uint64_t set_some(size_t first, size_t n_sockets, const struct storm_pace *how)
{
	uint64_t begin = now_ms();
	cpu_set_t before, one;
	struct pace pace;
	size_t done = 0;
	int cpu = sched_getcpu();

	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	pace_start(&pace, how->per_s);
	while (done < n_sockets) {
		size_t n = pace_wait(&pace, n_sockets - done);

		for (size_t i = 0; i < n; i++)
			set_one(ends[first + done + i], done + i, how);
		pace_count(&pace, n);
		done += n;
	}
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	return now_ms() - begin;
}

struct outcome {
	uint64_t took_ms, probes, deaths;
};

/* So many times `time` after the last one has been set. */
static struct outcome run(const struct storm_pace *pace, unsigned times)
{
	struct outcome outcome;

	assert_int_equal(enter_network(), 0);
	connect_all();
	outcome.took_ms = set_some(0, SOCKETS, pace);
	wait_until(now_ms() + (uint64_t)times * (uint64_t)load.settings.time_s * 1000);
	outcome.probes = counter("TCPKeepAlive");
	outcome.deaths = counter("TCPAbortOnTimeout");
	end_all();
	return outcome;
}

/* ------------------------------------------------------------------------ what stands already */

static int take_row(const struct snapshot_row *row, void *userdata)
{
	struct change_values values;

	change_row_values(row, &values);
	return storm_standing_add(userdata, &row->socket, &values, false);
}

/* Of this network alone: what else the machine does is small. */
static struct storm_standing *look(void)
{
	const struct snapshot_options options = {.netns = TCPKEEP_NETNS_OWN};
	struct storm_standing *standing = storm_standing_new(load.hz);
	struct snapshot_report report;
	struct tcpkeep_error error = {0};

	assert_non_null(standing);
	if (snapshot_run(&options, take_row, standing, &report, &error) < 0)
		fail_msg("%s", error.message);
	storm_standing_seal(standing);
	return standing;
}

/* -------------------------------------------------------------------------------------- tests */

static void at_once_kills_what_is_forecast(void **state)
{
	struct storm_forecast forecast;
	struct storm_pace pace = {0};
	struct outcome outcome = {0};

	(void)state;
	assert_int_equal(storm_forecast(&load, &pace, &forecast), 0);
	if (forecast.deaths == 0)
		skip(); /* a larger queue than the kernel's default */
	for (unsigned i = 0; i < TRIES && outcome.deaths == 0; i++) {
		outcome = run(&pace, 3);
		print_message("# set in %lu ms: %lu died, forecast %lu\n", outcome.took_ms,
			      outcome.deaths, forecast.deaths);
	}
	assert_true(outcome.deaths > 0);
	/* Others use the queue, too. */
	assert_true(outcome.deaths <= forecast.deaths + forecast.deaths / 20);
}

static void the_plan_kills_none(void **state)
{
	struct storm_forecast forecast;
	struct storm_pace pace;
	struct outcome outcome;

	(void)state;
	assert_int_equal(storm_plan(&load, &pace, &forecast), 1);
	assert_int_equal(forecast.deaths, 0);
	outcome = run(&pace, 5);
	print_message("# set in %lu ms, %u a second: %lu probes, %lu died\n", outcome.took_ms,
		      pace.per_s, outcome.probes, outcome.deaths);
	assert_int_equal(outcome.deaths, 0);
	/* It was alive: every one has been probed time and again. */
	assert_true(outcome.probes >= 3 * SOCKETS);
	assert_true(outcome.took_ms + 500 >= forecast.takes_ms);
}

#define HALF  (SOCKETS / 2)
#define BURST 900 /* fits into the queue of the kernel's default length; two of them do not */

/* A burst beside another one in the same bucket, a quarter of a second wide with this time. */
static void a_burst_beside_another_kills_what_is_forecast(void **state)
{
	struct storm_load beside = {
		.sockets = BURST,
		.settings = TCPKEEP_SETTINGS(3, 1, 1),
		.hz = load.hz,
		.backlog = load.backlog,
	};
	const struct tcpkeep_settings saved = load.settings;
	const struct storm_pace at_once = {0};
	struct storm_forecast alone, both;
	uint64_t deaths = 0;

	(void)state;
	assert_int_equal(storm_forecast(&beside, &at_once, &alone), 0);
	if (alone.deaths > 0 || load.backlog >= 2 * BURST)
		skip();
	load.settings = beside.settings;
	for (unsigned i = 0; i < 2 * TRIES && deaths == 0; i++) {
		struct storm_standing *standing;

		assert_int_equal(enter_network(), 0);
		connect_all();
		set_some(0, BURST, &at_once);
		standing = look();
		set_some(BURST, BURST, &at_once);
		beside.standing = standing;
		assert_int_equal(standing->sockets, BURST);
		assert_int_equal(storm_forecast(&beside, &at_once, &both), 0);
		wait_until(now_ms() + 6000);
		deaths = counter("TCPAbortOnTimeout");
		print_message("# beside others: %lu died, forecast %lu\n", deaths, both.deaths);
		end_all();
		free(standing);
	}
	load.settings = saved;
	assert_true(both.deaths > 0);
	assert_in_range(deaths, 1, both.deaths + both.deaths / 20);
}

/* The first half is given no thought to by the plan of the second, but what it sees of it. */
static void a_plan_beside_another_kills_none(void **state)
{
	struct storm_load half = load;
	struct storm_forecast forecast;
	struct storm_standing *standing;
	struct storm_pace pace;
	uint64_t deaths;

	(void)state;
	half.sockets = HALF;
	assert_int_equal(enter_network(), 0);
	connect_all();
	assert_int_equal(storm_plan(&half, &pace, &forecast), 1);
	set_some(0, HALF, &pace);
	standing = look();
	assert_int_equal(standing->sockets, HALF);
	half.standing = standing;
	assert_int_equal(storm_plan(&half, &pace, &forecast), 1);
	assert_int_equal(forecast.deaths, 0);
	set_some(HALF, HALF, &pace);
	wait_until(now_ms() + 10000);
	deaths = counter("TCPAbortOnTimeout");
	print_message("# beside %lu, %u a second: %lu probes, %lu died\n", standing->sockets,
		      pace.per_s, counter("TCPKeepAlive"), deaths);
	assert_int_equal(deaths, 0);
	assert_true(counter("TCPKeepAlive") >= 3 * SOCKETS);
	end_all();
	free(standing);
}

/* What is not paced at all, but spread: long times are changed like this. */
static void a_spread_at_once_kills_none(void **state)
{
	const struct storm_pace spread = {.intvl_spread_s = 4};
	const struct tcpkeep_settings saved = load.settings;
	struct storm_forecast forecast;
	struct outcome outcome;

	(void)state;
	load.settings = (struct tcpkeep_settings)TCPKEEP_SETTINGS(3, 5, 20);
	assert_int_equal(storm_forecast(&load, &spread, &forecast), 0);
	assert_int_equal(forecast.deaths, 0);
	assert_true(forecast.lost > 0);
	outcome = run(&spread, 6);
	print_message("# spread: %lu probes, %lu died, forecast %lu lost, %u of %u in a row\n",
		      outcome.probes, outcome.deaths, forecast.lost, forecast.worst_lost,
		      forecast.worst_of);
	load.settings = saved;
	assert_int_equal(outcome.deaths, 0);
	assert_true(outcome.probes >= 2 * SOCKETS);
}

static int start(void **state)
{
	struct tcpkeep_kernel kernel;
	struct tcpkeep_error error = {0};
	struct rlimit limit;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < SOCKETS + SPARE) {
		print_error("# %d descriptors are needed\n", SOCKETS + SPARE);
		return -1;
	}
	if (lab_enter(&error) < 0) {
		print_error("# %s\n", error.message);
		return -1;
	}
	tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	load.hz = kernel.hz;
	load.backlog = backlog();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_once_kills_what_is_forecast),
		cmocka_unit_test(the_plan_kills_none),
		cmocka_unit_test(a_burst_beside_another_kills_what_is_forecast),
		cmocka_unit_test(a_plan_beside_another_kills_none),
		cmocka_unit_test(a_spread_at_once_kills_none),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("storm", tests, start, NULL);
}
