/* SPDX-License-Identifier: MIT */
#include "policy-load.h"

#include <errno.h>
#include <stdbool.h>
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

/* More than programs and maps take while they are loaded. */
#define LOAD_FDS 16

/* The loaders have other words for it: that the kernel lacks something. */
static bool is_short_of_descriptors(void)
{
	int fds[LOAD_FDS], n = 0;
	bool is_short;

	while (n < LOAD_FDS && (fds[n] = open("/", O_PATH | O_CLOEXEC)) >= 0)
		n++;
	is_short = n < LOAD_FDS;
	while (n > 0)
		close(fds[--n]);
	return is_short;
}

/* r: what came of it. Some descriptor may have found no room. */
static int check(int r, struct policy_fds *fds, bool is_single)
{
	if (r < 0)
		return is_short_of_descriptors() ? -EMFILE : r;
	if (fds->counts >= 0 && fds->sock_ops >= 0 && fds->setsockopt >= 0 &&
	    (is_single || (fds->sets >= 0 && fds->control >= 0 && fds->tag_listeners >= 0)))
		return 0;
	policy_fds_close(fds);
	return -EMFILE;
}

int policy_load(uint64_t cgroup, struct policy_fds *ret)
{
	struct tcpkeep_kernel kernel;
	int r;

	tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	r = policy_load_light(kernel.hz, cgroup, ret);
	/* No privilege is none for libbpf either. */
	if (r < 0 && r != -EPERM && r != -ENOMEM)
		r = policy_load_full(kernel.hz, cgroup, ret);
	return check(r, ret, false);
}

int policy_load_single(const struct policy_action *action, struct policy_fds *ret)
{
	struct tcpkeep_kernel kernel;
	int r;

	tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	r = policy_load_single_light(kernel.hz, action, ret);
	if (r < 0 && r != -EPERM && r != -ENOMEM)
		r = policy_load_single_full(kernel.hz, action, ret);
	return check(r, ret, true);
}
