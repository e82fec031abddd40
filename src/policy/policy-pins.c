/* SPDX-License-Identifier: MIT */
#include "policy-pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/macro.h"
#include "keepalive/error.h"
#include "policy-hooks.h"
#include "policy-words.h"
#include "sockets/mounts.h"

#define FOLDER "tcpkeep"
#define BPFFS  "/sys/fs/bpf"
/* bpffs takes no dot in a name. */
#define UNFINISHED "-new"

/* A pin's path: the folder's, a place's name, the pin's. */
#define PATH_SIZE 512

static int find_bpffs(bool create, char **ret, bool *ret_mounted)
{
	struct statfs fs;
	int r;

	if (statfs(BPFFS, &fs) == 0 && fs.f_type == BPF_FS_MAGIC) {
		*ret = strdup(BPFFS);
		return *ret ? 0 : -ENOMEM;
	}
	r = mounts_find("bpf", ret);
	if (r != -ENOENT || !create)
		return r;
	/* As systemd, iproute2 and bpftool do it. */
	if (mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700") < 0)
		return -errno;
	*ret_mounted = true;
	*ret = strdup(BPFFS);
	return *ret ? 0 : -ENOMEM;
}

/* The locked folder may be one that its last user has just taken away. */
static bool is_still_there(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

static int open_locked(const char *path, bool create)
{
	for (;;) {
		_cleanup_close_ int fd = -1;

		if (create && mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT && create)
			continue;
		if (fd < 0)
			return -errno;
		while (flock(fd, LOCK_EX) < 0)
			if (errno != EINTR)
				return -errno;
		if (is_still_there(fd, path))
			return steal_fd(&fd);
	}
}

int policy_pins_open(bool create, struct policy_pins *ret, struct tcpkeep_error *ret_error)
{
	_cleanup_free_ char *bpffs = NULL;
	struct policy_pins pins = {.fd = -1};
	int r;

	r = find_bpffs(create, &bpffs, &pins.mounted);
	if (r == -ENOENT && !create)
		return r;
	if (r == -ENOENT || r == -ENODEV)
		return error_set(
			ret_error, -EOPNOTSUPP,
			"bpffs is not mounted, and it cannot be mounted from here; as root: mount -t bpf bpf " BPFFS);
	if (r < 0)
		return policy_words(r, ret_error);
	snprintf(pins.path, sizeof(pins.path), "%s/" FOLDER, bpffs);
	pins.fd = open_locked(pins.path, create);
	if (pins.fd == -ENOENT)
		return -ENOENT;
	if (pins.fd == -ENOTDIR)
		return error_set(ret_error, -ENOTDIR,
				 "%s is no directory: something else is pinned there; unlink it",
				 pins.path);
	if (pins.fd < 0)
		return policy_words(pins.fd, ret_error);
	*ret = pins;
	return 0;
}

void policy_pins_close(struct policy_pins *pins)
{
	int saved = errno;

	if (pins->fd < 0)
		return;
	/* Only when it is empty. */
	rmdir(pins->path);
	close(pins->fd);
	pins->fd = -1;
	errno = saved;
}

static bool parse_name(const char *name, struct policy_place *ret)
{
	struct policy_place place = {0};
	unsigned long long cgroup, generation;
	int end = 0;

	if (sscanf(name, "%16llx-%16llx%n", &cgroup, &generation, &end) != 2 || end != 33)
		return false;
	if (name[end] && strcmp(name + end, UNFINISHED) != 0)
		return false;
	place.cgroup = cgroup;
	place.generation = generation;
	place.unfinished = name[end];
	memcpy(place.name, name, strlen(name) + 1);
	*ret = place;
	return true;
}

static int compare(const void *a, const void *b)
{
	const struct policy_place *x = a, *y = b;

	if (x->cgroup != y->cgroup)
		return x->cgroup < y->cgroup ? -1 : 1;
	if (x->unfinished != y->unfinished)
		return x->unfinished ? 1 : -1;
	return x->generation > y->generation ? -1 : x->generation < y->generation;
}

void policy_places_sort(struct policy_place *places, size_t n)
{
	if (n > 0)
		qsort(places, n, sizeof(*places), compare);
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

int policy_pins_list(const struct policy_pins *pins, struct policy_place **ret, size_t *ret_n)
{
	_cleanup_(close_dir) DIR *dir = opendir(pins->path);
	_cleanup_free_ struct policy_place *places = NULL;
	size_t n = 0, room = 0;
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		struct policy_place place, *grown;

		if (!parse_name(entry->d_name, &place) || entry->d_type != DT_DIR)
			continue;
		grown = array_grow(places, n, &room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		places = grown;
		places[n++] = place;
	}
	policy_places_sort(places, n);
	*ret = steal_pointer(&places);
	*ret_n = n;
	return 0;
}

static void path_of(const struct policy_pins *pins, const struct policy_place *place,
		    const char *pin, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/%s%s%s", pins->path, place->name, *pin ? "/" : "", pin);
}

int policy_place_pin(const struct policy_pins *pins, const struct policy_place *place,
		     const char *name, int fd)
{
	char path[PATH_SIZE];

	path_of(pins, place, name, path);
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	return bpf_obj_pin(fd, path) < 0 ? -errno : 0;
}

int policy_place_get(const struct policy_pins *pins, const struct policy_place *place,
		     const char *name)
{
	char path[PATH_SIZE];
	int fd, r;

	path_of(pins, place, name, path);
	fd = bpf_obj_get(path);
	if (fd >= 0)
		return fd;
	r = -errno;
	/* What is no object of bpf(2), a directory or a link to elsewhere, is refused by the same
	 * word as what one may not open. */
	if (r == -EACCES && faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0)
		return -ENOENT;
	return r;
}

/* What a descriptor of bpf(2) is, as procfs tells it: anon_inode:bpf-map, and of links bpf-link and
 * bpf_link. */
#define KIND_PREFIX "anon_inode:bpf?"
#define MAP         "map"
#define PROG        "prog"
#define LINK        "link"

/* Every descriptor and the name of its pin, and what of a map user space relies on. */
static const struct {
	const char *name;
	size_t offset;
	const char *kind;
	__u32 type, value_size, max_entries;
} pins_of[] = {
	{"sets", offsetof(struct policy_fds, sets), MAP, BPF_MAP_TYPE_ARRAY_OF_MAPS, sizeof(__u32),
	 1},
	{"counts", offsetof(struct policy_fds, counts), MAP, BPF_MAP_TYPE_PERCPU_ARRAY,
	 sizeof(struct policy_count), 2 * POLICY_SET_RULES},
	{"control", offsetof(struct policy_fds, control), MAP, BPF_MAP_TYPE_ARRAY,
	 sizeof(struct policy_control), 1},
	{"sock_ops", offsetof(struct policy_fds, sock_ops), PROG, 0, 0, 0},
	{"setsockopt", offsetof(struct policy_fds, setsockopt), PROG, 0, 0, 0},
	{"tag_listeners", offsetof(struct policy_fds, tag_listeners), PROG, 0, 0, 0},
	{"sock_ops_link", offsetof(struct policy_fds, sock_ops_link), LINK, 0, 0, 0},
	{"setsockopt_link", offsetof(struct policy_fds, setsockopt_link), LINK, 0, 0, 0},
};

/* Is the descriptor what that pin should be? A map of another size would be read beyond our
 * variables. */
static bool is_kind(int fd, size_t i)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	char path[64], target[64] = "";
	const char *kind = target + strlen(KIND_PREFIX);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* Without procfs nobody can tell. */
	if (readlink(path, target, sizeof(target) - 1) < 0)
		return true;
	if (strncmp(target, KIND_PREFIX, strlen(KIND_PREFIX) - 1) != 0 ||
	    strcmp(kind, pins_of[i].kind) != 0)
		return false;
	if (strcmp(kind, MAP) != 0)
		return true;
	return bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.type == pins_of[i].type &&
	       info.value_size == pins_of[i].value_size &&
	       info.max_entries == pins_of[i].max_entries;
}

/* What is somebody else's is not there. */
static int get_ours(const struct policy_pins *pins, const struct policy_place *place, size_t i)
{
	int fd = policy_place_get(pins, place, pins_of[i].name);

	if (fd < 0 || is_kind(fd, i))
		return fd;
	close(fd);
	return -ENOENT;
}

/* The slot, which every layout has: the first of the pins. */
static int get_sets(const struct policy_pins *pins, const struct policy_place *place)
{
	return get_ours(pins, place, 0);
}

/* 1, 0 or -errno: does the link, which every layout has as well, hold the programs? */
static int is_attached(const struct policy_pins *pins, const struct policy_place *place)
{
	_cleanup_close_ int link = -1;
	size_t i = 0;

	while (pins_of[i].offset != offsetof(struct policy_fds, sock_ops_link))
		i++;
	link = get_ours(pins, place, i);
	if (link < 0)
		return link == -ENOENT ? 0 : link;
	return policy_link_holds(link);
}

int policy_place_alive(const struct policy_pins *pins, const struct policy_place *place)
{
	_cleanup_close_ int sets = get_sets(pins, place);
	__u32 zero = 0, id;

	if (sets == -ENOENT)
		return is_attached(pins, place);
	if (sets < 0)
		return sets;
	if (bpf_map_lookup_elem(sets, &zero, &id) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

static int *fd_at(const struct policy_fds *fds, size_t i)
{
	return (int *)((char *)fds + pins_of[i].offset);
}

/* A map of one element, for its words. */
static int pin_meta(const struct policy_pins *pins, const struct policy_place *place,
		    const struct policy_meta *meta)
{
	_cleanup_close_ int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "tcpkeep_meta", sizeof(__u32),
						sizeof(*meta), 1, NULL);
	__u32 zero = 0;

	if (fd < 0 || bpf_map_update_elem(fd, &zero, meta, BPF_ANY) < 0)
		return -errno;
	return policy_place_pin(pins, place, "meta", fd);
}

int policy_place_make(const struct policy_pins *pins, uint64_t cgroup, const struct policy_fds *fds,
		      const struct policy_meta *meta, struct policy_place *ret)
{
	struct policy_place place = {.cgroup = cgroup, .unfinished = true};
	struct timespec now;
	char path[PATH_SIZE];
	int r;

	clock_gettime(CLOCK_BOOTTIME, &now);
	place.generation = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	snprintf(place.name, sizeof(place.name), "%016llx-%016llx" UNFINISHED,
		 (unsigned long long)place.cgroup, (unsigned long long)place.generation);
	path_of(pins, &place, "", path);
	if (mkdir(path, 0700) < 0)
		return -errno;
	r = pin_meta(pins, &place, meta);
	for (size_t i = 0; i < ARRAY_SIZE(pins_of) && r == 0; i++)
		if (*fd_at(fds, i) >= 0)
			r = policy_place_pin(pins, &place, pins_of[i].name, *fd_at(fds, i));
	if (r < 0) {
		policy_place_remove(pins, &place);
		return r;
	}
	*ret = place;
	return 0;
}

int policy_place_finish(const struct policy_pins *pins, struct policy_place *place)
{
	char from[PATH_SIZE], to[PATH_SIZE];
	struct policy_place finished = *place;

	finished.unfinished = false;
	finished.name[strlen(finished.name) - strlen(UNFINISHED)] = '\0';
	path_of(pins, place, "", from);
	path_of(pins, &finished, "", to);
	if (rename(from, to) < 0)
		return -errno;
	*place = finished;
	return 0;
}

int policy_place_meta(const struct policy_pins *pins, const struct policy_place *place,
		      struct policy_meta *ret)
{
	_cleanup_close_ int fd = policy_place_get(pins, place, "meta");
	_cleanup_free_ void *value = NULL;
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info), zero = 0;

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size < 16)
		return -EINVAL;
	value = calloc(1, info.value_size + sizeof(*ret));
	if (!value)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, value) < 0)
		return -errno;
	memcpy(ret, value, sizeof(*ret));
	ret->version[sizeof(ret->version) - 1] = '\0';
	return ret->magic == POLICY_MAGIC ? 0 : -EINVAL;
}

