/* SPDX-License-Identifier: MIT */
/* Built instead of source-bpf.c where libbpf, clang or bpftool is missing. */
#include <errno.h>

#include "keepalive/error.h"
#include "source-bpf.h"

int source_bpf_open(const struct selector *selector, bool with_owners, unsigned hz,
		    struct source_bpf **ret, struct tcpkeep_error *ret_error)
{
	(void)selector;
	(void)with_owners;
	(void)hz;
	(void)ret;
	return error_set(ret_error, -EOPNOTSUPP, "this tcpkeep is built without BPF");
}

void source_bpf_close(struct source_bpf **source)
{
	(void)source;
}

int source_bpf_owners(struct source_bpf *source, struct owners *owners,
		      struct tcpkeep_error *ret_error)
{
	(void)source;
	(void)owners;
	return error_set(ret_error, -EOPNOTSUPP, "this tcpkeep is built without BPF");
}

int source_bpf_rows(struct source_bpf *source, int netns,
		    int (*fn)(const struct socket_row *rows, size_t n, void *userdata),
		    void *userdata, struct tcpkeep_error *ret_error)
{
	(void)source;
	(void)netns;
	(void)fn;
	(void)userdata;
	return error_set(ret_error, -EOPNOTSUPP, "this tcpkeep is built without BPF");
}
