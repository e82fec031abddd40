/* SPDX-License-Identifier: MIT */
/* Making settings last: the one file below /etc/sysctl.d that is ours. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/macro.h"
#include "error.h"
#include "rooted.h"
#include "sysctl-conf.h"

#define PERSIST_DIR "/etc/sysctl.d"

/* The file's name in that directory. */
static const char *const persist_name = &TCPKEEP_PERSIST_FILE[sizeof(PERSIST_DIR)];

/* How often the file may change under our hands before that is told. */
#define MAX_TRIES 8

static const char head[] =
	"# Kept by 'tcpkeep sysctl --persist': it sets the keys below and leaves every other line "
	"alone.\n";

/* The file as it was read. */
struct original {
	bool exists;
	struct stat st;
	char *text;
	size_t len;
};

static void original_clear(struct original *o)
{
	free(o->text);
}

static int fail_odd(const struct stat *st, struct tcpkeep_error *ret_error)
{
	if (S_ISLNK(st->st_mode))
		return error_set(ret_error, -ELOOP,
				 TCPKEEP_PERSIST_FILE
				 ": is a symbolic link, which may lead anywhere (to /dev/null "
				 "it masks the file); remove it or edit what it leads to");
	return error_set(ret_error, S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL,
			 TCPKEEP_PERSIST_FILE ": is %s, not a regular file; remove it",
			 S_ISDIR(st->st_mode)    ? "a directory"
			 : S_ISFIFO(st->st_mode) ? "a fifo"
						 : "a device or socket");
}

static int read_original(int dir_fd, struct original *ret, struct tcpkeep_error *ret_error)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	*ret = (struct original){0};
	if (dir_fd < 0 ||
	    (fstatat(dir_fd, persist_name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT))
		return 0;
	if (!S_ISREG(st.st_mode))
		return fail_odd(&st, ret_error);
	fd = openat(dir_fd, persist_name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &ret->st) < 0)
		return error_set(ret_error, -errno, TCPKEEP_PERSIST_FILE ": cannot be read: %s",
				 strerror(errno));
	r = rooted_read_fd(fd, &ret->text, &ret->len);
	if (r == -EFBIG)
		return error_set(ret_error, r,
				 TCPKEEP_PERSIST_FILE
				 ": is larger than 1 MiB; remove what does not belong there");
	if (r < 0)
		return error_set(ret_error, r, TCPKEEP_PERSIST_FILE ": cannot be read: %s",
				 strerror(-r));
	ret->exists = true;
	return 0;
}

