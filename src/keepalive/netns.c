/* SPDX-License-Identifier: MIT */
/* The network namespaces of this machine: by name, by process, all of them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/macro.h"
#include "base/mountinfo.h"
#include "base/nearest.h"
#include "base/number.h"
#include "error.h"
#include "procfs.h"

/* Where ip-netns(8) keeps names. */
#define NAMES_DIR "/run/netns"

#define SHOWN_MAX 64

static void cleanup_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* ---------------------------------------------------------------------------- opening one */

/*
 * Opens what is a network namespace and nothing else: a look through O_PATH comes first, which
 * disturbs neither fifos nor devices. -EINVAL: something else.
 */
static int open_netns_at(int dir_fd, const char *path)
{
	_cleanup_close_ int look = -1, fd = -1;
	struct statfs st;

	look = openat(dir_fd, path, O_PATH | O_CLOEXEC);
	if (look < 0)
		return -errno;
	if (fstatfs(look, &st) < 0)
		return -errno;
	if (st.f_type != NSFS_MAGIC)
		return -EINVAL;
	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return -EINVAL;
	return steal_fd(&fd);
}

/* The nearest name in /run/netns, for a hint. */
static const char *nearest_name(const char *wanted, char *buf, size_t size)
{
	_cleanup_(cleanup_closedir) DIR *dir = opendir(NAMES_DIR);
	const char *found = NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const char *candidates[] = {found, entry->d_name};

		if (entry->d_name[0] == '.')
			continue;
		if (nearest(wanted, strlen(wanted), found ? candidates : candidates + 1,
			    found ? 2 : 1) == entry->d_name) {
			snprintf(buf, size, "%s", entry->d_name);
			found = buf;
		}
	}
	return found;
}

static int fail_name(const char *name, int r, struct tcpkeep_error *ret_error)
{
	char shown[SHOWN_MAX], hint[NAME_MAX + 1], shown_hint[SHOWN_MAX];
	int64_t pid;

	escape_text(name, strlen(name), shown, sizeof(shown));
	if (r == -EINVAL)
		return error_set(
			ret_error, r,
			"'%s' is no network namespace; name one of 'ip netns list', or a path like "
			"/proc/PID/ns/net",
			shown);
	if (r != -ENOENT || strchr(name, '/'))
		return error_set(ret_error, r, "network namespace '%s': %s", shown, strerror(-r));
	if (nearest_name(name, hint, sizeof(hint)))
		return error_set(
			ret_error, r,
			"there is no network namespace '%s' in " NAMES_DIR "; did you mean '%s'?",
			shown, escape_text(hint, strlen(hint), shown_hint, sizeof(shown_hint)));
	if (number_parse(name, strlen(name), 1, INT32_MAX, &pid) == 0)
		return error_set(ret_error, r,
				 "there is no network namespace '%s' in " NAMES_DIR
				 "; for that of a process write /proc/%s/ns/net",
				 shown, shown);
	return error_set(ret_error, r,
			 "there is no network namespace '%s' in " NAMES_DIR
			 "; 'tcpkeep sysctl --all-netns' "
			 "shows all",
			 shown);
}

EXPORT int tcpkeep_netns_open(const char *name_or_path, struct tcpkeep_error *ret_error)
{
	char path[sizeof(NAMES_DIR) + 1 + NAME_MAX];
	int fd;

	if (strchr(name_or_path, '/')) {
		fd = open_netns_at(AT_FDCWD, name_or_path);
	} else if (*name_or_path == '\0' || strlen(name_or_path) > NAME_MAX) {
		fd = -EINVAL;
	} else {
		/* "." and ".." are directories, not namespaces: -EINVAL like any other. */
		snprintf(path, sizeof(path), NAMES_DIR "/%s", name_or_path);
		fd = open_netns_at(AT_FDCWD, path);
	}
	return fd < 0 ? fail_name(name_or_path, fd, ret_error) : fd;
}

