/* SPDX-License-Identifier: MIT */
/*
 * One change at a time: the forecast of one knows nothing of what another is about to do, and an
 * undo must not meet a change in the midst of it. The lock is a file beside the journal, which is
 * one for root and one for each user: root's changes wait for each other, not for a user's, who
 * could hold root up for ever. It goes with its process, however that ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/number.h"
#include "set-job.h"

#define LOCK_FILE     ".lock"
#define SAY_AFTER_MS  1000
#define LOCK_TEXT_MAX 64

/* Who holds it, as set_lock_tell() has it written: "PROCESS CHANGE". False: not told. */
static bool read_holder(int fd, int64_t *ret_pid, int64_t *ret_change)
{
	char text[LOCK_TEXT_MAX];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	size_t first;

	if (n <= 0)
		return false;
	text[n] = '\0';
	first = strcspn(text, " ");
	return text[first] == ' ' && number_parse(text, first, 1, INT32_MAX, ret_pid) == 0 &&
	       number_parse(text + first + 1, strcspn(text + first + 1, "\n"), 0, INT64_MAX,
			    ret_change) == 0;
}

static void say_waiting(const struct set_job *job, int fd)
{
	int64_t pid, change;

	if (!read_holder(fd, &pid, &change))
		say_error("%s: waiting for another change to end ...", job->who);
	else if (change == 0)
		say_error("%s: waiting for process %lld, which is about to change sockets ...",
			  job->who, (long long)pid);
	else
		say_error("%s: waiting for change %lld of process %lld to end ...", job->who,
			  (long long)change, (long long)pid);
}

/* Who says that it takes a while, while the lock is waited for. */
struct herald {
	const struct set_job *job;
	int lock;
	int done; /* an eventfd: the waiting is over */
};

static void *say_late(void *userdata)
{
	const struct herald *herald = userdata;
	struct pollfd until = {.fd = herald->done, .events = POLLIN};

	if (poll(&until, 1, SAY_AFTER_MS) == 0)
		say_waiting(herald->job, herald->lock);
	return NULL;
}

static int wait_silently(int fd)
{
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/*
 * Waits; Ctrl-C ends it, as it ends every program. A thread speaks meanwhile: a signal that
 * interrupts flock() may be blocked by whoever started us, and its timer be theirs.
 */
static int wait_for(const struct set_job *job, int fd)
{
	_cleanup_close_ int done = eventfd(0, EFD_CLOEXEC);
	struct herald herald = {job, fd, done};
	pthread_t thread;
	int r;

	if (done < 0 || pthread_create(&thread, NULL, say_late, &herald) != 0)
		return wait_silently(fd);
	r = wait_silently(fd);
	eventfd_write(done, 1);
	pthread_join(thread, NULL);
	return r;
}

/* Its descriptor, or -errno with words. */
static int open_lock(const char *state_dir, struct tcpkeep_error *ret_error)
{
	_cleanup_close_ int dir = journal_open(state_dir, true, ret_error);
	int fd;

	if (dir < 0)
		return dir;
	fd = openat(dir, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	/* Nothing can be changed without the journal, but undone it can. */
	if (fd < 0 && errno == EROFS)
		return steal_fd(&dir);
	if (fd < 0)
		fd = -errno;
	if (fd < 0)
		snprintf(ret_error->message, sizeof(ret_error->message),
			 "the journal's " LOCK_FILE ": %s", strerror(-fd));
	return fd;
}

int set_lock_take(struct set_job *job)
{
	struct tcpkeep_error error = {.message = ""};
	_cleanup_close_ int fd = -1;
	char path[4096];
	int r;

	if (job->locked || job->args->dry_run)
		return EXIT_DONE;
	if (!set_state_dir(job->who, path, sizeof(path)))
		return EXIT_FAILED;
	fd = open_lock(path, &error);
	if (fd < 0)
		return set_job_fail_journal(job, &error, fd);
	r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	if (r == -EWOULDBLOCK)
		r = wait_for(job, fd);
	if (r < 0)
		return set_job_fail(job, &error, r);
	job->lock = steal_fd(&fd);
	job->locked = true;
	set_lock_tell(job);
	return EXIT_DONE;
}

void set_lock_tell(const struct set_job *job)
{
	char text[LOCK_TEXT_MAX];
	int n = snprintf(text, sizeof(text), "%d %llu\n", (int)getpid(),
			 (unsigned long long)job->journal_id);

	if (!job->locked)
		return;
	/* A longer text of somebody before is overwritten to its end. Nothing depends on it. */
	if (pwrite(job->lock, text, (size_t)n, 0) == n && ftruncate(job->lock, n) < 0)
		return;
}

void set_lock_release(struct set_job *job)
{
	if (!job->locked)
		return;
	cleanup_close(&job->lock);
	job->locked = false;
}
