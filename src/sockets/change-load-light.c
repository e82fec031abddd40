/* SPDX-License-Identifier: MIT */
/* bpftool's light skeleton: a program that loads the program, run by the kernel. No libbpf. */
#include <errno.h>
#include <string.h>

#include "bpf/set/set.h"
#include "change-load.h"
#include "set.lskel.h"

static void destroy(void *handle)
{
	set_light__destroy(handle);
}

int change_load_light(const struct change_load *load, struct change_program *ret)
{
	struct set_light *skeleton = set_light__open();
	int r;

	if (!skeleton)
		return -ENOMEM;
	skeleton->rodata->tcpkeep_hz = load->hz;
	skeleton->rodata->tcpkeep_bits = load->bits;
	skeleton->rodata->tcpkeep_mode = load->mode;
	skeleton->rodata->tcpkeep_force = load->force;
	skeleton->maps.tcpkeep_slots.max_entries = 1U << load->bits;
	skeleton->maps.tcpkeep_kinds.max_entries = load->n_kinds;
	r = set_light__load(skeleton);
	if (r < 0) {
		destroy(skeleton);
		return r;
	}
	*ret = (struct change_program){
		.program_fd = skeleton->progs.tcpkeep_set_tcp.prog_fd,
		.slots_fd = skeleton->maps.tcpkeep_slots.map_fd,
		.kinds_fd = skeleton->maps.tcpkeep_kinds.map_fd,
		.handle = skeleton,
		.destroy = destroy,
	};
	return 0;
}
