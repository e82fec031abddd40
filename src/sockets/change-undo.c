/* SPDX-License-Identifier: MIT */
/* From a row and what a change did to its socket to what gives back what it had. */
#include "change.h"

/*
 * What the socket had, as settings. What was the sysctl's has no way back: it becomes the value
 * that the sysctl has today, if a socket may have it.
 */
static void old_values(const struct snapshot_row *row, const struct change_kind *change,
		       struct tcpkeep_settings *ret)
{
	const struct tcpkeep_sysctls *sysctls = &row->netns->kernel.sysctls;
	const struct change_values *before = &change->before;
	struct tcpkeep_settings one;
	int time_s = before->time_s, intvl_s = before->intvl_s, probes = before->probes;

	if (row->netns->sysctls_known) {
		time_s = time_s ? time_s : sysctls->time_s;
		intvl_s = intvl_s ? intvl_s : sysctls->intvl_s;
		probes = probes ? probes : sysctls->probes;
	}
	*ret = (struct tcpkeep_settings){
		.on = before->on,
		.time_s = time_s,
		.intvl_s = intvl_s,
		.probes = probes,
		.user_timeout_ms = (int)before->user_timeout_ms,
	};
	for (uint32_t field = TCPKEEP_ON; field <= TCPKEEP_USER_TIMEOUT; field <<= 1) {
		one = *ret;
		one.fields = field;
		if (change->wanted.fields & field &&
		    tcpkeep_settings_validate(&one, TCPKEEP_SCOPE_SOCKET, NULL) == 0)
			ret->fields |= field;
	}
}

/* Do the fields have the same values in both? */
static bool agree(const struct tcpkeep_settings *a, const struct tcpkeep_settings *b,
		  uint32_t fields)
{
	struct tcpkeep_settings x = *a, y = *b;

	if ((a->fields & b->fields & fields) != fields)
		return false;
	x.fields = fields;
	y.fields = fields;
	return tcpkeep_settings_equal(&x, &y);
}

/* Does each field have its value in one or the other? */
static bool agree_each(const struct tcpkeep_settings *now, const struct tcpkeep_settings *given,
		       const struct tcpkeep_settings *old)
{
	for (uint32_t field = TCPKEEP_ON; field <= TCPKEEP_USER_TIMEOUT; field <<= 1)
		if (given->fields & field && !agree(now, given, field) && !agree(now, old, field))
			return false;
	return true;
}

/*
 * Killed between the writes to a descriptor: some of the values are there, and what was on may be
 * off for the moment that never ended (change-getfd.c).
 */
static bool is_half_done(const struct tcpkeep_settings *now, const struct tcpkeep_settings *given,
			 bool was_on, struct tcpkeep_settings *old)
{
	if (!agree_each(now, given, old))
		return false;
	if (!(given->fields & TCPKEEP_ON) && was_on && now->fields & TCPKEEP_ON && !now->on) {
		old->fields |= TCPKEEP_ON;
		old->on = true;
	}
	return true;
}

enum change_result change_plan_undo(const struct snapshot_row *row,
				    const struct change_kind *change, bool begun,
				    struct change_kind *ret, enum change_reason *ret_reason)
{
	const struct tcpkeep_settings *now = &row->effective.settings;
	struct tcpkeep_settings old, given;
	enum change_result result;
	bool ours;

	old_values(row, change, &old);
	change_values_settings(&change->wanted, &given);
	ours = begun ? is_half_done(now, &given, change->before.on, &old)
		     : agree(now, &given, given.fields);
	result = change_plan_row(row, &old, ret, ret_reason);
	if (result != CHANGE_DONE || ours)
		return result;
	*ret_reason = CHANGE_REASON_SINCE;
	return CHANGE_REFUSED;
}
