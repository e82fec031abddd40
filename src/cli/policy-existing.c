/* SPDX-License-Identifier: MIT */
/* tcpkeep policy apply --existing: the connections that were open before, by the steps of set. */
#include "policy/policy-existing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "policy-verbs.h"
#include "set-job.h"
#include "sockets/cgroups.h"

/* What the plan needs beside the row. */
struct policy_scope {
	const struct policy *policy;
	char *cgroup; /* NULL: every socket */
	int *pids;    /* a row's owners as selectors want them; grows to the longest list */
	const char **programs;
	size_t room;
	bool starved; /* a list found no room: its sockets went without owners */
};

struct existing {
	struct set_job job; /* first: what the caller has is a pointer to it */
	struct set_args args;
	struct policy_scope scope;
	char words[JOURNAL_WORDS_MAX];
};

static bool in_scope(const struct policy_scope *scope, const char *cgroup)
{
	size_t len;

	if (!scope->cgroup)
		return true;
	len = strlen(scope->cgroup);
	return cgroup && strncmp(cgroup, scope->cgroup, len) == 0 &&
	       (cgroup[len] == '/' || cgroup[len] == '\0');
}

static int make_room(struct policy_scope *scope, size_t n)
{
	void *p;

	if (n <= scope->room)
		return 0;
	p = reallocarray(scope->pids, n, sizeof(*scope->pids));
	if (!p)
		return -ENOMEM;
	scope->pids = p;
	p = reallocarray(scope->programs, n, sizeof(*scope->programs));
	if (!p)
		return -ENOMEM;
	scope->programs = p;
	scope->room = n;
	return 0;
}

static void fill_owner(struct policy_scope *scope, const struct snapshot_row *row,
		       struct selector_owner *ret)
{
	*ret = (struct selector_owner){
		.cgroup_path = row->cgroup,
		.netns_name = row->netns->name,
		.netns_inode = row->netns->inode,
	};
	if (make_room(scope, row->n_owners) < 0) {
		scope->starved = true;
		return;
	}
	for (size_t i = 0; i < row->n_owners; i++) {
		scope->pids[i] = row->owners[i].pid;
		scope->programs[i] = row->owners[i].program;
	}
	ret->n = row->n_owners;
	ret->pids = scope->pids;
	ret->programs = scope->programs;
}

static enum change_result plan(struct set_job *job, const struct snapshot_row *row,
			       struct change_kind *ret, enum change_reason *ret_reason)
{
	struct policy_scope *scope = job->policy;
	const struct policy_rule *rule = NULL;
	struct tcpkeep_settings settings;
	struct selector_owner owner;

	if (in_scope(scope, row->cgroup)) {
		fill_owner(scope, row, &owner);
		rule = policy_existing(scope->policy, &row->socket, &owner);
	}
	*ret_reason = CHANGE_REASON_NONE;
	if (!rule)
		return CHANGE_SKIPPED;
	if (policy_existing_keeps(rule, row))
		job->kept++;
	if (!policy_existing_settings(rule, row, &settings))
		return CHANGE_SKIPPED;
	return change_plan_row(row, &settings, ret, ret_reason);
}

/* The path that the sockets' own are compared with; the root's is NULL. 0 or -errno. */
static int find_cgroup(const char *cgroup, char **ret)
{
	_cleanup_(cgroups_free) struct cgroups *cgroups = NULL;
	_cleanup_close_ int fd = -1;
	const char *path;
	uint64_t id;
	int r;

	*ret = NULL;
	if (!cgroup)
		return 0;
	r = cgroups_new(&cgroups);
	if (r < 0)
		return r;
	fd = cgroups_open(cgroups, cgroup, &id);
	if (fd < 0)
		return fd;
	path = cgroups_path(cgroups, id);
	if (!path)
		return -ENOENT;
	if (strcmp(path, "/") == 0)
		return 0;
	*ret = strdup(path);
	return *ret ? 0 : -ENOMEM;
}

/* The command, to be typed again. */
static void fill_words(const struct policy_call *call, char *buf, size_t size)
{
	const char *const words[] = {"policy", "apply", call->file ? call->file : POLICY_FILE,
				     "--existing"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		set_words_add(buf, size, words[i]);
	if (call->args->force)
		set_words_add(buf, size, "--force");
	if (!call->args->cgroup)
		return;
	set_words_add(buf, size, "--cgroup");
	set_words_add(buf, size, call->args->cgroup);
}

int policy_existing_run(const struct policy_call *call, const struct policy *policy,
			const char *cgroup, struct set_job **ret)
{
	struct existing *existing = calloc(1, sizeof(*existing));
	struct set_job *job;
	int r;

	r = existing ? find_cgroup(cgroup, &existing->scope.cgroup) : -ENOMEM;
	if (r < 0) {
		say_error(
			"policy apply: --existing: the cgroup cannot be looked up: %s; open connections keep what they have",
			strerror(-r));
		free(existing);
		return EXIT_FAILED;
	}
	job = &existing->job;
	existing->scope.policy = policy;
	existing->args =
		(struct set_args){.dry_run = call->args->dry_run, .force = call->args->force};
	fill_words(call, existing->words, sizeof(existing->words));
	*job = (struct set_job){
		.args = &existing->args,
		.who = "policy apply",
		.words = existing->words,
		.netns = TCPKEEP_NETNS_OWN,
		.all_netns = true,
		.plan = plan,
		.policy = &existing->scope,
		.wants_owners = policy_asks_owner(policy),
		.wants_cgroups = existing->scope.cgroup || policy_asks_cgroup(policy),
	};
	*ret = job;
	r = set_job_act(job);
	if (existing->scope.starved)
		say_warning(
			"policy apply: out of memory: of some open connections the program is unknown, and a rule with program may have missed them; apply again");
	return r;
}

void policy_existing_free(struct set_job **job)
{
	struct existing *existing = (struct existing *)*job;

	if (!existing)
		return;
	set_job_clear(*job);
	free(existing->scope.cgroup);
	free(existing->scope.pids);
	free(existing->scope.programs);
	free(existing);
	*job = NULL;
}
