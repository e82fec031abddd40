/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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

struct report *report_attach(const struct plan_report *where)
{
	struct report *report = NULL;
	char path[64];
	int fd, seals;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", where->pid, where->fd);
	fd = open_report(path);
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
