/* SPDX-License-Identifier: MIT */
/*
 * The entries as files, "NUMBER.set" in a directory of one's own. An entry is whole or not there:
 * it is written under another name, synced, and then given its own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/number.h"
#include "journal.h"
#include "keepalive/error.h"

#define BOOT_FILE "/proc/sys/kernel/random/boot_id"
#define SUFFIX    ".set"
#define NAME_MAX_ 32

/* What no count of ours reaches is no entry's name: after the highest number none would come. */
#define ID_MAX 1000000000000000

/* What a killed process left behind goes after so long. */
#define STALE_S 3600

/* Others may have taken the number that was next. */
#define TRIES_MAX 64

int journal_boot(uint8_t ret[JOURNAL_BOOT_MAX])
{
	_cleanup_close_ int fd = open(BOOT_FILE, O_RDONLY | O_CLOEXEC);
	char text[64];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	unsigned digits = 0;

	if (n < 0)
		return -errno;
	memset(ret, 0, JOURNAL_BOOT_MAX);
	for (ssize_t i = 0; i < n && digits < 2 * JOURNAL_BOOT_MAX; i++) {
		static const char hex[] = "0123456789abcdef";
		const char *digit = text[i] ? strchr(hex, text[i]) : NULL;

		if (!digit)
			continue;
		ret[digits / 2] = (uint8_t)(ret[digits / 2] << 4 | (digit - hex));
		digits++;
	}
	return digits == 2 * JOURNAL_BOOT_MAX ? 0 : -EBADMSG;
}

/* -------------------------------------------------------------------------------- the directory */

/* Makes a directory with those above it, as mkdir -p does. */
static int make_path(const char *path)
{
	_cleanup_free_ char *part = strdup(path);

	if (!part)
		return -ENOMEM;
	for (char *at = part + 1;; at++) {
		char c = *at;

		if (c != '/' && c != '\0')
			continue;
		*at = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return -errno;
		if (c == '\0')
			return 0;
		*at = c;
	}
}

