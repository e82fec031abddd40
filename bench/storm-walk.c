/* SPDX-License-Identifier: MIT */
/*
 * storm-walk PARENT SETTINGS forecast|naive|plan: gives every TCP socket of PARENT's children the
 * settings through pidfd_getfd(), as any tool could: as fast as it goes, or as storm_plan() says.
 * Prints what the model expects, as JSON, before it does anything. The model is told of SOCKETS
 * (environment) sockets.
 */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "sockets/pace.h"
#include "sockets/storm.h"

struct walk {
	struct tcpkeep_settings settings;
	struct storm_pace how;
	struct pace pace;
	size_t due;
	uint64_t done;
};

static void set_one(struct walk *walk, int fd)
{
	struct tcpkeep_settings settings = walk->settings;
	const int on = 1, off = 0;

	storm_spread(&walk->how, walk->done, &settings);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &off, sizeof(off));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &settings.time_s, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &settings.intvl_s, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &settings.probes, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	walk->done++;
}

static bool is_connected(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_state == TCP_ESTABLISHED;
}

static void walk_process(struct walk *walk, int pid)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	char path[64];
	struct dirent *entry;
	int64_t number;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		_cleanup_close_ int fd = -1;

		if (number_parse(entry->d_name, strlen(entry->d_name), 0, INT32_MAX, &number) < 0)
			continue;
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)number, 0);
		if (fd < 0 || !is_connected(fd))
			continue;
		if (walk->due == 0)
			walk->due = pace_wait(&walk->pace, 1000);
		set_one(walk, fd);
		pace_count(&walk->pace, 1);
		walk->due--;
	}
	if (dir)
		closedir(dir);
}

static int walk_children(struct walk *walk, int parent)
{
	char path[64];
	_cleanup_fclose_ FILE *f = NULL;
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fscanf(f, "%d", &pid) == 1)
		walk_process(walk, pid);
	return 0;
}

static void print(const struct storm_pace *pace, const struct storm_forecast *forecast, int safe)
{
	printf("{\"safe\":%d,\"per_s\":%u,\"time_less_s\":%u,\"time_spread_s\":%u,"
	       "\"intvl_less_s\":%u,\"intvl_spread_s\":%u,\"takes_ms\":%lu,\"peak_per_tick\":%lu,"
	       "\"peak_per_s\":%lu,\"average_per_s\":%lu,\"lost_in_row\":%u,\"deaths\":%lu}\n",
	       safe, pace->per_s, pace->time_less_s, pace->time_spread_s, pace->intvl_less_s,
	       pace->intvl_spread_s, forecast->takes_ms, forecast->peak_per_tick,
	       forecast->peak_per_s, forecast->average_per_s, forecast->lost_in_row_max,
	       forecast->deaths);
	fflush(stdout);
}

static unsigned read_backlog(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/sys/net/core/netdev_max_backlog", "re");
	unsigned value = 1000;

	if (f && fscanf(f, "%u", &value) != 1)
		value = 1000;
	return value;
}

/* One processor, which the timers then stay on. */
static void stay(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
}

int main(int argc, char **argv)
{
	const char *sockets = getenv("SOCKETS");
	struct tcpkeep_kernel kernel;
	struct tcpkeep_error error;
	struct storm_forecast forecast;
	struct walk walk = {0};
	struct storm_load load;
	int64_t parent, n;
	int r;

	if (argc != 4 || !sockets || number_parse(sockets, strlen(sockets), 1, INT32_MAX, &n) < 0 ||
	    number_parse(argv[1], strlen(argv[1]), 1, INT32_MAX, &parent) < 0) {
		fprintf(stderr,
			"usage: SOCKETS=N storm-walk PARENT SETTINGS forecast|naive|plan\n");
		return 2;
	}
	r = tcpkeep_settings_parse(argv[2], TCPKEEP_SCOPE_SOCKET, &walk.settings, &error);
	if (r < 0) {
		fprintf(stderr, "storm-walk: %s\n", error.message);
		return 2;
	}
	tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	load = (struct storm_load){(uint64_t)n, walk.settings, kernel.hz, read_backlog()};
	if (strcmp(argv[3], "plan") == 0 || strcmp(argv[3], "forecast") == 0)
		r = storm_plan(&load, &walk.how, &forecast);
	else
		r = storm_forecast(&load, &walk.how, &forecast);
	if (r < 0)
		return 1;
	print(&walk.how, &forecast, r);
	if (strcmp(argv[3], "forecast") == 0)
		return 0;
	stay();
	pace_start(&walk.pace, walk.how.per_s);
	r = walk_children(&walk, (int)parent);
	return r < 0 || walk.done == 0;
}
