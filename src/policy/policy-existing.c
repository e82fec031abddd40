/* SPDX-License-Identifier: MIT */
#include "policy-existing.h"

#include <netinet/tcp.h>

const struct policy_rule *policy_existing(const struct policy *policy, const struct socket_row *row,
					  const struct selector_owner *owner)
{
	const struct policy_rule *rule = NULL;

	if (row->state == TCP_LISTEN || row->state == TCP_CLOSE || row->state == TCP_TIME_WAIT)
		return NULL;
	for (size_t i = 0; i < policy->n_rules && !rule; i++)
		if (selector_matches(&policy->rules[i].selector, row, owner))
			rule = &policy->rules[i];
	if (!rule || rule->mode == POLICY_LEAVE)
		return NULL;
	if (rule->mode == POLICY_DEFAULT &&
	    (!(row->known & ROW_KNOWN_KEEPALIVE) || row->flags & ROW_KEEPALIVE))
		return NULL;
	return rule;
}