static int open_below(const char *state_dir, bool create)
{
	_cleanup_close_ int parent = -1;
	int fd;

	if (create) {
		int r = make_path(state_dir);

		if (r < 0)
			return r;
	}
	parent = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return -errno;
	if (create && mkdirat(parent, JOURNAL_FOLDER, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(parent, JOURNAL_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int journal_open(const char *state_dir, bool create, struct tcpkeep_error *ret_error)
{
	_cleanup_close_ int fd = open_below(state_dir, create);
	struct stat st;

	if (fd < 0)
		return error_set(ret_error, fd, "%s/" JOURNAL_FOLDER ": %s", state_dir,
				 strerror(-fd));
	if (fstat(fd, &st) < 0)
		return error_set(ret_error, -errno, "%s/" JOURNAL_FOLDER ": %s", state_dir,
				 strerror(errno));
	if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return error_set(ret_error, -EPERM,
				 "%s/" JOURNAL_FOLDER
				 ": others may write there; it has to be yours, with "
				 "mode 0700",
				 state_dir);
	return steal_fd(&fd);
}

static void name_of(uint64_t id, char name[NAME_MAX_])
{
	snprintf(name, NAME_MAX_, "%" PRIu64 SUFFIX, id);
}

/* The number of an entry's name; 0: it is none. */
static uint64_t id_of(const char *name)
{
	size_t len = strlen(name);
	int64_t id;

	if (len <= strlen(SUFFIX) || strcmp(name + len - strlen(SUFFIX), SUFFIX) != 0 ||
	    number_parse(name, len - strlen(SUFFIX), 1, ID_MAX, &id) < 0)
		return 0;
	return (uint64_t)id;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void cleanup_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static void remove_stale(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime + STALE_S < time(NULL))
		unlinkat(dir, name, 0);
}

int journal_list(int dir, uint64_t **ret, size_t *ret_n)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(cleanup_closedir) DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	_cleanup_free_ uint64_t *ids = NULL;
	size_t n = 0, room = 0;
	struct dirent *entry;

	if (!stream) {
		int r = -errno;

		cleanup_close(&fd);
		return r;
	}
	while ((entry = readdir(stream))) {
		uint64_t id = id_of(entry->d_name), *grown;

		if (id == 0)
			continue;
		grown = array_grow(ids, n, &room, sizeof(*ids));
		if (!grown)
			return -ENOMEM;
		ids = grown;
		ids[n++] = id;
	}
	if (n > 0)
		qsort(ids, n, sizeof(*ids), compare_ids);
	*ret = steal_pointer(&ids);
	*ret_n = n;
	return 0;
}

/* ---------------------------------------------------------------------------------------- writing
 */

/* A whole file under a name that is no entry's. */
static int write_new(int dir, const uint8_t *bytes, size_t len, char name[NAME_MAX_])
{
	_cleanup_close_ int fd = -1;
	int r;

	for (unsigned i = 0; fd < 0 && i < TRIES_MAX; i++) {
		snprintf(name, NAME_MAX_, ".new-%d-%u", (int)getpid(), i);
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			return -errno;
	}
	if (fd < 0)
		return -EEXIST;
	r = file_write_synced(fd, bytes, len);
	if (r < 0)
		unlinkat(dir, name, 0);
	return r;
}

static uint64_t last_id(const uint64_t *ids, size_t n)
{
	return n > 0 ? ids[n - 1] : 0;
}

/* Gives it the next free number. */
static int name_new(int dir, const char *from, uint64_t *ret_id)
{
	for (int i = 0; i < TRIES_MAX; i++) {
		_cleanup_free_ uint64_t *ids = NULL;
		char name[NAME_MAX_];
		size_t n;
		int r;

		r = journal_list(dir, &ids, &n);
		if (r < 0)
			return r;
		if (last_id(ids, n) == ID_MAX)
			return -EOVERFLOW;
		name_of(last_id(ids, n) + 1, name);
		if (linkat(dir, from, dir, name, 0) == 0) {
			*ret_id = last_id(ids, n) + 1;
			return 0;
		}
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

/* Bounded, whoever writes: the oldest go, and what was killed in the midst of writing. */
static void prune(int dir, uint64_t keep)
{
	_cleanup_free_ uint64_t *ids = NULL;
	size_t n, bytes = 0, entries = 0;

	if (journal_list(dir, &ids, &n) < 0)
		return;
	while (n-- > 0) {
		char name[NAME_MAX_];
		struct stat st = {0};

		name_of(ids[n], name);
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		bytes += (size_t)st.st_size;
		if ((++entries > JOURNAL_ENTRIES_MAX || bytes > JOURNAL_BYTES_MAX) &&
		    ids[n] != keep)
			unlinkat(dir, name, 0);
	}
}

static void prune_stale(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(cleanup_closedir) DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (stream && (entry = readdir(stream)))
		if (strncmp(entry->d_name, ".new-", 5) == 0)
			remove_stale(dir, entry->d_name);
	if (!stream)
		cleanup_close(&fd);
}

static int encode_new(int dir, const struct journal_head *head, const struct change_set *set,
		      const uint8_t *only, char name[NAME_MAX_])
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t len;
	int r;

	r = journal_encode(head, set, only, &bytes, &len);
	if (r < 0)
		return r;
	if (len > JOURNAL_BYTES_MAX)
		return -EFBIG;
	return write_new(dir, bytes, len, name);
}

int journal_add(int dir, const struct journal_head *head, const struct change_set *set,
		uint64_t *ret_id, struct tcpkeep_error *ret_error)
{
	char name[NAME_MAX_];
	int r;

	r = encode_new(dir, head, set, NULL, name);
	if (r == 0) {
		r = name_new(dir, name, ret_id);
		unlinkat(dir, name, 0);
	}
	if (r == 0 && fsync(dir) < 0)
		r = -errno;
	if (r < 0)
		return error_set(ret_error, r, "the journal cannot be written: %s", strerror(-r));
	prune(dir, *ret_id);
	prune_stale(dir);
	return 0;
}

static bool is_empty(const struct change_set *set, const uint8_t *only)
{
	for (size_t i = 0; i < set->n; i++)
		if (!only || only[i / 8] >> i % 8 & 1)
			return false;
	return true;
}

int journal_replace(int dir, uint64_t id, const struct journal_head *head,
		    const struct change_set *set, const uint8_t *only,
		    struct tcpkeep_error *ret_error)
{
	char name[NAME_MAX_], own[NAME_MAX_];
	int r;

	name_of(id, own);
	if (is_empty(set, only)) {
		if (unlinkat(dir, own, 0) < 0 && errno != ENOENT)
			return error_set(ret_error, -errno, "%s: %s", own, strerror(errno));
		return 0;
	}
	r = encode_new(dir, head, set, only, name);
	if (r == 0 && renameat(dir, name, dir, own) < 0) {
		r = -errno;
		unlinkat(dir, name, 0);
	}
	if (r == 0 && fsync(dir) < 0)
		r = -errno;
	return r < 0 ? error_set(ret_error, r, "%s cannot be written: %s", own, strerror(-r)) : 0;
}

/* ---------------------------------------------------------------------------------------- reading
 */

static int read_whole(int fd, uint8_t *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = read(fd, bytes + at, len - at);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EBADMSG;
		if (n > 0)
			at += (size_t)n;
	}
	return 0;
}

/* Of a regular file that nobody else could write. */
static int read_file(int dir, const char *name, uint8_t **ret, size_t *ret_len)
{
	_cleanup_close_ int fd =
		openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	_cleanup_free_ uint8_t *bytes = NULL;
	struct stat st;
	int r;

	if (fd < 0)
		return errno == ELOOP ? -EPERM : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	if (st.st_size < 0 || (uint64_t)st.st_size > JOURNAL_BYTES_MAX)
		return -EBADMSG;
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	r = read_whole(fd, bytes, (size_t)st.st_size);
	if (r < 0)
		return r;
	*ret = steal_pointer(&bytes);
	*ret_len = (size_t)st.st_size;
	return 0;
}

#define PLACE_MAX 128 /* of a message */

/* Where it is, for whoever has to remove it. */
static void put_place(int dir, const char *name, char ret[PLACE_MAX])
{
	char link[64], path[4096], shown[PLACE_MAX - NAME_MAX_];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	len = readlink(link, path, sizeof(path));
	if (len > 0)
		escape_text(path, (size_t)len, shown, sizeof(shown));
	snprintf(ret, PLACE_MAX, "%s%s%s", len > 0 ? shown : "the journal's ", len > 0 ? "/" : "",
		 name);
}

int journal_read(int dir, uint64_t id, struct journal_head *ret_head, struct change_set *ret_set,
		 struct tcpkeep_error *ret_error)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	char name[NAME_MAX_], place[PLACE_MAX];
	size_t len = 0;
	int r;

	name_of(id, name);
	r = read_file(dir, name, &bytes, &len);
	if (r == 0)
		r = journal_decode(bytes, len, ret_head, ret_set);
	if (r == 0)
		return 0;
	put_place(dir, name, place);
	switch (r) {
	case -ENOENT:
		return error_set(ret_error, r,
				 "there is no change %" PRIu64 "; 'tcpkeep set --history' tells "
				 "them",
				 id);
	case -EPERM:
		return error_set(ret_error, r,
				 "%s is not a file that only you can write; "
				 "remove it",
				 place);
	case -EPROTONOSUPPORT:
		return error_set(ret_error, r,
				 "%s was written by a newer tcpkeep, which can undo it", place);
	case -EBADMSG:
		return error_set(ret_error, r, "%s is damaged; remove it", place);
	}
	return error_set(ret_error, r, "%s: %s", place, strerror(-r));
}
