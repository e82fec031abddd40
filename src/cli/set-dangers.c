/* SPDX-License-Identifier: MIT */
/* What is dangerous in the values that the sockets will have: the words alone do not tell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/put.h"
#include "set-job.h"

/* The settings that a danger is made of. Turning keepalive on may make it of any. */
static const struct {
	enum tcpkeep_warning warning;
	uint32_t fields;
} dangers[] = {
	{TCPKEEP_WARN_ONE_PROBE, TCPKEEP_ON | TCPKEEP_PROBES | TCPKEEP_USER_TIMEOUT},
	{TCPKEEP_WARN_USER_TIMEOUT_SHORT,
	 TCPKEEP_ON | TCPKEEP_TIME | TCPKEEP_INTVL | TCPKEEP_USER_TIMEOUT},
	{TCPKEEP_WARN_USER_TIMEOUT_HUGE, TCPKEEP_USER_TIMEOUT},
	{TCPKEEP_WARN_USER_TIMEOUT_OFF, TCPKEEP_ON | TCPKEEP_USER_TIMEOUT},
	{TCPKEEP_WARN_CHATTY, TCPKEEP_ON | TCPKEEP_TIME | TCPKEEP_INTVL},
	{TCPKEEP_WARN_INTVL_OVER_TIME, TCPKEEP_ON | TCPKEEP_TIME | TCPKEEP_INTVL},
	{TCPKEEP_WARN_INTVL_ZERO, TCPKEEP_ON | TCPKEEP_INTVL},
	{TCPKEEP_WARN_PROBES_ZERO, TCPKEEP_ON | TCPKEEP_PROBES},
	{TCPKEEP_WARN_TIME_NEVER, TCPKEEP_ON | TCPKEEP_TIME},
};

static void settings_after(const struct change_kind *kind, struct tcpkeep_settings *ret)
{
	struct change_values after;

	change_kind_after(kind, &after);
	change_values_settings(&after, ret);
}

/* One danger, over all kinds: told of the one that most sockets have. */
static void say_danger(const struct set_job *job, const size_t *n_of, size_t danger)
{
	char text[256], most[256] = "", n[PUT_NUMBER_MAX * 2];
	size_t sockets = 0, largest = 0;
	bool differ = false;

	for (size_t i = 0; i < job->set.n_kinds; i++) {
		const struct change_kind *kind = &job->set.kinds[i];
		struct tcpkeep_settings after;

		if (n_of[i] == 0 || !(kind->wanted.fields & dangers[danger].fields))
			continue;
		settings_after(kind, &after);
		if (!(tcpkeep_settings_warnings(&after) & dangers[danger].warning) ||
		    tcpkeep_warning_format(dangers[danger].warning, &after, text, sizeof(text)) < 0)
			continue;
		sockets += n_of[i];
		differ |= *most && strcmp(text, most) != 0;
		if (n_of[i] <= largest)
			continue;
		largest = n_of[i];
		memcpy(most, text, sizeof(most));
	}
	if (sockets == 0)
		return;
	*put_grouped(n, sockets) = '\0';
	say_warning("%s (%s %s%s)", most, n, sockets == 1 ? "socket" : "sockets",
		    differ ? ", not all with the same values" : "");
}

void set_dangers_say(const struct set_job *job)
{
	_cleanup_free_ size_t *n_of = NULL;

	/* An undo has no choice, and a policy has been judged where it was written. */
	if (job->undo || job->policy)
		return;
	n_of = calloc(job->set.n_kinds + 1, sizeof(*n_of));
	if (!n_of)
		return;
	for (size_t i = 0; i < job->set.n; i++)
		n_of[job->set.items[i].kind]++;
	for (size_t i = 0; i < ARRAY_SIZE(dangers); i++)
		say_danger(job, n_of, i);
}
