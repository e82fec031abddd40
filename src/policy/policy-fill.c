/* SPDX-License-Identifier: MIT */
#include "policy-fill.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "policy-compile.h"

/* The namespaces that have a name, as list= has them: those of /run/netns. */
struct found {
	struct policy_netns *netns;
	size_t n, room;
	int r;
};

static int find(const struct tcpkeep_netns *netns, void *userdata)
{
	struct found *found = userdata;
	struct policy_netns *grown;

	if (!netns->name)
		return 0;
	grown = array_grow(found->netns, found->n, &found->room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	found->netns = grown;
	grown[found->n].name = strdup(netns->name);
	if (!grown[found->n].name)
		return -ENOMEM;
	grown[found->n++].inode = netns->inode;
	return 0;
}

static void free_found(struct found *found)
{
	for (size_t i = 0; i < found->n; i++)
		free((char *)found->netns[i].name);
	free(found->netns);
}

static bool is_known(const struct found *found, const char *pattern)
{
	for (size_t i = 0; i < found->n; i++)
		if (fnmatch(pattern, found->netns[i].name, FNM_NOESCAPE) == 0)
			return true;
	return false;
}

static const struct match_clause *clause_at(const struct match_program *program, __u32 value)
{
	return &program->clauses[program->clause_of[value] & (MATCH_CLAUSES_MAX - 1)];
}

static void note_unknown(const struct policy *policy, const struct found *found,
			 struct policy_unknown *unknown)
{
	for (size_t r = 0; r < policy->n_rules; r++) {
		const struct selector *selector = &policy->rules[r].selector;

		for (__u32 i = 0; i < selector->program.n_values; i++) {
			const union match_value *value = &selector->program.values[i];
			const char *text = selector->text + value->range.min;

			if (clause_at(&selector->program, i)->kind != MATCH_NETNS ||
			    value->range.max || is_known(found, text))
				continue;
			if (unknown->n++ == 0)
				escape_text(text, strlen(text), unknown->first,
					    sizeof(unknown->first));
		}
	}
}

static bool names_netns(const struct policy *policy)
{
	for (size_t r = 0; r < policy->n_rules; r++)
		for (__u32 i = 0; i < policy->rules[r].selector.program.n_clauses; i++)
			if (policy->rules[r].selector.program.clauses[i].kind == MATCH_NETNS)
				return true;
	return false;
}

int policy_image(const struct policy *policy, uint64_t cgroup_root, struct policy_set **ret,
		 struct policy_unknown *ret_unknown, struct tcpkeep_error *ret_error)
{
	_cleanup_(free_found) struct found found = {0};
	_cleanup_free_ struct policy_set *set = calloc(1, sizeof(*set));
	struct policy_unknown unknown = {0};
	struct policy_names names;
	int r;

	if (!set)
		return -ENOMEM;
	if (names_netns(policy)) {
		r = tcpkeep_netns_foreach(find, &found, NULL);
		if (r < 0)
			return r;
		note_unknown(policy, &found, &unknown);
	}
	names = (struct policy_names){found.netns, found.n};
	r = policy_compile(policy, &names, set, ret_error);
	if (r < 0)
		return r;
	set->cgroup_root = cgroup_root;
	set->applied_at = (__u64)time(NULL);
	snprintf(set->version, sizeof(set->version), "%s", TCPKEEP_VERSION);
	if (ret_unknown)
		*ret_unknown = unknown;
	*ret = steal_pointer(&set);
	return 0;
}

/* Never the same twice: whoever applies holds the lock. */
static __u64 new_generation(__u64 before)
{
	struct timespec now;
	__u64 generation;

	clock_gettime(CLOCK_BOOTTIME, &now);
	generation = (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec;
	return generation > before ? generation : before + 1;
}

static int clear_counts(const struct policy_fds *fds, const struct policy_set *set)
{
	size_t processors = (size_t)libbpf_num_possible_cpus();
	_cleanup_free_ struct policy_count *zeros = calloc(processors, sizeof(*zeros));

	if (!zeros)
		return -ENOMEM;
	for (__u32 i = 0; i < set->n_rules; i++) {
		__u32 at = set->half * POLICY_SET_RULES + i;

		if (bpf_map_update_elem(fds->counts, &at, zeros, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

bool policy_set_is_same(const struct policy_set *in_force, const struct policy_set *other)
{
	_cleanup_free_ struct policy_set *copy = malloc(sizeof(*copy));

	/* Not known to be: it is put in force once more. */
	if (!copy)
		return false;
	memcpy(copy, other, sizeof(*copy));
	copy->generation = in_force->generation;
	copy->applied_at = in_force->applied_at;
	copy->half = in_force->half;
	return memcmp(copy, in_force, sizeof(*copy)) == 0;
}

int policy_swap(const struct policy_fds *fds, struct policy_set *set,
		int (*prepare)(const struct policy_set *set, void *userdata), void *userdata)
{
	_cleanup_free_ struct policy_set *before = NULL;
	_cleanup_close_ int inner = -1;
	__u32 zero = 0;
	int r;

	r = policy_in_force(fds, &before);
	if (r < 0)
		return r;
	set->half = before ? !before->half : 0;
	set->generation = new_generation(before ? before->generation : 0);
	r = clear_counts(fds, set);
	if (r < 0)
		return r;
	inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "tcpkeep_set", sizeof(__u32), sizeof(*set), 1,
			       NULL);
	if (inner < 0)
		return -errno;
	if (bpf_map_update_elem(inner, &zero, set, BPF_ANY) < 0)
		return -errno;
	if (prepare) {
		r = prepare(set, userdata);
		if (r < 0)
			return r;
	}
	/* The kernel waits until no program runs with the old one: maybe_wait_bpf_programs(). */
	return bpf_map_update_elem(fds->sets, &zero, &inner, BPF_ANY) < 0 ? -errno : 0;
}

int policy_in_force(const struct policy_fds *fds, struct policy_set **ret)
{
	_cleanup_free_ struct policy_set *set = NULL;
	_cleanup_close_ int inner = -1;
	__u32 zero = 0, id;

	if (bpf_map_lookup_elem(fds->sets, &zero, &id) < 0)
		return errno == ENOENT ? 0 : -errno;
	inner = bpf_map_get_fd_by_id(id);
	if (inner < 0)
		return -errno;
	set = malloc(sizeof(*set));
	if (!set)
		return -ENOMEM;
	if (bpf_map_lookup_elem(inner, &zero, set) < 0)
		return -errno;
	*ret = steal_pointer(&set);
	return 1;
}

int policy_count_read(const struct policy_fds *fds, const struct policy_set *set, size_t rule,
		      struct policy_count *ret)
{
	__u32 at = set->half * POLICY_SET_RULES + (__u32)rule;
	int processors = libbpf_num_possible_cpus();
	_cleanup_free_ struct policy_count *each = calloc((size_t)processors, sizeof(*each));
	struct policy_count sum = {0};

	if (!each)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fds->counts, &at, each) < 0)
		return -errno;
	for (int i = 0; i < processors; i++) {
		sum.set += each[i].set;
		sum.own += each[i].own;
		sum.failed += each[i].failed;
		sum.left += each[i].left;
	}
	*ret = sum;
	return 0;
}

int policy_count_single(const struct policy_fds *fds, struct policy_single_count *ret)
{
	int processors = libbpf_num_possible_cpus();
	_cleanup_free_ struct policy_single_count *each = calloc((size_t)processors, sizeof(*each));
	struct policy_single_count sum = {0};
	__u32 zero = 0;

	if (!each)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fds->counts, &zero, each) < 0)
		return -errno;
	for (int i = 0; i < processors; i++) {
		sum.of.set += each[i].of.set;
		sum.of.own += each[i].of.own;
		sum.of.failed += each[i].of.failed;
		sum.accepted += each[i].accepted;
		sum.connected += each[i].connected;
		sum.listening += each[i].listening;
		sum.in_part += each[i].in_part;
		sum.changed += each[i].changed;
		sum.withheld += each[i].withheld;
	}
	*ret = sum;
	return 0;
}

static int set_tagging(const struct policy_fds *fds, enum policy_tagging tagging)
{
	struct policy_control control = {.tagging = tagging};
	__u32 zero = 0;

	return bpf_map_update_elem(fds->control, &zero, &control, BPF_ANY) < 0 ? -errno : 0;
}

/* One walk over every open descriptor; the program writes a byte for each listener. */
static int walk_listeners(const struct policy_fds *fds, size_t *ret)
{
	_cleanup_close_ int link = -1, stream = -1;
	char bytes[4096];
	size_t total = 0;
	ssize_t n;

	link = bpf_link_create(fds->tag_listeners, 0, BPF_TRACE_ITER, NULL);
	if (link < 0)
		return -errno;
	stream = bpf_iter_create(link);
	if (stream < 0)
		return -errno;
	while ((n = read(stream, bytes, sizeof(bytes))) != 0) {
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		total += (size_t)n;
	}
	*ret = total;
	return 0;
}

int policy_tag(const struct policy_fds *fds, size_t *ret_listeners)
{
	/* First the new ones, then the old: so none is missed. */
	int r = set_tagging(fds, POLICY_TAG_ALL);

	if (r < 0)
		return r;
	return walk_listeners(fds, ret_listeners);
}

int policy_tag_asked(const struct policy_fds *fds)
{
	size_t none;
	int r = set_tagging(fds, POLICY_TAG_ASKED);

	return r < 0 ? r : walk_listeners(fds, &none);
}

void policy_tag_no_more(const struct policy_fds *fds)
{
	set_tagging(fds, POLICY_TAG_NONE);
}
