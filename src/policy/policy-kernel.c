/* SPDX-License-Identifier: MIT */
/*
 * Applying and removing. What a kill leaves:
 *
 *  - the first apply of a cgroup: programs are loaded, attached and pinned with no policy in them,
 *    under a name that says unfinished; then they get their name, then the policy, in one step;
 *  - the next ones: that one step, with all that it needs made before it; none when the very same
 *    is in force;
 *  - another build of tcpkeep: a new place with the policy in it, attached to nothing; then the
 *    old one's link gets the new program, in one step; then the link's pin moves, the new place
 * gets its name, and the old one goes. A kill between these is put in order by whoever comes next;
 *  - remove: the policy goes in one step, then what is left of it.
 */
#include "policy-kernel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/macro.h"
#include "keepalive/error.h"
#include "policy-fill.h"
#include "policy-hooks.h"
#include "policy-inside.h"
#include "policy-pins.h"
#include "policy-words.h"

/* One apply. */
struct apply {
	const struct policy_apply_options *options;
	struct policy_apply_report report;
	struct tcpkeep_error *error;
	struct policy_pins pins;
	struct policy_target target;
	struct policy_place place; /* where it goes; name "": a new one */
	struct policy_place elder; /* another build's; name "": none */
	int elder_link;            /* that holds its program; -1: somebody has detached it */
	struct policy_fds fds;
	struct policy_set *set;
};

static void apply_free(struct apply *apply)
{
	policy_fds_close(&apply->fds);
	cleanup_close(&apply->elder_link);
	policy_target_free(&apply->target);
	free(apply->set);
	policy_pins_close(&apply->pins);
}

/* Its cgroup is gone, and with it what was attached to it. */
static bool is_orphan(const struct policy_pins *pins, const struct policy_place *place,
		      struct cgroups *cgroups)
{
	_cleanup_close_ int link = policy_place_get(pins, place, "sock_ops_link");

	return link >= 0 && policy_link_holds(link) == 0 && !cgroups_path(cgroups, place->cgroup);
}

/* 1, 0 or -errno: what can only not be read now is no leftover. */
static int is_kept(const struct policy_pins *pins, const struct policy_place *place,
		   struct cgroups *cgroups)
{
	int r;

	if (place->unfinished)
		return 0;
	r = policy_place_alive(pins, place);
	return r > 0 ? !is_orphan(pins, place, cgroups) : r;
}

/* What a kill has left between two builds: the kernel runs the new program already. */
static int finish_takeovers(const struct policy_pins *pins, struct policy_place *places, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t link = i;
		int r = places[i].unfinished ? policy_place_took_over(pins, places, n, i, &link)
					     : 0;

		if (r > 0 && link != i)
			r = policy_place_move(pins, &places[link], &places[i], "sock_ops_link");
		else if (r == 0)
			continue;
		if (r >= 0)
			r = policy_place_finish(pins, &places[i]);
		if (r < 0)
			return r;
	}
	policy_places_sort(places, n);
	return 0;
}

int policy_tidy(const struct policy_pins *pins, struct cgroups *cgroups,
		struct policy_place *places, size_t *n)
{
	size_t kept = 0;
	int cleared = 0, done;

	done = finish_takeovers(pins, places, *n);
	if (done < 0)
		return done;
	for (size_t i = 0; i < *n; i++) {
		bool older = kept > 0 && places[kept - 1].cgroup == places[i].cgroup;
		int r = older ? 0 : is_kept(pins, &places[i], cgroups);

		if (r < 0)
			return r;
		if (r > 0) {
			places[kept++] = places[i];
			continue;
		}
		r = policy_place_remove(pins, &places[i]);
		if (r < 0)
			return r;
		cleared++;
	}
	*n = kept;
	return cleared;
}

static int newer(const struct apply *apply, unsigned layout)
{
	bool root = strcmp(apply->target.path, "/") == 0;
	char shown[512];

	return error_set(
		apply->error, -EEXIST,
		"a newer tcpkeep's policy is in force here (layout %u; this is %d); apply with "
		"that one, or remove it first: tcpkeep policy remove%s%s",
		layout, POLICY_LAYOUT, root ? "" : " --cgroup ",
		root ? ""
		     : escape_text(apply->target.path, strlen(apply->target.path), shown,
				   sizeof(shown)));
}

