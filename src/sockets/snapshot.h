/* SPDX-License-Identifier: MIT */
/*
 * Everybody's TCP sockets, streamed: each row is handed on as it comes and never kept. Three
 * sources, the best that the machine allows is taken and told.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tcpkeep.h>

#include "selector.h"

enum snapshot_source {
	SNAPSHOT_AUTO = 0,
	SNAPSHOT_BPF,     /* iterators in the kernel: everything */
	SNAPSHOT_DIAG_FD, /* sock_diag; settings through pidfd_getfd(), of processes that one may
			     trace */
	SNAPSHOT_DIAG,    /* sock_diag and procfs: settings unknown */
};

/* One descriptor that stands for a socket. */
struct socket_owner {
	int pid;
	int fd;
	char program[16]; /* comm, as the process wrote it: print it escaped */
};

/* A network namespace during a snapshot. Valid during the call only. */
struct snapshot_netns {
	uint64_t inode;
	const char *name; /* NULL: none */
	bool own;
	struct tcpkeep_kernel kernel; /* what the model needs; its sysctls are this namespace's */
	bool sysctls_known;
};

/* A row with what belongs to it. Valid during the call only. */
struct snapshot_row {
	struct socket_row socket;
	const struct snapshot_netns *netns;
	const struct socket_owner *owners; /* ordered by pid and fd */
	size_t n_owners;
	struct tcpkeep_effective effective; /* settings.fields: what is known */
	const char *
		cgroup; /* path below the cgroup2 mount; NULL: unknown, or options.cgroups is off */
};

struct snapshot_options {
	enum snapshot_source source;
	bool owners;  /* pid, fd, program are wanted */
	bool cgroups; /* the path is wanted */
	bool all_netns;
	int netns;                       /* a descriptor, or TCPKEEP_NETNS_OWN */
	const struct selector *selector; /* NULL: everything */
};

/* What was seen and what was not. */
struct snapshot_report {
	enum snapshot_source source;
	char missing[200]; /* why not a better source, and what would make it one; "" when nothing
			      is missing */
	size_t rows, matched;
	size_t processes_hidden;       /* whose descriptors may not be seen */
	size_t netns_hidden;           /* that may not be entered */
	size_t settings_denied;        /* sock_diag: sockets whose owners may not be looked into */
	size_t netns_processes_hidden; /* whose namespaces may not be known; all_netns */
	size_t settings_starved;       /* sock_diag: for lack of descriptors or memory */
	int starved_of;                /* the last one's errno: EMFILE, ENFILE, ENOMEM */
	size_t interrupted;            /* sock_diag: walks under which the kernel's table changed */
};

/* fn's non-zero result ends the walk and is returned. */
int snapshot_run(const struct snapshot_options *options,
		 int (*fn)(const struct snapshot_row *row, void *userdata), void *userdata,
		 struct snapshot_report *ret, struct tcpkeep_error *ret_error);
