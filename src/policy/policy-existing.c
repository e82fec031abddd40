/* SPDX-License-Identifier: MIT */
#include "policy-existing.h"

#include <netinet/tcp.h>

#include "sockets/change.h"

const struct policy_rule *policy_existing(const struct policy *policy, const struct socket_row *row,
					  const struct selector_owner *owner)
{
	const struct policy_rule *rule = NULL;

	/* A listener's are ruled as they are accepted. */
	if (row->state == TCP_LISTEN || row->state == TCP_CLOSE || row->state == TCP_TIME_WAIT)
		return NULL;
	for (size_t i = 0; i < policy->n_rules && !rule; i++)
		if (selector_matches(&policy->rules[i].selector, row, owner))
			rule = &policy->rules[i];
	return rule && rule->mode != POLICY_LEAVE ? rule : NULL;
}

/* What a program has written into a field that a rule of mode default would fill in. */
static uint32_t own_fields(const struct snapshot_row *row)
{
	const struct tcpkeep_effective *e = &row->effective;
	uint32_t own = 0;

	if (e->time_origin == TCPKEEP_ORIGIN_SOCKET)
		own |= TCPKEEP_TIME;
	if (e->intvl_origin == TCPKEEP_ORIGIN_SOCKET)
		own |= TCPKEEP_INTVL;
	if (e->probes_origin == TCPKEEP_ORIGIN_SOCKET)
		own |= TCPKEEP_PROBES;
	if (e->settings.fields & TCPKEEP_USER_TIMEOUT && e->settings.user_timeout_ms != 0)
		own |= TCPKEEP_USER_TIMEOUT;
	return own & e->settings.fields;
}

/* As mode enforce would. */
static void all_settings(const struct policy_rule *rule, const struct snapshot_row *row,
			 struct tcpkeep_settings *ret)
{
	*ret = rule->settings;
	if (row->socket.state == TCP_SYN_SENT)
		ret->fields &= ~(uint32_t)TCPKEEP_USER_TIMEOUT;
}

bool policy_existing_settings(const struct policy_rule *rule, const struct snapshot_row *row,
			      struct tcpkeep_settings *ret)
{
	const struct socket_row *socket = &row->socket;

	all_settings(rule, row, ret);
	if (rule->mode != POLICY_DEFAULT)
		return true;
	ret->fields &= ~own_fields(row);
	if (socket->known & ROW_KNOWN_KEEPALIVE && !(socket->flags & ROW_KEEPALIVE))
		return true;
	ret->fields = 0;
	return false;
}

bool policy_existing_keeps(const struct policy_rule *rule, const struct snapshot_row *row)
{
	struct tcpkeep_settings given, all;
	enum change_reason reason;
	struct change_kind kind;

	if (rule->mode != POLICY_DEFAULT)
		return false;
	policy_existing_settings(rule, row, &given);
	all_settings(rule, row, &all);
	all.fields &= ~given.fields;
	return change_plan_row(row, &all, &kind, &reason) == CHANGE_DONE;
}

bool policy_asks_owner(const struct policy *policy)
{
	for (size_t i = 0; i < policy->n_rules; i++)
		if (policy->rules[i].selector.needs_owner)
			return true;
	return false;
}

bool policy_asks_cgroup(const struct policy *policy)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct match_program *program = &policy->rules[i].selector.program;

		for (__u32 c = 0; c < program->n_clauses; c++)
			if (program->clauses[c].kind == MATCH_CGROUP ||
			    program->clauses[c].kind == MATCH_UNIT)
				return true;
	}
	return false;
}
