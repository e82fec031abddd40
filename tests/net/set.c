/* SPDX-License-Identifier: MIT */
#include "set.h"

#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "lab/lab.h"
#include "unit/unit.h"

#define WAIT_MS 20000

enum snapshot_source set_sources[2] = {SNAPSHOT_BPF, SNAPSHOT_DIAG_FD};

static int pass_over(const struct snapshot_row *row, void *userdata)
{
	(void)row;
	(void)userdata;
	return 0;
}

int set_start(void **state)
{
	struct snapshot_options options = {.source = SNAPSHOT_BPF};
	struct snapshot_report report;

	if (networks_make(state) < 0)
		return -1;
	options.netns = here;
	if (snapshot_run(&options, pass_over, NULL, &report, NULL) < 0)
		set_sources[0] = SNAPSHOT_DIAG_FD;
	return 0;
}

struct planning {
	struct set *set;
	struct tcpkeep_settings settings;
	const int *fds;
	size_t n;
};

static bool is_wanted(const struct planning *planning, const struct socket_row *row)
{
	for (size_t i = 0; i < planning->n; i++)
		if (row->cookie == cookie_of(planning->fds[i]))
			return true;
	return planning->n == 0;
}

static int plan_row(const struct snapshot_row *row, void *userdata)
{
	struct planning *planning = userdata;
	struct set *set = planning->set;
	enum change_reason reason;
	struct change_kind kind;
	enum change_result result;

	if (!is_wanted(planning, &row->socket))
		return 0;
	result = change_plan_row(row, &planning->settings, &kind, &reason);
	set->planned[result]++;
	if (result == CHANGE_DONE && set->probe_now)
		change_plan_now(&row->socket, &kind);
	if (result != CHANGE_DONE) {
		set->reason = reason;
		return 0;
	}
	return change_set_add(&set->set, row->socket.cookie, &kind, row->owners, row->n_owners);
}

void set_plan(struct set *set, const int *fds, size_t n)
{
	struct planning planning = {.set = set, .fds = fds, .n = n};
	struct snapshot_options options = {.source = set->source, .owners = true, .netns = here};
	struct tcpkeep_error error = {.message = ""};
	struct snapshot_report report;

	assert_int_equal(tcpkeep_settings_parse(set->settings, TCPKEEP_SCOPE_SOCKET,
						&planning.settings, &error),
			 0);
	if (snapshot_run(&options, plan_row, &planning, &report, &error) != 0)
		fail_msg("%s", error.message);
}

static int take(const struct change_outcome *outcome, void *userdata)
{
	struct set *set = userdata;

	assert_true(outcome->item < set->set.n);
	assert_true(set->n_told < SET_MAX);
	set->outcomes[set->n_told++] = *outcome;
	set->counts[outcome->result]++;
	return 0;
}

void set_run(struct set *set)
{
	const struct change_options options = {
		.source = set->source,
		.netns = here,
		.probe_now = set->probe_now,
		.force = set->force,
		.per_s = set->per_s,
		.done = take,
		.userdata = set,
	};
	struct tcpkeep_error error = {.message = ""};

	if (change_run(&set->set, &options, &error) != 0)
		fail_msg("%s", error.message);
	assert_int_equal(set->n_told, set->set.n);
}

void set_clear(struct set *set)
{
	change_set_clear(&set->set);
}

struct change_outcome set_one(struct set *set, int fd)
{
	set_plan(set, &fd, 1);
	assert_true(set->set.n >= 1);
	set_run(set);
	set_clear(set);
	return set->outcomes[0];
}

void set_expect(int fd, int on, int time_s, int intvl_s, int probes)
{
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_KEEPALIVE), on);
	assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE), time_s);
	assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_KEEPINTVL), intvl_s);
	assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_KEEPCNT), probes);
}

void keep(int fd, int time_s, int intvl_s, int probes)
{
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, time_s);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, intvl_s);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

struct counting {
	const char *name;
	unsigned long value;
};

/* A line of names, then one of values. */
static int read_counter(void *userdata)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/thread-self/net/netstat", "re");
	static char names[8192], values[8192];
	struct counting *counting = userdata;

	while (f && fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
		char *name_at, *value_at;
		char *name = strtok_r(names, " \n", &name_at);
		char *value = strtok_r(values, " \n", &value_at);

		for (; name && value; name = strtok_r(NULL, " \n", &name_at),
				      value = strtok_r(NULL, " \n", &value_at))
			if (strcmp(name, counting->name) == 0) {
				counting->value = strtoul(value, NULL, 10);
				return 0;
			}
	}
	return -ENOENT;
}

unsigned long counter(const char *name)
{
	struct counting counting = {name, 0};

	assert_int_equal(lab_in_netns(here, read_counter, &counting), 0);
	return counting.value;
}

void wait_for_silence(int fd, unsigned ms)
{
	uint64_t until = now_ms() + WAIT_MS;
	struct tcp_info info;

	do {
		poll(NULL, 0, 5);
		info_of(fd, &info);
	} while (MIN(info.tcpi_last_data_recv, info.tcpi_last_ack_recv) < ms && now_ms() < until);
	assert_true(MIN(info.tcpi_last_data_recv, info.tcpi_last_ack_recv) >= ms);
}

void wait_for_probes(int fd, unsigned n)
{
	uint64_t until = now_ms() + WAIT_MS;
	struct tcp_info info;

	do {
		poll(NULL, 0, 2);
		info_of(fd, &info);
	} while (info.tcpi_probes < n && now_ms() < until);
	assert_true(info.tcpi_probes >= n);
}
