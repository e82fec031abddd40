/* SPDX-License-Identifier: MIT */
/* bpftool's light skeleton: a program that loads the programs, run by the kernel. No libbpf. */
#include <errno.h>
#include <string.h>

#include "bpf-load.h"
#include "bpf/list/list.h"
#include "list.lskel.h"

static void destroy(void *handle)
{
	list_light__destroy(handle);
}

int bpf_load_light(const struct bpf_config *config, struct bpf_programs *ret)
{
	struct list_light *skeleton = list_light__open();
	int r;

	if (!skeleton)
		return -ENOMEM;
	skeleton->rodata->tcpkeep_hz = config->hz;
	skeleton->rodata->tcpkeep_filtered = config->match;
	if (config->match)
		skeleton->rodata->tcpkeep_match = *config->match;
	r = list_light__load(skeleton);
	if (r < 0) {
		destroy(skeleton);
		return r;
	}
	*ret = (struct bpf_programs){
		.sockets_fd = skeleton->progs.tcpkeep_list_tcp.prog_fd,
		.owners_fd = config->with_owners ? skeleton->progs.tcpkeep_list_owners.prog_fd : -1,
		.listens = skeleton->bss->tcpkeep_listens,
		.handle = skeleton,
		.destroy = destroy,
	};
	return 0;
}
