/* SPDX-License-Identifier: MIT */
#include "policy-compile.h"

#include <errno.h>
#include <string.h>

#include "base/escape.h"
#include "base/macro.h"
#include "keepalive/error.h"

_Static_assert(POLICY_SET_RULES == POLICY_RULES_MAX, "a bit for each rule");
_Static_assert(POLICY_RULE_NAME == POLICY_NAME_MAX, "one name");
_Static_assert(POLICY_FIELD_ON == TCPKEEP_ON && POLICY_FIELD_TIME == TCPKEEP_TIME &&
		       POLICY_FIELD_INTVL == TCPKEEP_INTVL &&
		       POLICY_FIELD_PROBES == TCPKEEP_PROBES &&
		       POLICY_FIELD_USER_TIMEOUT == TCPKEEP_USER_TIMEOUT,
	       "the fields of the kernel side and of the library are one");
_Static_assert((int)POLICY_ACTION_DEFAULT == (int)POLICY_DEFAULT &&
		       (int)POLICY_ACTION_ENFORCE == (int)POLICY_ENFORCE &&
		       (int)POLICY_ACTION_LEAVE == (int)POLICY_LEAVE,
	       "the modes of the kernel side and of the rules are one");

/* What a rule may ask of a connection that is being made. */
static const unsigned needs_of[] = {
	[MATCH_LOCAL] = 0,
	[MATCH_PEER] = 0,
	[MATCH_DIRECTION] = 0,
	[MATCH_UID] = POLICY_NEEDS_USER,
	[MATCH_PROGRAM] = POLICY_NEEDS_PROGRAM,
	[MATCH_CGROUP] = POLICY_NEEDS_CGROUP,
	[MATCH_UNIT] = POLICY_NEEDS_CGROUP,
	[MATCH_NETNS] = POLICY_NEEDS_NETNS,
};

static int check_kinds(struct policy_compiler *compiler, const struct policy_rule *rule)
{
	static const char *const other[] = {
		[MATCH_STATE] = "state",
		[MATCH_KEEPALIVE] = "keepalive",
		[MATCH_SILENT] = "silent",
		[MATCH_PID] = "pid",
	};
	const struct match_program *program = &rule->selector.program;
	char shown[POLICY_NAME_MAX * 2];

	for (__u32 i = 0; i < program->n_clauses; i++) {
		__u8 kind = program->clauses[i].kind;

		if (kind < ARRAY_SIZE(other) && other[kind])
			return error_set(
				compiler->error, -EINVAL,
				"rule '%s': %s is nothing that a new connection has; use "
				"program, user, unit, cgroup, local, peer, direction, "
				"netns",
				escape_text(rule->name, strlen(rule->name), shown, sizeof(shown)),
				other[kind]);
		compiler->set->needs |= needs_of[kind];
	}
	return 0;
}

static struct policy_action action_of(const struct policy_rule *rule)
{
	const struct tcpkeep_settings *settings = &rule->settings;

	return (struct policy_action){
		.fields = (__u8)settings->fields,
		.mode = (__u8)rule->mode,
		.on = settings->on,
		.time_s = (__u16)settings->time_s,
		.intvl_s = (__u16)settings->intvl_s,
		.probes = (__u8)settings->probes,
		.user_timeout_ms = (__u32)settings->user_timeout_ms,
	};
}

int policy_compile(const struct policy *policy, const struct policy_names *names,
		   struct policy_set *set, struct tcpkeep_error *ret_error)
{
	static const struct policy_names none = {0};
	struct policy_compiler compiler = {policy, names ? names : &none, set, ret_error};
	int r;

	if (policy->n_rules > POLICY_SET_RULES)
		return error_set(ret_error, -E2BIG,
				 "a policy has %zu rules; %d are possible: join those that have "
				 "the same settings",
				 policy->n_rules, POLICY_SET_RULES);
	set->n_rules = (__u32)policy->n_rules;
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		r = check_kinds(&compiler, rule);
		if (r < 0)
			return r;
		policy_bit_set(&set->present, i);
		set->rule[i] = rule->selector.program;
		set->action[i] = action_of(rule);
		if (rule->mode == POLICY_ENFORCE)
			set->needs |= POLICY_ENFORCES;
		memcpy(set->name[i], rule->name, strnlen(rule->name, POLICY_RULE_NAME - 1));
	}
	r = policy_compile_names(&compiler);
	if (r < 0)
		return r;
	return policy_compile_tables(&compiler);
}
