/* SPDX-License-Identifier: MIT */
#include "source-bpf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "bpf-denied.h"
#include "bpf-iterator.h"
#include "bpf-load.h"
#include "bpf/list/list.h"
#include "keepalive/error.h"

/* A read never gives more than the kernel's buffer of an iterator: PAGE_SIZE << 3
 * (kernel/bpf/bpf_iter.c). */
#define READ_SIZE (64 * 1024)

struct source_bpf {
	struct bpf_programs programs;
};

static int fail_load(int r, struct tcpkeep_error *ret_error)
{
	r = bpf_denied(r, false);
	if (r == -ENOMEM)
		return error_set(ret_error, r, "out of memory");
	if (r == -EMFILE || r == -ENFILE)
		return error_set(ret_error, r, "no descriptors: %s; raise the limit (ulimit -n)",
				 strerror(-r));
	if (r == -EPERM)
		return error_set(ret_error, -EPERM,
				 "BPF needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)");
	if (r == -EACCES)
		return error_set(ret_error, -EOPNOTSUPP,
				 "this kernel refuses the BPF iterators, and not for lack of a "
				 "capability: %s",
				 strerror(-r));
	return error_set(ret_error, -EOPNOTSUPP,
			 "this kernel cannot run the BPF iterators (Linux 5.15 with BTF can): %s",
			 strerror(-r));
}

static bool decided_in_kernel(const struct match_program *program)
{
	for (__u32 i = 0; i < program->n_clauses; i++)
		if (program->clauses[i].kind <= MATCH_LAST_IN_KERNEL)
			return true;
	return false;
}

int source_bpf_open(const struct selector *selector, bool with_owners, unsigned hz,
		    struct source_bpf **ret, struct tcpkeep_error *ret_error)
{
	const struct bpf_config config = {
		.hz = hz,
		.match = selector && decided_in_kernel(&selector->program) ? &selector->program
									   : NULL,
		.with_owners = with_owners,
	};
	struct source_bpf *source = malloc(sizeof(*source));
	int r;

	if (!source)
		return fail_load(-ENOMEM, ret_error);
	r = bpf_load_light(&config, &source->programs);
	if (r < 0 && r != -EPERM && r != -ENOMEM)
		r = bpf_load_full(&config, &source->programs);
	if (r < 0) {
		free(source);
		return fail_load(r, ret_error);
	}
	*ret = source;
	return 0;
}

void source_bpf_close(struct source_bpf **source)
{
	if (!*source)
		return;
	(*source)->programs.destroy((*source)->programs.handle);
	free(*source);
	*source = NULL;
}

/* ------------------------------------------------------------------------------ one walk */

/* Records of one size, as many as a read gives. */
static int read_all(int fd, size_t record, int (*fn)(const void *records, size_t n, void *userdata),
		    void *userdata)
{
	_cleanup_free_ char *buf = malloc(READ_SIZE);
	size_t have = 0;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t got = read(fd, buf + have, READ_SIZE - have);
		size_t n;
		int r;

		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return 0;
		have += (size_t)got;
		n = have / record;
		r = fn(buf, n, userdata);
		if (r != 0)
			return r;
		have -= n * record;
		memmove(buf, buf + n * record, have);
	}
}

struct owners_walk {
	struct owners *owners;
	struct list_owner last;
};

/* A name is taken once, and again when it has changed meanwhile. */
static int take_program(struct owners_walk *walk, const struct list_owner *owner)
{
	char comm[sizeof(owner->comm) + 1] = "";

	if (owner->pid == walk->last.pid &&
	    memcmp(owner->comm, walk->last.comm, sizeof(owner->comm)) == 0)
		return 0;
	walk->last = *owner;
	memcpy(comm, owner->comm, sizeof(owner->comm));
	return owners_set_program(walk->owners, (int)owner->pid, comm);
}

static int add_owners(const void *records, size_t n, void *userdata)
{
	const struct list_owner *owner = records;
	struct owners_walk *walk = userdata;
	int r;

	for (; n > 0; n--, owner++) {
		r = take_program(walk, owner);
		if (r < 0)
			return r;
		r = owners_add(walk->owners, owner->cookie, (int)owner->pid, (int)owner->fd);
		if (r < 0)
			return r;
	}
	return 0;
}

int source_bpf_owners(struct source_bpf *source, struct owners *owners,
		      struct tcpkeep_error *ret_error)
{
	_cleanup_close_ int fd = bpf_iterator_open(source->programs.owners_fd);
	struct owners_walk walk = {.owners = owners};
	int r;

	if (fd < 0)
		return fail_load(fd, ret_error);
	r = read_all(fd, sizeof(struct list_owner), add_owners, &walk);
	return r < 0 ? error_set(ret_error, r, "walk over the descriptors: %s", strerror(-r)) : r;
}

struct rows_walk {
	int (*fn)(const struct socket_row *rows, size_t n, void *userdata);
	void *userdata;
};

static int hand_rows(const void *records, size_t n, void *userdata)
{
	struct rows_walk *walk = userdata;

	return n > 0 ? walk->fn(records, n, walk->userdata) : 0;
}

int source_bpf_rows(struct source_bpf *source, int netns,
		    int (*fn)(const struct socket_row *rows, size_t n, void *userdata),
		    void *userdata, struct tcpkeep_error *ret_error)
{
	struct rows_walk walk = {fn, userdata};
	_cleanup_close_ int fd = -1;
	int r;

	memset(source->programs.listens, 0, LIST_PORTS);
	fd = bpf_iterator_open_in(netns, source->programs.sockets_fd, ret_error);
	if (fd < 0)
		return fd;
	r = read_all(fd, sizeof(struct socket_row), hand_rows, &walk);
	return r < 0 ? error_set(ret_error, r, "walk over the sockets: %s", strerror(-r)) : r;
}