int policy_place_open(const struct policy_pins *pins, const struct policy_place *place,
		      struct policy_fds *ret)
{
	struct policy_fds fds = POLICY_FDS_NONE;

	for (size_t i = 0; i < ARRAY_SIZE(pins_of); i++) {
		int fd = get_ours(pins, place, i);

		if (fd < 0 && fd != -ENOENT) {
			policy_fds_close(&fds);
			return fd;
		}
		*fd_at(&fds, i) = fd < 0 ? -1 : fd;
	}
	*ret = fds;
	return 0;
}

bool policy_fds_whole(const struct policy_fds *fds)
{
	for (size_t i = 0; i < ARRAY_SIZE(pins_of); i++)
		if (*fd_at(fds, i) < 0 && strcmp(pins_of[i].kind, LINK) != 0)
			return false;
	return true;
}

int policy_place_took_over(const struct policy_pins *pins, const struct policy_place *places,
			   size_t n, size_t which, size_t *ret_link)
{
	struct policy_meta meta;
	int r;

	r = policy_place_meta(pins, &places[which], &meta);
	if (r == -ENOENT || r == -EINVAL || (r == 0 && meta.program == 0))
		return 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		_cleanup_close_ int link = -1;

		if (places[i].cgroup != places[which].cgroup)
			continue;
		link = policy_place_get(pins, &places[i], "sock_ops_link");
		if (link == -ENOENT)
			continue;
		if (link < 0)
			return link;
		if (policy_link_holds(link) > 0 && policy_link_program(link) == meta.program) {
			*ret_link = i;
			return 1;
		}
	}
	return r;
}

