/* SPDX-License-Identifier: MIT */
/* What the caller keeps beside the rules: a pin for each half of the counters, "blob-0" and
 * "blob-1". */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "policy-pins.h"

#define NAME_SIZE 16

static void name_of(const struct policy_set *set, char ret[NAME_SIZE])
{
	snprintf(ret, NAME_SIZE, "blob-%u", set->half);
}

int policy_blob_pin(const struct policy_pins *pins, const struct policy_place *place,
		    const struct policy_set *set, const void *blob)
{
	_cleanup_close_ int fd = -1;
	char name[NAME_SIZE];
	__u32 zero = 0;

	if (set->blob_len == 0)
		return 0;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "tcpkeep_blob", sizeof(zero), set->blob_len, 1,
			    NULL);
	if (fd < 0 || bpf_map_update_elem(fd, &zero, blob, BPF_ANY) < 0)
		return -errno;
	name_of(set, name);
	return policy_place_pin(pins, place, name, fd);
}

static bool is_blob(int fd, size_t len)
{
	struct bpf_map_info info = {0};
	__u32 info_len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &info_len) == 0 &&
	       info.type == BPF_MAP_TYPE_ARRAY && info.value_size == len;
}

int policy_blob_read(const struct policy_pins *pins, const struct policy_place *place,
		     const struct policy_set *set, void **ret)
{
	_cleanup_free_ void *blob = NULL;
	_cleanup_close_ int fd = -1;
	char name[NAME_SIZE];
	__u32 zero = 0;

	*ret = NULL;
	if (set->blob_len == 0)
		return 0;
	name_of(set, name);
	fd = policy_place_get(pins, place, name);
	if (fd < 0 && fd != -ENOENT)
		return fd;
	/* Somebody has taken it away, or put another there. */
	if (fd < 0 || !is_blob(fd, set->blob_len))
		return 0;
	blob = malloc(set->blob_len);
	if (!blob)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, blob) < 0)
		return -errno;
	*ret = steal_pointer(&blob);
	return 0;
}