EXPORT int tcpkeep_netns_open_pid(int pid, struct tcpkeep_error *ret_error)
{
	char path[48];
	int fd, r;

	if (pid <= 0)
		return error_set(ret_error, -EINVAL, "%d is no process number", pid);
	r = procfs_check_pids(ret_error);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	fd = open_netns_at(AT_FDCWD, path);
	if (fd >= 0)
		return fd;
	if (fd == -EACCES || fd == -EPERM)
		return error_set(
			ret_error, fd,
			"process %d: its network namespace may be seen by its own user and by root "
			"(CAP_SYS_PTRACE) only; run as root",
			pid);
	if (fd != -ENOENT && fd != -ESRCH)
		return error_set(ret_error, fd, "process %d: %s", pid, strerror(-fd));
	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (faccessat(AT_FDCWD, path, F_OK, 0) == 0)
		return error_set(
			ret_error, -ESRCH,
			"process %d has ended (it waits for its parent) and has no network namespace",
			pid);
	return error_set(ret_error, -ESRCH, "there is no process %d", pid);
}

/* ----------------------------------------------------------------------------- all of them */

struct holder {
	uint64_t inode;
	int pid;
};

struct name {
	uint64_t inode;
	char text[NAME_MAX + 1];
};

struct survey {
	struct holder *holders; /* sorted by inode, then pid */
	size_t n_holders, room_holders;
	struct name *names; /* sorted by inode, then text */
	size_t n_names, room_names;
	uint64_t own;
	size_t hidden;
};

static void survey_clear(struct survey *s)
{
	free(s->holders);
	free(s->names);
}

static int compare_holders(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int compare_names(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	/* A name of ip-netns(8) is better known than a path. */
	if ((x->text[0] == '/') != (y->text[0] == '/'))
		return x->text[0] == '/' ? 1 : -1;
	return strcmp(x->text, y->text);
}

static int survey_processes(struct survey *s)
{
	_cleanup_(cleanup_closedir) DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		struct holder *grown;
		struct stat st;
		int64_t pid;
		char path[48];

		if (number_parse(entry->d_name, strlen(entry->d_name), 1, INT32_MAX, &pid) < 0)
			continue;
		snprintf(path, sizeof(path), "%d/ns/net", (int)pid);
		if (fstatat(dirfd(dir), path, &st, 0) < 0) {
			/* ENOENT and ESRCH: it ended meanwhile. */
			if (errno == EACCES || errno == EPERM)
				s->hidden++;
			continue;
		}
		grown = array_grow(s->holders, s->n_holders, &s->room_holders, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		s->holders = grown;
		s->holders[s->n_holders++] = (struct holder){st.st_ino, (int)pid};
	}
	if (s->n_holders > 0)
		qsort(s->holders, s->n_holders, sizeof(*s->holders), compare_holders);
	return 0;
}

static int survey_names(struct survey *s)
{
	_cleanup_(cleanup_closedir) DIR *dir = opendir(NAMES_DIR);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup_close_ int fd = -1;
		struct name *grown;
		struct stat st;

		/* A name whose mount is gone, or in another mount namespace, is an empty file. */
		fd = open_netns_at(dirfd(dir), entry->d_name);
		if (fd < 0 || fstat(fd, &st) < 0)
			continue;
		grown = array_grow(s->names, s->n_names, &s->room_names, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		s->names = grown;
		s->names[s->n_names].inode = st.st_ino;
		memcpy(s->names[s->n_names].text, entry->d_name, strlen(entry->d_name) + 1);
		s->n_names++;
	}
	return 0;
}

/* Bind mounts elsewhere, as container engines keep them: the path is the name. */
static int survey_mount(struct survey *s, char *line)
{
	_cleanup_close_ int fd = -1;
	struct mountinfo mount;
	struct name *grown;
	struct stat st;

	if (mountinfo_parse(line, "nsfs", &mount) < 0 || strncmp(mount.root, "net:", 4) != 0 ||
	    strlen(mount.point) > NAME_MAX ||
	    strncmp(mount.point, NAMES_DIR "/", strlen(NAMES_DIR) + 1) == 0)
		return 0;
	fd = open_netns_at(AT_FDCWD, mount.point);
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	grown = array_grow(s->names, s->n_names, &s->room_names, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->names = grown;
	s->names[s->n_names].inode = st.st_ino;
	memcpy(s->names[s->n_names].text, mount.point, strlen(mount.point) + 1);
	s->n_names++;
	return 0;
}

static int survey_mounts(struct survey *s)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/thread-self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	int r = 0;

	while (file && r == 0 && getline(&line, &size, file) > 0)
		r = survey_mount(s, line);
	if (s->n_names > 0)
		qsort(s->names, s->n_names, sizeof(*s->names), compare_names);
	return r;
}

/* A descriptor when path still is the namespace that was seen there. */
static int open_same(const char *path, uint64_t inode)
{
	_cleanup_close_ int fd = open_netns_at(AT_FDCWD, path);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || st.st_ino != inode)
		return -ESTALE;
	return steal_fd(&fd);
}