/* What another build has put in force is taken over, if nobody has detached it. */
static int meet_elder(struct apply *apply, const struct policy_place *place)
{
	_cleanup_close_ int link = policy_place_get(&apply->pins, place, "sock_ops_link");

	apply->report.upgraded = true;
	if (link < 0)
		return link == -ENOENT ? 0 : link;
	if (policy_link_holds(link) <= 0)
		return 0;
	apply->elder = *place;
	apply->elder_link = steal_fd(&link);
	return 0;
}

/* The place of this cgroup that is in force, if it is one that this build can go on with. */
static int choose_place(struct apply *apply)
{
	_cleanup_free_ struct policy_place *places = NULL;
	struct policy_meta meta;
	size_t n;
	int r;

	r = policy_pins_list(&apply->pins, &places, &n);
	if (r < 0)
		return r;
	r = policy_tidy(&apply->pins, apply->target.cgroups, places, &n);
	if (r < 0)
		return r;
	apply->report.leftovers = (size_t)r;
	for (size_t i = 0; i < n; i++) {
		if (places[i].cgroup != apply->target.id)
			continue;
		apply->report.replaced = true;
		r = policy_place_meta(&apply->pins, &places[i], &meta);
		if (r == 0 && meta.layout > POLICY_LAYOUT)
			return newer(apply, meta.layout);
		if (r == 0 && meta.layout == POLICY_LAYOUT && meta.build == policy_build_id())
			apply->place = places[i];
		else if (r == 0)
			r = meet_elder(apply, &places[i]);
		else if (r == -ENOENT || r == -EINVAL)
			apply->report.damaged = true;
		else
			return r;
	}
	return 0;
}

/* The descriptors of what is there; none: something is missing or taken away. */
static int open_place(struct apply *apply)
{
	int r;

	if (!apply->place.name[0])
		return 0;
	r = policy_place_open(&apply->pins, &apply->place, &apply->fds);
	if (r < 0)
		return r;
	apply->report.damaged = apply->fds.sock_ops_link < 0 || !policy_fds_whole(&apply->fds);
	if (!apply->report.damaged && policy_link_holds(apply->fds.sock_ops_link) > 0)
		return 0;
	policy_fds_close(&apply->fds);
	apply->place.name[0] = '\0';
	return 0;
}

static int make_place(struct apply *apply)
{
	struct policy_meta meta = {
		.magic = POLICY_MAGIC,
		.layout = POLICY_LAYOUT,
		.build = policy_build_id(),
		.version = TCPKEEP_VERSION,
	};
	int r;

	if (apply->place.name[0])
		return 0;
	r = policy_load(apply->target.id, &apply->fds);
	if (r < 0)
		return policy_load_words(r, apply->error);
	meta.program = policy_program_id(apply->fds.sock_ops);
	/* Attached with nothing in it: inert. Pinned at once, so that it is found after a kill. */
	r = policy_place_make(&apply->pins, apply->target.id, &apply->fds, &meta, &apply->place);
	if (r < 0 || apply->elder_link >= 0)
		return r;
	r = policy_hook_attach(&apply->fds, POLICY_HOOK_SOCK_OPS, apply->target.fd, apply->error);
	if (r == 0)
		r = policy_place_pin(&apply->pins, &apply->place, "sock_ops_link",
				     apply->fds.sock_ops_link);
	if (r == 0)
		r = policy_place_finish(&apply->pins, &apply->place);
	if (r < 0)
		policy_place_remove(&apply->pins, &apply->place);
	return r;
}

/* The hook that only an enforcing rule needs. Once there it stays: connections keep their rule. */
static int attach_setsockopt(struct apply *apply)
{
	struct policy_fds *fds = &apply->fds;
	int r;

	if (fds->setsockopt_link >= 0 && policy_link_holds(fds->setsockopt_link) > 0)
		return 0;
	if (!(apply->set->needs & POLICY_ENFORCES))
		return 0;
	if (fds->setsockopt_link >= 0)
		close(fds->setsockopt_link);
	fds->setsockopt_link = -1;
	r = policy_hook_attach(fds, POLICY_HOOK_SETSOCKOPT, apply->target.fd, apply->error);
	if (r < 0)
		return r;
	return policy_place_pin(&apply->pins, &apply->place, "setsockopt_link",
				fds->setsockopt_link);
}

