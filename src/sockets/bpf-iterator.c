/* SPDX-License-Identifier: MIT */
#include "bpf-iterator.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "keepalive/visit.h"

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr)); /* close-on-exec by itself */

	return r < 0 ? -errno : (int)r;
}

int bpf_iterator_open(int program_fd)
{
	union bpf_attr attr = {0};
	_cleanup_close_ int link = -1;

	attr.link_create.prog_fd = (__u32)program_fd;
	attr.link_create.attach_type = BPF_TRACE_ITER;
	link = bpf(BPF_LINK_CREATE, &attr);
	if (link < 0)
		return link;
	attr = (union bpf_attr){0};
	attr.iter_create.link_fd = (__u32)link;
	return bpf(BPF_ITER_CREATE, &attr);
}

struct opening {
	int program_fd;
	int fd;
};

static int open_here(void *userdata)
{
	struct opening *opening = userdata;

	opening->fd = bpf_iterator_open(opening->program_fd);
	return opening->fd < 0 ? opening->fd : 0;
}

int bpf_iterator_open_in(int netns, int program_fd, struct tcpkeep_error *ret_error)
{
	struct opening opening = {program_fd, -1};
	int r;

	r = netns_visit(netns, open_here, &opening, ret_error);
	return r < 0 ? r : opening.fd;
}
