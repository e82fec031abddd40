/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "keepalive/error.h"
#include "policy-inside.h"
#include "policy-words.h"

static int cannot_open(const char *cgroup, int r, struct tcpkeep_error *ret_error)
{
	char shown[128];

	if (r == -EOPNOTSUPP)
		return error_set(ret_error, r,
				 "cgroup2 is not mounted here; 'ip netns exec' hides it ('nsenter "
				 "--net=/run/netns/NAME' does not), otherwise 'mount -t cgroup2 "
				 "cgroup2 /sys/fs/cgroup', or use 'tcpkeep run'");
	escape_text(cgroup, strlen(cgroup), shown, sizeof(shown));
	if (r == -ENOENT || r == -ENOTDIR)
		return error_set(ret_error, -ENOENT,
				 "cgroup '%s': there is none; accepted: a path below the mount of "
				 "cgroup2, like /system.slice",
				 shown);
	if (r == -EACCES || r == -EPERM)
		return policy_words(r, ret_error);
	return error_set(ret_error, r, "cgroup '%s': %s", shown, strerror(-r));
}

int policy_target_open(const char *cgroup, struct policy_target *ret,
		       struct tcpkeep_error *ret_error)
{
	_cleanup_(policy_target_free) struct policy_target target = {.fd = -1};
	struct statfs fs;
	const char *path;
	int r;

	if (!cgroup)
		cgroup = "/";
	r = cgroups_new(&target.cgroups);
	if (r < 0)
		return policy_words(r, ret_error);
	target.fd = cgroups_open(target.cgroups, cgroup, &target.id);
	if (target.fd < 0)
		return cannot_open(cgroup, target.fd, ret_error);
	/* "/.." leads out of the mount. */
	if (fstatfs(target.fd, &fs) == 0 && fs.f_type != CGROUP2_SUPER_MAGIC)
		return cannot_open(cgroup, -ENOENT, ret_error);
	path = cgroups_path(target.cgroups, target.id);
	target.path = strdup(path ? path : cgroup);
	if (!target.path)
		return policy_words(-ENOMEM, ret_error);
	*ret = target;
	target = (struct policy_target){.fd = -1};
	return 0;
}

void policy_target_free(struct policy_target *target)
{
	if (target->cgroups)
		cgroups_free(&target->cgroups);
	free(target->path);
	cleanup_close(&target->fd);
	*target = (struct policy_target){.fd = -1};
}
