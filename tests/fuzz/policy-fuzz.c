/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a policy file: refused with words that may be printed, or understood, and then the
 * same rules after being written in the normal form and read again. A rule that is said to take all
 * that another would does so.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/policy-cover.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

struct told {
	unsigned lines, last;
	bool error;
};

static void tell(const struct policy_remark *remark, void *userdata)
{
	struct told *told = userdata;

	must(remark->message[0] != '\0' && remark->line <= told->lines);
	must(remark->line >= told->last || remark->line == told->lines);
	told->last = remark->line;
	told->error |= remark->is_error;
	for (const char *c = remark->message; *c; c++)
		must((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_rule(const struct policy_rule *rule)
{
	const struct match_program *program = &rule->selector.program;

	must(rule->name[0] != '\0' && memchr(rule->name, '\0', sizeof(rule->name)));
	must(tcpkeep_settings_validate(&rule->settings, TCPKEEP_SCOPE_SOCKET, NULL) == 0);
	must((rule->mode == POLICY_LEAVE) == (rule->settings.fields == 0));
	must(!(rule->settings.fields & TCPKEEP_THREE) || rule->settings.fields & TCPKEEP_ON);
	for (__u32 i = 0; i < program->n_clauses; i++)
		must(program->clauses[i].kind != MATCH_PID &&
		     program->clauses[i].kind != MATCH_STATE &&
		     program->clauses[i].kind != MATCH_KEEPALIVE &&
		     program->clauses[i].kind != MATCH_SILENT);
	must(selector_covers(&rule->selector, &rule->selector));
}

/* xorshift64: the connections of one input are always the same. */
static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void random_endpoint(uint64_t *seed, const struct match_endpoint *near, __u32 address[4],
			    __u16 *port)
{
	uint64_t at = next_random(seed);

	memset(address, 0, 4 * sizeof(*address));
	address[2] = MATCH_BE32(0xffffU);
	address[3] = (__u32)next_random(seed);
	*port = (__u16)next_random(seed);
	/* Close to what a rule names, or nothing would ever match. */
	if (near && at & 3) {
		memcpy(address, near->address, 4 * sizeof(*address));
		*port = at & 4 ? near->port_min : near->port_max;
		address[3] ^= at & 8 ? MATCH_BE32(1U) : 0;
	}
}

static const union match_value *any_value(const struct selector *selector, unsigned kind,
					  uint64_t *seed)
{
	const struct match_program *program = &selector->program;

	for (__u32 i = 0; i < program->n_clauses; i++)
		if (program->clauses[i].kind == kind)
			return &program->values[program->clauses[i].first +
						next_random(seed) % program->clauses[i].n];
	return NULL;
}

/* A connection that the narrow rule may match. */
static void check_cover(const struct selector *wide, const struct selector *narrow, uint64_t *seed)
{
	const union match_value *local = any_value(narrow, MATCH_LOCAL, seed);
	const union match_value *peer = any_value(narrow, MATCH_PEER, seed);
	const union match_value *uid = any_value(narrow, MATCH_UID, seed);
	const union match_value *program = any_value(narrow, MATCH_PROGRAM, seed);
	const union match_value *cgroup = any_value(narrow, MATCH_CGROUP, seed);
	const union match_value *netns = any_value(narrow, MATCH_NETNS, seed);
	struct socket_row row = {.state = 1, .inode = 1};
	const char *name =
		program && next_random(seed) & 3 ? narrow->text + program->number : "psql";
	const char *path = cgroup && next_random(seed) & 3 ? narrow->text + cgroup->number
							   : "/system.slice/nginx.service";
	struct selector_owner owner = {
		.pids = (const int[]){1},
		.programs = &name,
		.n = 1,
		.cgroup_path = path[0] ? path : "/",
		.netns_name = netns ? narrow->text + netns->range.min : "blue",
		.netns_inode = netns && netns->range.max ? netns->range.max : 5,
	};

	random_endpoint(seed, local ? &local->endpoint : NULL, row.local, &row.local_port);
	random_endpoint(seed, peer ? &peer->endpoint : NULL, row.peer, &row.peer_port);
	row.uid = uid && next_random(seed) & 3 ? (__u32)uid->number : 1;
	row.direction = next_random(seed) & 1 ? ROW_DIRECTION_IN : ROW_DIRECTION_OUT;
	must(selector_matches(wide, &row, &owner) || !selector_matches(narrow, &row, &owner));
}

static void check_covers(const struct policy *policy, uint64_t *seed)
{
	for (size_t i = 0; i < policy->n_rules && i < 8; i++)
		for (size_t j = 0; j < policy->n_rules && j < 8; j++)
			for (int n = 0; n < 8; n++)
				if (selector_covers(&policy->rules[i].selector,
						    &policy->rules[j].selector))
					check_cover(&policy->rules[i].selector,
						    &policy->rules[j].selector, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *once = NULL, *twice = NULL;
	struct told told = {.lines = 1};
	struct policy policy, again;
	uint64_t seed = 0x9e3779b97f4a7c15;
	int r;

	for (size_t i = 0; i < size; i++) {
		told.lines += data[i] == '\n';
		seed = (seed ^ data[i]) * 0x100000001b3 | 1;
	}
	r = policy_read_text("text", (const char *)data, size, tell, &told, &policy);
	must(r == 0 || r == -EINVAL);
	must((r == -EINVAL) == told.error);
	if (r < 0)
		return 0;
	for (size_t i = 0; i < policy.n_rules; i++)
		check_rule(&policy.rules[i]);
	check_covers(&policy, &seed);
	must(policy_format(&policy, &once) == 0);
	must(policy_read_text("again", once, strlen(once), NULL, NULL, &again) == 0);
	must(policy_format(&again, &twice) == 0);
	must(strcmp(once, twice) == 0);
	policy_free(&policy);
	policy_free(&again);
	return 0;
}