int policy_place_move(const struct policy_pins *pins, const struct policy_place *from,
		      const struct policy_place *to, const char *name)
{
	char old[PATH_SIZE], new[PATH_SIZE];

	path_of(pins, from, name, old);
	path_of(pins, to, name, new);
	return rename(old, new) < 0 ? -errno : 0;
}

static int remove_pins(const char *path)
{
	_cleanup_(close_dir) DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		char pin[PATH_SIZE + 256];
		_cleanup_close_ int fd = -1;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(pin, sizeof(pin), "%s/%s", path, entry->d_name);
		fd = bpf_obj_get(pin);
		/* Nothing happens to what is no link, or is detached already. */
		if (fd >= 0)
			bpf_link_detach(fd);
		/* A directory is nobody's whom we know, and stays: what is ours decides nothing. */
		if (unlink(pin) < 0 && errno != ENOENT && rmdir(pin) < 0 && errno != ENOTEMPTY)
			return -errno;
	}
	return rmdir(path) < 0 && errno != ENOTEMPTY ? -errno : 0;
}

/* From here on nothing is in force. */
static int empty_sets(const struct policy_pins *pins, const struct policy_place *place)
{
	_cleanup_close_ int fd = get_sets(pins, place);
	__u32 zero = 0;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	return bpf_map_delete_elem(fd, &zero) < 0 && errno != ENOENT ? -errno : 0;
}

int policy_place_remove(const struct policy_pins *pins, const struct policy_place *place)
{
	char path[PATH_SIZE];
	int r, was;

	was = policy_place_alive(pins, place);
	if (was < 0)
		return was;
	r = empty_sets(pins, place);
	if (r < 0)
		return r;
	path_of(pins, place, "", path);
	r = remove_pins(path);
	return r < 0 ? r : was && !place->unfinished;
}