/* The caller's blob goes with the half of the set; a set without one has length 0. */
static int pin_blob(const struct policy_set *set, void *userdata)
{
	struct apply *apply = userdata;

	return policy_blob_pin(&apply->pins, &apply->place, set, apply->options->blob);
}

/* 1: the very same is in force, with the same blob. */
static int is_in_force(struct apply *apply)
{
	_cleanup_free_ struct policy_set *set = NULL;
	_cleanup_free_ void *blob = NULL;
	int r;

	r = policy_in_force(&apply->fds, &set);
	if (r <= 0 || !policy_set_is_same(set, apply->set))
		return MIN(r, 0);
	r = policy_blob_read(&apply->pins, &apply->place, set, &blob);
	if (r < 0 || set->blob_len == 0)
		return r < 0 ? r : 1;
	return blob && memcmp(blob, apply->options->blob, set->blob_len) == 0;
}

/* The same again takes nobody's counts away; what somebody has detached, or a kill left undone, is
 * put in order all the same. */
static int swap(struct apply *apply)
{
	bool asks_program = apply->set->needs & POLICY_NEEDS_PROGRAM;
	int r;

	r = attach_setsockopt(apply);
	if (r < 0)
		return r;
	if (asks_program) {
		r = policy_tag(&apply->fds, &apply->report.listeners);
		if (r < 0)
			return r;
	}
	r = is_in_force(apply);
	apply->report.unchanged = r > 0;
	if (r == 0)
		r = policy_swap(&apply->fds, apply->set, pin_blob, apply);
	if (r < 0)
		return r;
	/* In force it is: what cannot be tidied costs a little, and does no harm. */
	if (asks_program)
		policy_tag_asked(&apply->fds);
	else
		policy_tag_no_more(&apply->fds);
	return 0;
}

/* Of another build, or what a failed apply has left: all but the place that is in force now. */
static int remove_others(struct apply *apply)
{
	_cleanup_free_ struct policy_place *places = NULL;
	size_t n;
	int r;

	r = policy_pins_list(&apply->pins, &places, &n);
	for (size_t i = 0; i < n && r >= 0; i++)
		if (places[i].cgroup == apply->target.id &&
		    strcmp(places[i].name, apply->place.name) != 0)
			r = policy_place_remove(&apply->pins, &places[i]);
	return r < 0 ? r : 0;
}

/* From the other build's program to ours. Listeners that were made while ours was not attached yet
 * are looked for once more. */
static int take_over(struct apply *apply)
{
	int r;

	r = policy_hook_take_over(&apply->fds, apply->elder_link);
	if (r < 0)
		return r;
	apply->fds.sock_ops_link = steal_fd(&apply->elder_link);
	if (apply->set->needs & POLICY_NEEDS_PROGRAM)
		policy_tag_asked(&apply->fds);
	r = policy_place_move(&apply->pins, &apply->elder, &apply->place, "sock_ops_link");
	return r < 0 ? r : policy_place_finish(&apply->pins, &apply->place);
}

static int apply_locked(struct apply *apply)
{
	bool made;
	int r;

	r = choose_place(apply);
	if (r < 0)
		return r;
	r = open_place(apply);
	if (r < 0)
		return r;
	made = !apply->place.name[0];
	r = make_place(apply);
	if (r < 0)
		return r;
	r = swap(apply);
	if (r == 0 && apply->elder_link >= 0)
		r = take_over(apply);
	/* Nothing is in it, or it decides nothing: without it the machine is as it was. */
	if (r < 0 && made && (apply->elder_link >= 0 || !apply->elder.name[0]))
		policy_place_remove(&apply->pins, &apply->place);
	if (r < 0)
		return r;
	return made ? remove_others(apply) : 0;
}

