/* SPDX-License-Identifier: MIT */
/*
 * What the iterators of list.bpf.c write besides rows (sockets/row.h), and what they are told: the
 * header that the kernel side of a snapshot shares with user space. Records follow each other in
 * the stream without a gap.
 */
#pragma once

#include "sockets/match.h"

/* One descriptor of one process; the records of a process follow each other. */
struct list_owner {
	__u64 cookie;
	__u32 pid;
	__u32 fd;
	char comm[16];
};

/* Listening ports of the namespace, by family: what was accepted has the local port of one. */
#define LIST_PORTS 65536
