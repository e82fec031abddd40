/* SPDX-License-Identifier: MIT */
/*
 * What the kernel takes: list-floor [sockets|owners]... walks its iterators over this namespace's
 * sockets, this PID namespace's descriptors, and throws away what they say. The floor under
 * `tcpkeep list`.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "sockets/bpf-iterator.h"
#include "sockets/bpf-load.h"

static char buf[64 * 1024];

static int walk(int program_fd)
{
	int fd = bpf_iterator_open(program_fd);

	if (fd < 0) {
		errno = -fd;
		return -1;
	}
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
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