static unsigned hooks_of(const struct policy_fds *fds)
{
	return (fds->sock_ops_link >= 0 ? POLICY_HOOK_SOCK_OPS : 0) |
	       (fds->setsockopt_link >= 0 ? POLICY_HOOK_SETSOCKOPT : 0);
}

int policy_kernel_apply(const struct policy *policy, const struct policy_apply_options *options,
			struct policy_apply_report *ret_report, struct tcpkeep_error *ret_error)
{
	_cleanup_(apply_free) struct apply apply = {
		.options = options,
		.error = ret_error,
		.pins = {.fd = -1},
		.fds = POLICY_FDS_NONE,
		.target = {.fd = -1},
		.elder_link = -1,
	};
	struct policy_unknown unknown;
	int r;

	if (options->blob_len > POLICY_BLOB_MAX)
		return error_set(ret_error, -E2BIG, "the policy's text is longer than %d bytes",
				 POLICY_BLOB_MAX);
	r = policy_target_open(options->cgroup, &apply.target, ret_error);
	if (r < 0)
		return r;
	r = policy_image(policy, policy_cgroup_root(), &apply.set, &unknown, ret_error);
	if (r < 0)
		return r;
	apply.set->blob_len = (__u32)options->blob_len;
	r = policy_pins_open(true, &apply.pins, ret_error);
	if (r < 0)
		return r;
	error_set(ret_error, 0, "%s", "");
	r = apply_locked(&apply);
	if (r < 0)
		return ret_error && *ret_error->message ? r : policy_words(r, ret_error);
	apply.report.mounted = apply.pins.mounted;
	apply.report.hooks = hooks_of(&apply.fds);
	apply.report.netns_unknown = unknown.n;
	memcpy(apply.report.netns_first, unknown.first, sizeof(unknown.first));
	snprintf(apply.report.cgroup, sizeof(apply.report.cgroup), "%s", apply.target.path);
	if (ret_report)
		*ret_report = apply.report;
	return 0;
}

int policy_in_force_open(const char *cgroup, struct policy_target *target, struct policy_pins *pins,
			 struct policy_place **ret_places, size_t *ret_n,
			 struct tcpkeep_error *ret_error)
{
	int r;

	*ret_n = 0;
	r = policy_target_open(cgroup, target, ret_error);
	if (r < 0)
		return r;
	r = policy_pins_open(false, pins, ret_error);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	r = policy_pins_list(pins, ret_places, ret_n);
	if (r >= 0)
		r = policy_tidy(pins, target->cgroups, *ret_places, ret_n);
	return r < 0 ? policy_words(r, ret_error) : 0;
}

/* Of a policy that this build can read; otherwise -1. */
static int count_rules(const struct policy_pins *pins, const struct policy_place *place)
{
	_cleanup_(policy_fds_close) struct policy_fds fds = POLICY_FDS_NONE;
	_cleanup_free_ struct policy_set *set = NULL;
	struct policy_meta meta;

	if (policy_place_meta(pins, place, &meta) < 0 || meta.layout != POLICY_LAYOUT ||
	    policy_place_open(pins, place, &fds) < 0 || policy_in_force(&fds, &set) <= 0)
		return -1;
	return (int)set->n_rules;
}

int policy_kernel_remove(const char *cgroup, bool all, policy_removed_fn fn, void *userdata,
			 struct tcpkeep_error *ret_error)
{
	_cleanup_(policy_target_free) struct policy_target target = {.fd = -1};
	_cleanup_(policy_pins_close) struct policy_pins pins = {.fd = -1};
	_cleanup_free_ struct policy_place *places = NULL;
	int r, removed = 0;
	size_t n;

	r = policy_in_force_open(all ? NULL : cgroup, &target, &pins, &places, &n, ret_error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct policy_removed told;

		if (!all && places[i].cgroup != target.id)
			continue;
		told.cgroup = cgroups_path(target.cgroups, places[i].cgroup);
		told.n_rules = count_rules(&pins, &places[i]);
		r = policy_place_remove(&pins, &places[i]);
		if (r < 0)
			return policy_words(r, ret_error);
		removed += r;
		if (r > 0 && fn)
			fn(&told, userdata);
	}
	return removed;
}
