/* SPDX-License-Identifier: MIT */
/* What the running kernel contributes to the timeline. */
#include <errno.h>
#include <fcntl.h>
#include <tcpkeep.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "procfs.h"
#include "timeline.h"
#include "visit.h"

#define NS_PER_S 1000000000

/* The coarse clocks advance once a tick: their resolution is one (kernel/time/posix-timers.c). */
static unsigned read_hz(void)
{
	struct timespec tick;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) < 0 || tick.tv_sec != 0 ||
	    tick.tv_nsec <= 0)
		return 0;
	return (unsigned)((NS_PER_S + tick.tv_nsec / 2) / tick.tv_nsec);
}

static int read_variable(const char *name, int *ret)
{
	_cleanup_close_ int fd = -1;

	fd = procfs_open_ipv4(name, O_RDONLY, NULL);
	if (fd < 0)
		return fd;
	return procfs_read_int(fd, ret);
}

/* The unsigned ones have no negative values in the kernel either. */
static int read_unsigned(const char *name, unsigned *ret)
{
	int value, r;

	r = read_variable(name, &value);
	if (r < 0)
		return r;
	if (value < 0)
		return -ERANGE;
	*ret = (unsigned)value;
	return 0;
}

struct kernel_reading {
	struct tcpkeep_kernel kernel;
	int missing;
};

static int read_inside(void *userdata)
{
	struct kernel_reading *reading = userdata;
	struct tcpkeep_kernel *k = &reading->kernel;
	int missing = 0;

	missing += read_variable("tcp_keepalive_time", &k->sysctls.time_s) < 0;
	missing += read_variable("tcp_keepalive_intvl", &k->sysctls.intvl_s) < 0;
	missing += read_variable("tcp_keepalive_probes", &k->sysctls.probes) < 0;
	missing += read_variable("tcp_retries2", &k->retries2) < 0;
	missing += read_variable("tcp_orphan_retries", &k->orphan_retries) < 0;
	missing += read_unsigned("tcp_fin_timeout", &k->fin_timeout_s) < 0;
	/* Alone in missing it is older than the variable, and the default is what it uses. */
	if (read_unsigned("tcp_rto_max_ms", &k->rto_max_ms) < 0)
		missing += missing > 0;
	/* An int before Linux 5.16: what nobody lives to see is no different from the u8's most. */
	k->retries2 = MIN(k->retries2, TIMELINE_RETRIES_MAX);
	k->orphan_retries = MIN(k->orphan_retries, TIMELINE_RETRIES_MAX);
	reading->missing = missing;
	return 0;
}

/* As many as read_inside() tries. */
#define N_VARIABLES 7

EXPORT int tcpkeep_kernel_read(int netns, struct tcpkeep_kernel *ret)
{
	struct kernel_reading reading = {.kernel = TCPKEEP_KERNEL_DEFAULT, .missing = N_VARIABLES};
	unsigned hz = read_hz();

	/* A namespace that cannot be entered leaves all of them missing. */
	netns_visit(netns, read_inside, &reading, NULL);
	if (hz > 0)
		reading.kernel.hz = hz;
	*ret = reading.kernel;
	return reading.missing + (hz == 0);
}
