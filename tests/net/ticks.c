/* SPDX-License-Identifier: MIT */
/* When the kernel's ticks are: jiffies against CLOCK_MONOTONIC, from /proc/timer_list. */
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/number.h"
#include "model.h"

#define MEASURE_NS (40 * NS_PER_MS)

uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The first number that follows key, in a text that ends. */
static bool find_number(const char *text, const char *key, int64_t *ret)
{
	const char *number = strstr(text, key);

	if (!number)
		return false;
	number += strlen(key);
	return number_parse(number, strcspn(number, " \n"), 0, INT64_MAX, ret) == 0;
}

/* Jiffies, when they were read at the latest, and the time of some tick; false: no luck. */
static bool read_timer_list(int fd, int64_t *ret_jiffies, int64_t *ret_tick_ns,
			    int64_t *ret_after_ns)
{
	static char text[1 << 17];
	size_t len = 0;
	ssize_t n;

	/* A read ends with a processor's part, and the first may be the head alone. */
	do {
		n = pread(fd, text + len, sizeof(text) - 1 - len, (off_t)len);
		*ret_after_ns = (int64_t)monotonic_ns();
		if (n <= 0)
			return false;
		len += (size_t)n;
		text[len] = '\0';
	} while (!strstr(text, "\njiffies: "));
	return find_number(text, "\njiffies: ", ret_jiffies) &&
	       find_number(text, ".last_tick      : ", ret_tick_ns);
}

void ticks_measure(unsigned hz, struct ticks *ret)
{
	_cleanup_close_ int fd = open("/proc/timer_list", O_RDONLY | O_CLOEXEC);
	struct ticks ticks = {.phase_ns = INT64_MAX, .length_ns = 1000000000 / hz};
	int64_t length = (int64_t)ticks.length_ns, tick_ns = 0;
	uint64_t until = monotonic_ns() + MEASURE_NS;

	while (fd >= 0 && monotonic_ns() < until) {
		int64_t after, jiffies;

		if (!read_timer_list(fd, &jiffies, &tick_ns, &after))
			break;
		/* That tick began before; the reading that was nearest to its beginning tells best.
		 */
		ticks.phase_ns = MIN(ticks.phase_ns, after - jiffies * length);
		ticks.known = true;
	}
	/* Ticks begin at whole multiples of their length from each other. */
	if (ticks.known) {
		int64_t late = (ticks.phase_ns - tick_ns) % length;

		ticks.phase_ns -= late < 0 ? late + length : late;
	}
	*ret = ticks;
}

uint64_t ticks_at(const struct ticks *ticks, uint64_t monotonic)
{
	return (uint64_t)((int64_t)monotonic - ticks->phase_ns) / ticks->length_ns;
}
