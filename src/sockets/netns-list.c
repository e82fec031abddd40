/* SPDX-License-Identifier: MIT */
#include "netns-list.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "keepalive/error.h"

/* A namespace whose sysctls cannot be read (no procfs) still has sockets: their values stay
 * unknown. */
static void read_kernel(int fd, struct snapshot_netns *netns)
{
	struct tcpkeep_sysctls sysctls;

	tcpkeep_kernel_read(fd, &netns->kernel);
	netns->sysctls_known = tcpkeep_sysctls_read(fd, &sysctls, NULL) == 0;
	if (netns->sysctls_known)
		netns->kernel.sysctls = sysctls;
}

int netns_list_one(int fd, netns_walk_fn fn, void *userdata, struct tcpkeep_error *ret_error)
{
	struct snapshot_netns netns = {.own = fd == TCPKEEP_NETNS_OWN};
	struct stat st;
	int r;

	r = netns.own ? stat("/proc/thread-self/ns/net", &st) : fstat(fd, &st);
	if (r == 0)
		netns.inode = st.st_ino;
	read_kernel(fd, &netns);
	return fn(&netns, fd, userdata, ret_error);
}

struct all {
	netns_walk_fn fn;
	void *userdata;
	size_t hidden;
	struct tcpkeep_error *error;
};

static int visit(const struct tcpkeep_netns *found, void *userdata)
{
	struct snapshot_netns netns = {
		.inode = found->inode,
		.name = found->name,
		.own = found->own,
	};
	struct all *all = userdata;
	int fd = found->own ? TCPKEEP_NETNS_OWN : found->fd;
	int r;

	if (fd < 0 && !found->own) {
		all->hidden++;
		return 0;
	}
	read_kernel(fd, &netns);
	r = all->fn(&netns, fd, all->userdata, all->error);
	/* Not ours to enter: the others still are. */
	if (r == -EPERM || r == -EACCES) {
		all->hidden++;
		return 0;
	}
	return r;
}

int netns_list_all(netns_walk_fn fn, void *userdata, size_t *ret_hidden,
		   size_t *ret_processes_hidden, struct tcpkeep_error *ret_error)
{
	struct all all = {.fn = fn, .userdata = userdata, .error = ret_error};
	size_t processes_hidden = 0;
	int r;

	error_set(ret_error, 0, "the network namespaces cannot be listed");
	r = tcpkeep_netns_foreach(visit, &all, &processes_hidden);
	*ret_hidden = all.hidden;
	*ret_processes_hidden = processes_hidden;
	return r;
}
