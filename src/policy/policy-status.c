/* SPDX-License-Identifier: MIT */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "policy-fill.h"
#include "policy-hooks.h"
#include "policy-inside.h"
#include "policy-kernel.h"
#include "policy-pins.h"
#include "policy-words.h"

/* One policy in force, while it is told. */
struct view {
	struct policy_kernel_status status;
	struct policy_fds fds;
	struct policy_set *set;
	struct policy_kernel_rule *rules;
	struct policy_kernel_other *others;
	void *blob;
	struct policy_meta meta;
};

static void view_free(struct view *view)
{
	policy_others_free(view->others, view->status.n_others);
	policy_fds_close(&view->fds);
	free(view->set);
	free(view->rules);
	free(view->blob);
}

static int read_rules(struct view *view)
{
	view->rules = calloc(view->set->n_rules + 1, sizeof(*view->rules));
	if (!view->rules)
		return -ENOMEM;
	for (size_t i = 0; i < view->set->n_rules; i++) {
		struct policy_count count;
		int r = policy_count_read(&view->fds, view->set, i, &count);

		if (r < 0)
			return r;
		policy_rule_view(view->set, i, &count, &view->rules[i]);
	}
	view->status.rules = view->rules;
	view->status.n_rules = view->set->n_rules;
	return 0;
}

/* Without it, what the policy came from is unknown. */
static int read_blob(const struct policy_pins *pins, const struct policy_place *place,
		     struct view *view)
{
	int r = policy_blob_read(pins, place, view->set, &view->blob);

	view->status.blob = view->blob;
	view->status.blob_len = view->blob ? view->set->blob_len : 0;
	return r;
}

/* What is attached, and whether that is all that the rules need. */
static void read_hooks(struct view *view)
{
	const struct policy_fds *fds = &view->fds;
	unsigned needed = POLICY_HOOK_SOCK_OPS;

	if (view->set->needs & POLICY_ENFORCES)
		needed |= POLICY_HOOK_SETSOCKOPT;
	if (fds->sock_ops_link >= 0 && policy_link_holds(fds->sock_ops_link) > 0)
		view->status.hooks |= POLICY_HOOK_SOCK_OPS;
	if (fds->setsockopt_link >= 0 && policy_link_holds(fds->setsockopt_link) > 0)
		view->status.hooks |= POLICY_HOOK_SETSOCKOPT;
	view->status.detached = needed & ~view->status.hooks;
}

/* All that is pinned. */
struct all {
	const struct policy_pins *pins;
	const struct policy_place *places;
	size_t n;
	struct cgroups *cgroups;
};

/* Our own policies, of cgroups above, are no stranger's programs. */
static void name_policies(const struct all *all, struct view *view)
{
	static const char *const programs[] = {"sock_ops", "setsockopt"};

	for (size_t i = 0; i < all->n; i++)
		for (size_t j = 0; j < ARRAY_SIZE(programs); j++) {
			_cleanup_close_ int fd =
				policy_place_get(all->pins, &all->places[i], programs[j]);
			uint32_t id = policy_program_id(fd);

			for (size_t k = 0; id && k < view->status.n_others; k++)
				if (view->others[k].id == id)
					view->others[k].policy =
						cgroups_path(all->cgroups, all->places[i].cgroup);
		}
}

static int read_others(const struct all *all, struct view *view)
{
	_cleanup_close_ int fd = -1;
	uint64_t id;
	int r;

	if (!view->status.cgroup)
		return 0;
	fd = cgroups_open(all->cgroups, view->status.cgroup, &id);
	if (fd < 0)
		return 0;
	r = policy_others(fd, POLICY_HOOK_SOCK_OPS | POLICY_HOOK_SETSOCKOPT, &view->fds,
			  &view->others, &view->status.n_others);
	if (r == 0)
		name_policies(all, view);
	return r;
}

static int tell(const struct all *all, const struct policy_place *place, policy_kernel_status_fn fn,
		void *userdata)
{
	_cleanup_(view_free) struct view view = {.fds = POLICY_FDS_NONE};
	struct policy_kernel_status *status = &view.status;
	const struct policy_pins *pins = all->pins;
	struct cgroups *cgroups = all->cgroups;
	int r;

	status->cgroup_id = place->cgroup;
	status->cgroup = cgroups_path(cgroups, place->cgroup);
	r = policy_place_meta(pins, place, &view.meta);
	if (r < 0 && r != -ENOENT && r != -EINVAL)
		return r;
	status->damaged = r < 0;
	if (r == 0)
		status->layout = view.meta.layout;
	status->newer = status->layout > POLICY_LAYOUT;
	if (r < 0 || view.meta.layout != POLICY_LAYOUT)
		return fn(status, userdata);
	r = policy_place_open(pins, place, &view.fds);
	if (r < 0)
		return r;
	status->damaged = !policy_fds_whole(&view.fds);
	if (status->damaged)
		return fn(status, userdata);
	r = policy_in_force(&view.fds, &view.set);
	if (r <= 0)
		return r;
	r = read_rules(&view);
	if (r >= 0)
		r = read_blob(pins, place, &view);
	if (r >= 0)
		r = read_others(all, &view);
	if (r < 0)
		return r;
	read_hooks(&view);
	status->others = view.others;
	status->readable = true;
	status->version = view.meta.version;
	status->applied_at = (time_t)view.set->applied_at;
	return fn(status, userdata);
}

int policy_kernel_status(const char *cgroup, policy_kernel_status_fn fn, void *userdata,
			 struct tcpkeep_error *ret_error)
{
	_cleanup_(policy_target_free) struct policy_target target = {.fd = -1};
	_cleanup_(policy_pins_close) struct policy_pins pins = {.fd = -1};
	_cleanup_free_ struct policy_place *places = NULL;
	struct all all;
	size_t n;
	int r, told = 0;

	r = policy_in_force_open(cgroup, &target, &pins, &places, &n, ret_error);
	if (r < 0)
		return r;
	all = (struct all){&pins, places, n, target.cgroups};
	for (size_t i = 0; i < n; i++) {
		if (cgroup && places[i].cgroup != target.id)
			continue;
		r = tell(&all, &places[i], fn, userdata);
		if (r < 0)
			policy_words(r, ret_error);
		if (r != 0)
			return r;
		told++;
	}
	return told;
}
