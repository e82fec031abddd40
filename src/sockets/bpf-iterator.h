/* SPDX-License-Identifier: MIT */
/* A walk by a BPF iterator: each one opened is one walk, and its records are read from it. */
#pragma once

struct tcpkeep_error;

/* A descriptor to read from, or -errno. */
int bpf_iterator_open(int program_fd);

/* The same, with words for what fails: a walk over sockets covers the namespace of the thread that
 * opens it. */
int bpf_iterator_open_in(int netns, int program_fd, struct tcpkeep_error *ret_error);
