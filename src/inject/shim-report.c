/* SPDX-License-Identifier: MIT */
/*
 * Counting for --report. Whether a connection came about is asked of the kernel: at once where
 * connect() waited for it, otherwise when the program closes the socket or ends. A socket that the
 * program left to another process meanwhile is not known, and is said to be so.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

#include "give.h"
#include "shim.h"

/* include/net/tcp_states.h; netinet/tcp.h, which names them, knows too little of tcp_info. */
#define STATE_SYN_SENT 2
#define STATE_SYN_RECV 3
#define STATE_CLOSE    7

/* Set before it connected, and nobody knows yet what became of it. Told as failed: it may be tried
 * again. */
static uint64_t undecided[SHIM_TABLE_SIZE / 64], failed[SHIM_TABLE_SIZE / 64];

/* Each of these three answers whether the bit was set before. */
static bool test(const uint64_t *bits, int fd)
{
	return (unsigned)fd < SHIM_TABLE_SIZE &&
	       __atomic_load_n(&bits[fd / 64], __ATOMIC_RELAXED) & 1ULL << fd % 64;
}

static bool add(uint64_t *bits, int fd)
{
	uint64_t bit = 1ULL << fd % 64;

	return (unsigned)fd < SHIM_TABLE_SIZE &&
	       __atomic_fetch_or(&bits[fd / 64], bit, __ATOMIC_RELAXED) & bit;
}

/* True for one of those who ask. */
static bool take(uint64_t *bits, int fd)
{
	uint64_t bit = 1ULL << fd % 64;

	return test(bits, fd) && __atomic_fetch_and(&bits[fd / 64], ~bit, __ATOMIC_RELAXED) & bit;
}

static void await_outcome(int fd)
{
	take(failed, fd);
	add(undecided, fd);
}

/* It stands, and may have been told as failed. */
static void count_connected(int fd)
{
	if (!take(undecided, fd))
		return;
	if (take(failed, fd))
		__atomic_fetch_sub(&shim.report->failed, 1, __ATOMIC_RELAXED);
	shim_count(connected);
}

static void count_failed(int fd)
{
	if (test(undecided, fd) && !add(failed, fd))
		shim_count(failed);
}

/* Those of the parent process: it tells of them. */
void shim_report_forget(void)
{
	memset(undecided, 0, sizeof(undecided));
	memset(failed, 0, sizeof(failed));
}

void shim_report_set(int fd, enum shim_kind kind)
{
	if (kind != SHIM_DONE) {
		shim_count(listening);
		return;
	}
	shim_count(tried);
	if (shim.report)
		await_outcome(fd);
}

/* Every field of the plan is the program's own. */
static bool chooses_all(uint8_t entry)
{
	uint32_t fields = shim.plan.settings.fields;

	return (entry & shim.respected & fields) == fields;
}

/* Some are: with other values than ours? Keeps errno. */
static void count_in_part(int fd, uint8_t entry)
{
	int saved = errno;

	if (entry & shim.respected && !give_holds(fd, &shim.plan.settings, 0))
		shim_count(in_part);
	errno = saved;
}

void shim_report_fresh(int fd, uint8_t entry, enum shim_kind kind)
{
	if (shim.n_options == 0)
		return;
	if (chooses_all(entry)) {
		shim_count(left_alone);
		return;
	}
	shim_report_set(fd, kind);
	count_in_part(fd, entry);
}

void shim_report_accepted(int fd, uint8_t listener_entry)
{
	if (shim.n_options == 0)
		return;
	if (chooses_all(listener_entry)) {
		shim_count(left_alone);
		return;
	}
	shim_count(accepted);
	count_in_part(fd, listener_entry);
}

bool shim_report_holds(int fd)
{
	int saved = errno;
	bool held = shim.report && !shim.plan.enforce && shim_kind(shim_entry(fd)) != SHIM_FRESH &&
		    give_holds(fd, &shim.plan.settings, 0) && give_is_tcp(fd);

	errno = saved;
	return held;
}

void shim_report_changed(int fd, bool held)
{
	int saved = errno;

	if (held && !give_holds(fd, &shim.plan.settings, 0))
		shim_count(changed);
	errno = saved;
}

int shim_report_connect(int fd, int result)
{
	bool stands = result == 0 || errno == EISCONN;

	/* On its way, or never a connect() of this socket. */
	if (!stands && (errno == EINPROGRESS || errno == EALREADY || errno == EINTR ||
			errno == EBADF || errno == ENOTSOCK))
		return result;
	if (stands)
		count_connected(fd);
	else
		count_failed(fd);
	return result;
}

/*
 * tcpi_bytes_acked (4.1) counts the SYN as well: a connection that once stood shows it, also after
 * its end. One that is under way may be another process's by now.
 */
static void ask_kernel(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 || info.tcpi_state == 0 ||
	    info.tcpi_state == STATE_SYN_SENT || info.tcpi_state == STATE_SYN_RECV)
		return;
	if (info.tcpi_state != STATE_CLOSE || info.tcpi_bytes_acked)
		count_connected(fd);
	else
		count_failed(fd);
}

void shim_report_close(int fd)
{
	int saved = errno;

	/* A child of vfork() has its parent's table and not its socket. */
	if (test(undecided, fd) && !shim_in_vfork()) {
		ask_kernel(fd);
		take(undecided, fd);
	}
	errno = saved;
}

__attribute__((destructor)) static void report_open(void)
{
	if (!shim.report || shim_in_vfork())
		return;
	for (int word = 0; word < SHIM_TABLE_SIZE / 64; word++)
		for (int fd = word * 64; undecided[word] && fd < (word + 1) * 64; fd++)
			if (test(undecided, fd))
				ask_kernel(fd);
}