/* Whether the file still is the one that was read. */
static bool is_same(int dir_fd, const struct original *o)
{
	struct stat st;

	if (fstatat(dir_fd, persist_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && !o->exists;
	return o->exists && st.st_ino == o->st.st_ino && st.st_dev == o->st.st_dev &&
	       st.st_size == o->st.st_size && st.st_mtim.tv_sec == o->st.st_mtim.tv_sec &&
	       st.st_mtim.tv_nsec == o->st.st_mtim.tv_nsec;
}

/* Mode and owner are those of the file that goes; a new one is readable by all, as its peers are.
 */
static int fill(int fd, const struct original *o, const char *text, size_t len)
{
	if (o->exists && fchown(fd, o->st.st_uid, o->st.st_gid) < 0)
		return -errno;
	if (fchmod(fd, o->exists ? o->st.st_mode & 07777 : 0644) < 0)
		return -errno;
	return file_write_synced(fd, text, len);
}

/* 0, or -EAGAIN when somebody else changed the file meanwhile. Signals are blocked. */
static int replace(int dir_fd, const struct original *o, const char *text, size_t len)
{
	_cleanup_close_ int fd = -1;
	uint64_t random;
	char name[64];
	int r;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint64_t)getpid();
	/* A leading dot and no .conf at the end: no reader of the directory takes it for its own.
	 */
	snprintf(name, sizeof(name), ".%s.%016" PRIx64, persist_name, random);
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fill(fd, o, text, len);
	if (r == 0 && !is_same(dir_fd, o))
		r = -EAGAIN;
	if (r == 0 && renameat(dir_fd, name, dir_fd, persist_name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dir_fd, name, 0);
		return r;
	}
	return fsync(dir_fd) < 0 ? -errno : 0;
}

/* The directory, made when it is missing (Alpine, containers); -ENOENT in a dry run. */
static int open_dir(const char *root, bool dry_run, struct tcpkeep_error *ret_error)
{
	_cleanup_close_ int etc_fd = -1;
	bool made;
	int fd;

	fd = rooted_open(root, PERSIST_DIR, O_RDONLY | O_DIRECTORY);
	if (fd == -ENOENT && dry_run)
		return fd;
	if (fd != -ENOENT)
		return fd >= 0 ? fd : error_set(ret_error, fd, PERSIST_DIR ": %s", strerror(-fd));
	etc_fd = rooted_open(root, "/etc", O_RDONLY | O_DIRECTORY);
	if (etc_fd < 0)
		return error_set(ret_error, etc_fd, "/etc: %s", strerror(-etc_fd));
	made = mkdirat(etc_fd, "sysctl.d", 0755) == 0;
	if (!made && errno != EEXIST)
		return error_set(ret_error, -errno, PERSIST_DIR ": cannot be made: %s",
				 strerror(errno));
	fd = rooted_open(root, PERSIST_DIR, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return error_set(ret_error, fd, PERSIST_DIR ": %s", strerror(-fd));
	/* Readable by all, as everywhere, whatever the umask. */
	if (made && fchmod(fd, 0755) < 0) {
		int r = -errno;

		close(fd);
		return error_set(ret_error, r, PERSIST_DIR ": %s", strerror(-r));
	}
	return fd;
}

/* One read, edit and write. -EAGAIN: again. */
static int try_write(int dir_fd, const struct tcpkeep_settings *settings, bool dry_run,
		     struct tcpkeep_error *ret_error)
{
	_cleanup_(original_clear) struct original o = {0};
	_cleanup_free_ char *edited = NULL;
	size_t len;
	int r;

	r = read_original(dir_fd, &o, ret_error);
	if (r < 0)
		return r;
	r = o.exists ? sysctl_conf_edit(o.text, o.len, settings, &edited, &len)
		     : sysctl_conf_edit(head, strlen(head), settings, &edited, &len);
	if (r == -EILSEQ)
		return error_set(ret_error, r,
				 TCPKEEP_PERSIST_FILE
				 ": has NUL bytes, which is no sysctl.d file; remove it");
	if (r < 0)
		return error_set(ret_error, r, TCPKEEP_PERSIST_FILE ": %s", strerror(-r));
	if (r == 0)
		return TCPKEEP_PERSIST_UNCHANGED;
	if (dry_run)
		return TCPKEEP_PERSIST_WRITTEN;
	r = replace(dir_fd, &o, edited, len);
	if (r == -EROFS)
		return error_set(ret_error, r,
				 TCPKEEP_PERSIST_FILE
				 ": the file system is read-only; set it where this system is "
				 "built (image, container runtime)");
	if (r == -EACCES || r == -EPERM)
		return error_set(ret_error, r,
				 TCPKEEP_PERSIST_FILE ": cannot be written: %s; run as root",
				 strerror(-r));
	if (r < 0 && r != -EAGAIN)
		return error_set(ret_error, r, TCPKEEP_PERSIST_FILE ": cannot be written: %s",
				 strerror(-r));
	return r < 0 ? r : TCPKEEP_PERSIST_WRITTEN;
}

EXPORT int tcpkeep_persist_write(const char *root, const struct tcpkeep_settings *settings,
				 bool dry_run, struct tcpkeep_error *ret_error)
{
	_cleanup_close_ int dir_fd = -1;
	sigset_t all, saved;
	int r;

	r = tcpkeep_settings_validate(settings, TCPKEEP_SCOPE_SYSCTL, ret_error);
	if (r < 0)
		return r;
	if (settings->fields == 0)
		return error_set(ret_error, -EINVAL, "no setting is given: time, intvl or probes");
	r = open_dir(root, dry_run, ret_error);
	if (r < 0 && !(dry_run && r == -ENOENT))
		return r;
	dir_fd = r;

	/* A signal between the temporary file and its new name would leave it behind. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	r = -EAGAIN;
	for (int i = 0; i < MAX_TRIES && r == -EAGAIN; i++)
		r = try_write(dir_fd, settings, dry_run, ret_error);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	if (r == -EAGAIN)
		return error_set(ret_error, -EBUSY,
				 TCPKEEP_PERSIST_FILE
				 ": another program keeps changing it; try again");
	return r;
}
