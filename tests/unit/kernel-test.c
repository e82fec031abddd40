/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <string.h>
#include <tcpkeep.h>
#include <time.h>

#include "base/cleanup.h"
#include "private.h"
#include "unit.h"

static void put(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd >= 0);
	must(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static uint64_t coarse_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The shortest step of the coarse clock is a tick: a tickless CPU may make longer ones, never
 * shorter. */
static void hz_is_what_the_clock_does(void **state)
{
	uint64_t last = coarse_ns(), shortest = UINT64_MAX;
	struct tcpkeep_kernel kernel;
	int steps = 0;

	(void)state;
	while (steps < 8) {
		uint64_t now = coarse_ns();

		if (now == last)
			continue;
		if (steps++ > 0 && now - last < shortest)
			shortest = now - last;
		last = now;
	}
	assert_int_equal(tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel), 0);
	assert_in_range(kernel.hz, 24, 1200);
	/* Clock steering moves a step by parts per million. */
	assert_in_range(shortest, 990000000 / kernel.hz, 1010000000 / kernel.hz);
}

static void each_variable_is_the_namespaces(void **state)
{
	struct tcpkeep_kernel kernel;
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_rto_max_ms", "we");

	(void)state;
	put("/proc/sys/net/ipv4/tcp_keepalive_time", "41");
	put("/proc/sys/net/ipv4/tcp_keepalive_intvl", "42");
	put("/proc/sys/net/ipv4/tcp_keepalive_probes", "43");
	put("/proc/sys/net/ipv4/tcp_retries2", "7");
	put("/proc/sys/net/ipv4/tcp_orphan_retries", "5");
	put("/proc/sys/net/ipv4/tcp_fin_timeout", "17");
	if (f) {
		fputs("30000", f);
		fclose(f);
	}
	assert_int_equal(tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel), 0);
	assert_int_equal(kernel.sysctls.time_s, 41);
	assert_int_equal(kernel.sysctls.intvl_s, 42);
	assert_int_equal(kernel.sysctls.probes, 43);
	assert_int_equal(kernel.retries2, 7);
	assert_int_equal(kernel.orphan_retries, 5);
	assert_int_equal(kernel.fin_timeout_s, 17);
	assert_int_equal(kernel.rto_max_ms, f ? 30000 : 120000);
}

static void read_hidden(struct finding *f)
{
	struct tcpkeep_kernel kernel;

	must(mount("x", "/proc/sys/net", "tmpfs", 0, NULL) == 0);
	f->result = tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	f->sysctls = kernel.sysctls;
}

static void read_elsewhere(struct finding *f)
{
	struct tcpkeep_kernel kernel;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	f->result = tcpkeep_kernel_read(null, &kernel);
	f->sysctls = kernel.sysctls;
}

static void what_cannot_be_read_keeps_the_default_and_is_counted(void **state)
{
	static const struct tcpkeep_sysctls defaults = TCPKEEP_SYSCTLS_DEFAULT;
	struct finding finding;

	(void)state;
	finding = in_child(read_hidden);
	assert_int_equal(finding.result, 7);
	assert_memory_equal(&finding.sysctls, &defaults, sizeof(defaults));
	finding = in_child(read_elsewhere);
	assert_int_equal(finding.result, 7);
	assert_memory_equal(&finding.sysctls, &defaults, sizeof(defaults));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hz_is_what_the_clock_does),
		cmocka_unit_test(each_variable_is_the_namespaces),
		cmocka_unit_test(what_cannot_be_read_keeps_the_default_and_is_counted),
	};

	enter_private_place();
	return run_unit_tests("kernel", tests);
}
