/* SPDX-License-Identifier: MIT */
/* libbpf's skeleton, for kernels before 5.17. */
#include <bpf/libbpf.h>
#include <errno.h>

#include "bpf-silent.h"
#include "bpf/set/set.h"
#include "change-load.h"
#include "set.skel.h"

static void destroy(void *handle)
{
	set_full__destroy(handle);
}

int change_load_full(const struct change_load *load, struct change_program *ret)
{
	struct set_full *skeleton;
	int r;

	bpf_be_silent();
	skeleton = set_full__open();
	if (!skeleton)
		return -errno;
	skeleton->rodata->tcpkeep_hz = load->hz;
	skeleton->rodata->tcpkeep_bits = load->bits;
	skeleton->rodata->tcpkeep_mode = load->mode;
	skeleton->rodata->tcpkeep_force = load->force;
	r = bpf_map__set_max_entries(skeleton->maps.tcpkeep_slots, 1U << load->bits);
	if (r == 0)
		r = bpf_map__set_max_entries(skeleton->maps.tcpkeep_kinds, load->n_kinds);
	if (r == 0)
		r = set_full__load(skeleton);
	if (r < 0) {
		destroy(skeleton);
		return r;
	}
	*ret = (struct change_program){
		.program_fd = bpf_program__fd(skeleton->progs.tcpkeep_set_tcp),
		.slots_fd = bpf_map__fd(skeleton->maps.tcpkeep_slots),
		.kinds_fd = bpf_map__fd(skeleton->maps.tcpkeep_kinds),
		.handle = skeleton,
		.destroy = destroy,
	};
	return 0;
}
