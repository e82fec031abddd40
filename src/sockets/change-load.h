/* SPDX-License-Identifier: MIT */
/* Two ways to bring the program of bpf/set into the kernel, as bpf-load.h tells. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct change_load {
	uint32_t hz;
	unsigned bits; /* of the number of slots */
	uint32_t n_kinds;
	uint32_t mode; /* enum change_mode */
	bool force;
};

/* Loaded. The descriptors live until destroy(handle). */
struct change_program {
	int program_fd, slots_fd, kinds_fd;
	void *handle;
	void (*destroy)(void *handle);
};

/* 0 or -errno as bpf(2) says it. */
int change_load_light(const struct change_load *load, struct change_program *ret);
int change_load_full(const struct change_load *load, struct change_program *ret);
