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

int policy_load(uint64_t cgroup, const struct policy_action *only, struct policy_fds *ret)
{
	struct policy_constants constants = {.cgroup = cgroup, .only = only};
	struct tcpkeep_kernel kernel;
	int r;

	tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	constants.hz = kernel.hz;
	r = policy_load_light(&constants, ret);
	/* No privilege is none for libbpf either. */
	if (r == 0 || r == -EPERM || r == -ENOMEM)
		return r;
	return policy_load_full(&constants, ret);
}
