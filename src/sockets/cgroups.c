/* SPDX-License-Identifier: MIT */
#include "cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mounts.h"

/* include/linux/exportfs.h: a kernfs file handle is the 64-bit id. */
#define FILEID_KERNFS 0xfe

/* Directories deep; more is not a tree that a machine runs on. */
#define DEPTH_MAX 64

struct entry {
	uint64_t id;
	char *path; /* NULL: asked for and not found */
};

struct cgroups {
	int mount; /* the cgroup2 mount, -1 = none */
	char *mount_path;
	struct entry *entries; /* a hash with open addressing, size a power of two */
	size_t size, used;
	bool walked; /* the whole tree is in the hash: handles are not for us */
};

static struct entry *find(struct cgroups *cgroups, uint64_t id)
{
	size_t at = (size_t)(id * 0x9e3779b97f4a7c15ULL >> 32) & (cgroups->size - 1);

	while (cgroups->entries[at].id != 0 && cgroups->entries[at].id != id)
		at = (at + 1) & (cgroups->size - 1);
	return &cgroups->entries[at];
}

static int grow(struct cgroups *cgroups)
{
	struct entry *old = cgroups->entries;
	size_t old_size = cgroups->size, size = old_size ? old_size * 2 : 64;

	cgroups->entries = calloc(size, sizeof(*cgroups->entries));
	if (!cgroups->entries) {
		cgroups->entries = old;
		return -ENOMEM;
	}
	cgroups->size = size;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].id)
			*find(cgroups, old[i].id) = old[i];
	free(old);
	return 0;
}

/* Takes the path over. */
static int remember(struct cgroups *cgroups, uint64_t id, char *path)
{
	struct entry *entry;

	if (cgroups->used * 4 >= cgroups->size * 3 && grow(cgroups) < 0) {
		free(path);
		return -ENOMEM;
	}
	entry = find(cgroups, id);
	if (entry->id == id) {
		free(path);
		return 0;
	}
	*entry = (struct entry){id, path};
	cgroups->used++;
	return 0;
}

/* Hybrid machines have it elsewhere than /sys/fs/cgroup. */
static int open_mount(char **ret_path)
{
	_cleanup_free_ char *path = NULL;
	int fd;

	if (mounts_find("cgroup2", &path) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		*ret_path = steal_pointer(&path);
	return fd;
}

int cgroups_new(struct cgroups **ret)
{
	struct cgroups *cgroups = calloc(1, sizeof(*cgroups));

	if (!cgroups)
		return -ENOMEM;
	cgroups->mount = open_mount(&cgroups->mount_path);
	if (grow(cgroups) < 0 || (cgroups->mount >= 0 && !cgroups->mount_path)) {
		cgroups_free(&cgroups);
		return -ENOMEM;
	}
	*ret = cgroups;
	return 0;
}

void cgroups_free(struct cgroups **cgroups)
{
	if (!*cgroups)
		return;
	for (size_t i = 0; i < (*cgroups)->size; i++)
		free((*cgroups)->entries[i].path);
	if ((*cgroups)->mount >= 0)
		close((*cgroups)->mount);
	free((*cgroups)->mount_path);
	free((*cgroups)->entries);
	free(*cgroups);
	*cgroups = NULL;
}

/* The path of an open directory of the mount, without the mount's own. */
static char *path_of(const struct cgroups *cgroups, int fd)
{
	size_t prefix = strlen(cgroups->mount_path);
	char link[64], target[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return NULL;
	target[n] = '\0';
	if (strncmp(target, cgroups->mount_path, prefix) != 0)
		return NULL;
	return strdup(target[prefix] ? target + prefix : "/");
}

/* By file handle: CAP_DAC_READ_SEARCH. *ret is NULL when the cgroup is gone. */
static int look_up(const struct cgroups *cgroups, uint64_t id, char **ret)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + sizeof(id)];
	} file = {.handle = {sizeof(id), FILEID_KERNFS}};
	_cleanup_close_ int fd = -1;

	memcpy(file.handle.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(cgroups->mount, &file.handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*ret = NULL;
	if (fd < 0)
		return errno == ESTALE ? 0 : -errno;
	*ret = path_of(cgroups, fd);
	return 0;
}

/* Without the privilege for handles: the id of a cgroup is the inode number of its directory. */
static void walk(struct cgroups *cgroups, int parent, const char *name, const char *path,
		 unsigned depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct stat st;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (fstat(fd, &st) == 0)
		remember(cgroups, st.st_ino, strdup(*path ? path : "/"));
	while (depth < DEPTH_MAX && (entry = readdir(dir))) {
		_cleanup_free_ char *below = NULL;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (asprintf(&below, "%s/%s", path, entry->d_name) >= 0)
			walk(cgroups, fd, entry->d_name, below, depth + 1);
	}
	closedir(dir);
}

const char *cgroups_path(struct cgroups *cgroups, uint64_t id)
{
	struct entry *entry = find(cgroups, id);
	char *path = NULL;
	int r = -EPERM;

	if (id == 0 || cgroups->mount < 0)
		return NULL;
	if (entry->id == id)
		return entry->path;
	if (!cgroups->walked)
		r = look_up(cgroups, id, &path);
	if (r < 0 && !cgroups->walked) {
		walk(cgroups, cgroups->mount, ".", "", 0);
		cgroups->walked = true;
		entry = find(cgroups, id);
		if (entry->id == id)
			return entry->path;
	}
	if (remember(cgroups, id, path) < 0)
		return NULL;
	return find(cgroups, id)->path;
}

int cgroups_open(const struct cgroups *cgroups, const char *path, uint64_t *ret_id)
{
	size_t prefix = cgroups->mount_path ? strlen(cgroups->mount_path) : 0;
	struct stat st;
	int fd;

	if (cgroups->mount < 0)
		return -EOPNOTSUPP;
	if (strncmp(path, cgroups->mount_path, prefix) == 0 &&
	    (path[prefix] == '/' || path[prefix] == '\0'))
		path += prefix;
	path += strspn(path, "/");
	fd = openat(cgroups->mount, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		int saved = -errno;

		close(fd);
		return saved;
	}
	*ret_id = st.st_ino;
	return fd;
}
