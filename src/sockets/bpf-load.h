/* SPDX-License-Identifier: MIT */
/*
 * Two ways to bring the same programs into the kernel. The light one lets the kernel itself find
 * its way through its types (5.17): milliseconds, and no megabytes of BTF read. The full one does
 * that through libbpf, for 5.15.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "match.h"

struct bpf_config {
	uint32_t hz;
	const struct match_program *match; /* NULL: rows are not filtered in the kernel */
	bool with_owners;
};

/* Loaded. The descriptors and what the programs share with us live until destroy(handle). */
struct bpf_programs {
	int sockets_fd, owners_fd; /* owners_fd: -1 when not wanted */
	__u8 *listens;             /* LIST_PORTS bytes, to be cleared before a walk */
	void *handle;
	void (*destroy)(void *handle);
};

/* 0 or -errno as bpf(2) says it: -EPERM, and what a kernel says to what it does not know. */
int bpf_load_light(const struct bpf_config *config, struct bpf_programs *ret);
int bpf_load_full(const struct bpf_config *config, struct bpf_programs *ret);