/* Through whichever holder is still there. -EACCES: one is, and may not be opened. */
static int open_any(const struct tcpkeep_netns *netns)
{
	char path[sizeof(NAMES_DIR) + 1 + NAME_MAX];
	int fd, result = -ESTALE;

	if (netns->name) {
		snprintf(path, sizeof(path), "%s%s", netns->name[0] == '/' ? "" : NAMES_DIR "/",
			 netns->name);
		fd = open_same(path, netns->inode);
		if (fd >= 0)
			return fd;
	}
	if (netns->own) {
		fd = open_same("/proc/thread-self/ns/net", netns->inode);
		if (fd >= 0)
			return fd;
	}
	for (size_t i = 0; i < netns->n_pids; i++) {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", netns->pids[i]);
		fd = open_same(path, netns->inode);
		if (fd >= 0)
			return fd;
		if (fd == -EACCES || fd == -EPERM)
			result = -EACCES;
	}
	return result;
}

/* Fills in one namespace from the sorted lists and hands it over. */
static int visit(const struct survey *s, uint64_t inode, size_t holder, size_t name,
		 int (*fn)(const struct tcpkeep_netns *netns, void *userdata), void *userdata)
{
	struct tcpkeep_netns netns = {.inode = inode, .own = inode == s->own};
	_cleanup_free_ int *pids = NULL;
	_cleanup_close_ int fd = -1;
	size_t n = 0;

	while (holder + n < s->n_holders && s->holders[holder + n].inode == inode)
		n++;
	pids = calloc(n + 1, sizeof(*pids));
	if (!pids)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		pids[i] = s->holders[holder + i].pid;
	if (name < s->n_names && s->names[name].inode == inode)
		netns.name = s->names[name].text;
	netns.pids = pids;
	netns.n_pids = n;
	fd = open_any(&netns);
	if (fd == -ESTALE)
		return 0;
	netns.fd = fd < 0 ? -1 : fd;
	return fn(&netns, userdata);
}

/* Merges the two sorted lists, without the caller's own. */
static int walk_others(const struct survey *s,
		       int (*fn)(const struct tcpkeep_netns *netns, void *userdata), void *userdata)
{
	size_t holder = 0, name = 0;

	while (holder < s->n_holders || name < s->n_names) {
		uint64_t inode = UINT64_MAX;
		int r;

		if (holder < s->n_holders)
			inode = s->holders[holder].inode;
		if (name < s->n_names)
			inode = MIN(inode, s->names[name].inode);
		if (inode != s->own) {
			r = visit(s, inode, holder, name, fn, userdata);
			if (r != 0)
				return r;
		}
		while (holder < s->n_holders && s->holders[holder].inode == inode)
			holder++;
		while (name < s->n_names && s->names[name].inode == inode)
			name++;
	}
	return 0;
}

/* The caller's own is there even when only this thread is in it, which no list shows. */
static int visit_own(const struct survey *s,
		     int (*fn)(const struct tcpkeep_netns *netns, void *userdata), void *userdata)
{
	size_t holder = 0, name = 0;

	while (holder < s->n_holders && s->holders[holder].inode < s->own)
		holder++;
	while (name < s->n_names && s->names[name].inode < s->own)
		name++;
	return visit(s, s->own, holder, name, fn, userdata);
}

EXPORT int tcpkeep_netns_foreach(int (*fn)(const struct tcpkeep_netns *netns, void *userdata),
				 void *userdata, size_t *ret_hidden)
{
	_cleanup_(survey_clear) struct survey s = {0};
	struct stat st;
	int r;

	r = procfs_check_pids(NULL);
	if (r < 0)
		return r;
	if (stat("/proc/thread-self/ns/net", &st) < 0)
		return -errno;
	s.own = st.st_ino;
	r = survey_processes(&s);
	if (r < 0)
		return r;
	r = survey_names(&s);
	if (r < 0)
		return r;
	r = survey_mounts(&s);
	if (r < 0)
		return r;
	r = visit_own(&s, fn, userdata);
	if (r == 0)
		r = walk_others(&s, fn, userdata);
	if (r >= 0 && ret_hidden)
		*ret_hidden = s.hidden;
	return r;
}
