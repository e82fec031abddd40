/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "pass-fd.h"

/* A mapping beyond the end of a file that shrank is SIGBUS: only a sealed one may be mapped. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static struct report *map_report(int fd)
{
	void *map = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

/* The limit of file sizes (ulimit -f) counts here as well: an error is wanted, not SIGXFSZ. */
static int set_size(int fd)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	int r;

	sigaction(SIGXFSZ, &ignore, &before);
	r = ftruncate(fd, sizeof(struct report)) < 0 ? -errno : 0;
	sigaction(SIGXFSZ, &before, NULL);
	return r;
}

int report_create(struct report **ret, struct plan_report *ret_where)
{
	struct report *report;
	uint64_t nonce;
	int fd, r;

	if (getrandom(&nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
		return -errno;
	nonce &= INT64_MAX; /* as a word of the plan it is a decimal number */
	fd = memfd_create("tcpkeep-report", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	r = set_size(fd);
	if (r < 0)
		goto fail;
	report = syscall(SYS_fcntl, fd, F_ADD_SEALS, SEALS) < 0 ? NULL : map_report(fd);
	if (!report) {
		r = -errno;
		goto fail;
	}
	report->magic = REPORT_MAGIC;
	report->nonce = nonce;
	*ret = report;
	*ret_where = (struct plan_report){getpid(), fd, nonce};
	return fd;
fail:
	close(fd);
	return r;
}

static bool is_report(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == sizeof(struct report);
}

/* Opens the path for writing, once it is known to be no device or FIFO, whose open() may do things.
 */
static int open_report(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	bool good;

	if (fd < 0)
		return -errno;
	good = is_report(fd);
	close(fd);
	if (!good)
		return -EBADF;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

socklen_t report_address(const struct plan_report *where, struct sockaddr_un *ret)
{
	int n;

	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "tcpkeep-report-%d-%d",
		     where->pid, where->fd);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

/* A tcpkeep that is stopped, or drowned in questions, does not hold up the program's start for
 * longer. */
#define ANSWER_WITHIN_S 2

/* Sends one end of a pair and gets the answer at the other. */
static int ask_with(const int pair[2], int asking, const struct plan_report *where)
{
	struct timeval limit = {.tv_sec = ANSWER_WITHIN_S};
	uint64_t nonce = where->nonce;
	struct sockaddr_un address;
	socklen_t len = report_address(where, &address);
	int r;

	/* Without the limits nobody knows how long it would take. */
	if (setsockopt(asking, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		r = -errno;
	else
		r = pass_fd_send(asking, &nonce, sizeof(nonce), pair[1], 0,
				 (struct sockaddr *)&address, len);
	/* Its only other holder is asked now: if that one ends, so does the wait. */
	close(pair[1]);
	return r < 0 ? r : pass_fd_receive(pair[0], &nonce, sizeof(nonce), 0);
}

static int ask_for_report(const struct plan_report *where)
{
	int asking = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), pair[2], fd;

	if (asking < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		fd = -errno;
	} else {
		fd = ask_with(pair, asking, where);
		close(pair[0]);
	}
	close(asking);
	return fd;
}

struct report *report_attach(const struct plan_report *where)
{
	struct report *report = NULL;
	char path[64];
	int fd, seals;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", where->pid, where->fd);
	fd = open_report(path);
	if (fd < 0)
		fd = ask_for_report(where);
	if (fd < 0)
		return NULL;
	/* Not by fcntl(): glibc's is fcntl64, which musl has not, and this goes into programs of
	 * musl, too. */
	seals = (int)syscall(SYS_fcntl, fd, F_GET_SEALS);
	if (is_report(fd) && seals >= 0 && (seals & SEALS) == SEALS)
		report = map_report(fd);
	close(fd);
	if (report && (report->magic != REPORT_MAGIC || report->nonce != where->nonce)) {
		munmap(report, sizeof(*report));
		report = NULL;
	}
	return report;
}

void report_refused(struct report *report, int error)
{
	for (int i = 0; i < REPORT_ERRORS; i++) {
		struct report_error *slot = &report->errors[i];
		int32_t free_slot = 0;

		if (__atomic_compare_exchange_n(&slot->number, &free_slot, error, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
		    free_slot == error) {
			__atomic_fetch_add(&slot->count, 1, __ATOMIC_RELAXED);
			return;
		}
	}
}

void report_missed(struct report *report, enum report_missed why)
{
	__atomic_fetch_add(&report->missed[why], 1, __ATOMIC_RELAXED);
}
