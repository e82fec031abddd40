/* SPDX-License-Identifier: MIT */
#include "policy-load.h"

#include <errno.h>
#include <tcpkeep.h>
#include <unistd.h>

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void policy_fds_close(struct policy_fds *fds)
{
	int saved = errno;

	close_fd(&fds->sets);
	close_fd(&fds->counts);
	close_fd(&fds->control);
	close_fd(&fds->sock_ops);
	close_fd(&fds->setsockopt);
	close_fd(&fds->tag_listeners);
	close_fd(&fds->sock_ops_link);
	close_fd(&fds->setsockopt_link);
	errno = saved;
}

int policy_load(uint64_t cgroup, struct policy_fds *ret)
{
	struct tcpkeep_kernel kernel;
	int r;

	tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	r = policy_load_light(kernel.hz, cgroup, ret);
	/* No privilege is none for libbpf either. */
	if (r == 0 || r == -EPERM || r == -ENOMEM)
		return r;
	return policy_load_full(kernel.hz, cgroup, ret);
}

int policy_load_single(const struct policy_action *action, struct policy_fds *ret)
{
	struct tcpkeep_kernel kernel;
	int r;

	tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	r = policy_load_single_light(kernel.hz, action, ret);
	if (r == 0 || r == -EPERM || r == -ENOMEM)
		return r;
	return policy_load_single_full(kernel.hz, action, ret);
}
