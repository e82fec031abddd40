/* SPDX-License-Identifier: MIT */
/*
 * What the kernel takes: list-floor [sockets|owners]... walks its iterators over this namespace's
 * sockets, this PID namespace's descriptors, and throws away what they say. The floor under
 * `tcpkeep list`.
 */
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "sockets/bpf-load.h"

static char buf[64 * 1024];

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int walk(int program_fd)
{
	union bpf_attr attr = {0};
	int link, fd;

	attr.link_create.prog_fd = (__u32)program_fd;
	attr.link_create.attach_type = BPF_TRACE_ITER;
	link = bpf(BPF_LINK_CREATE, &attr);
	attr = (union bpf_attr){0};
	attr.iter_create.link_fd = (__u32)link;
	fd = bpf(BPF_ITER_CREATE, &attr);
	if (fd < 0)
		return -1;
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	struct tcpkeep_kernel kernel;
	struct bpf_config config = {.with_owners = true};
	struct bpf_programs programs;

	tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	config.hz = kernel.hz;
	if (bpf_load_light(&config, &programs) < 0) {
		fprintf(stderr, "list-floor: no BPF here\n");
		return 4;
	}
	for (int i = 1; i < argc; i++)
		if (walk(strcmp(argv[i], "owners") == 0 ? programs.owners_fd
							: programs.sockets_fd) < 0) {
			perror("list-floor");
			return 1;
		}
	return 0;
}
