/* SPDX-License-Identifier: MIT */
/* libbpf's skeleton, for kernels before 5.17. */
#include <bpf/libbpf.h>
#include <errno.h>

#include "bpf-load.h"
#include "bpf-silent.h"
#include "bpf/list/list.h"
#include "list.skel.h"

static void destroy(void *handle)
{
	list_full__destroy(handle);
}

int bpf_load_full(const struct bpf_config *config, struct bpf_programs *ret)
{
	struct list_full *skeleton;
	int r;

	bpf_be_silent();
	skeleton = list_full__open();
	if (!skeleton)
		return -errno;
	skeleton->rodata->tcpkeep_hz = config->hz;
	skeleton->rodata->tcpkeep_filtered = config->match;
	if (config->match)
		skeleton->rodata->tcpkeep_match = *config->match;
	bpf_program__set_autoload(skeleton->progs.tcpkeep_list_owners, config->with_owners);
	r = list_full__load(skeleton);
	if (r < 0) {
		destroy(skeleton);
		return r;
	}
	*ret = (struct bpf_programs){
		.sockets_fd = bpf_program__fd(skeleton->progs.tcpkeep_list_tcp),
		.owners_fd = config->with_owners
				     ? bpf_program__fd(skeleton->progs.tcpkeep_list_owners)
				     : -1,
		.listens = skeleton->bss->tcpkeep_listens,
		.handle = skeleton,
		.destroy = destroy,
	};
	return 0;
}
