/* SPDX-License-Identifier: MIT */
/* What is legal in a policy and surely not meant. */
#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "base/escape.h"
#include "base/macro.h"
#include "policy-cover.h"
#include "policy-reader.h"
#include "sockets/cgroups.h"

PRINTF_LIKE(3, 4)
static void warn(struct policy_reader *reader, const struct policy_rule *rule, const char *format,
		 ...)
{
	char message[512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	policy_note(reader, policy_file_of(reader, rule->path), rule->line, false,
		    "rule \"%s\": %s", rule->name, message);
}

/* Only a rule that never matches for a reason of its own, or because of those above. */
static void check_reach(struct policy_reader *reader, size_t at)
{
	const struct policy_rule *rule = &reader->drafts[at]->rule;
	const char *why = selector_contradiction(&rule->selector);

	if (why) {
		warn(reader, rule, "never matches: %s", why);
		return;
	}
	for (size_t i = 0; i < at; i++) {
		const struct policy_rule *above = &reader->drafts[i]->rule;

		if (reader->drafts[i]->broken ||
		    !selector_covers(&above->selector, &rule->selector))
			continue;
		warn(reader, rule,
		     "never matches: rule \"%s\" (%s:%u) takes all that it would; put it above that",
		     above->name, above->path, above->line);
		return;
	}
}

/* A user timeout is judged by when the first probe is given up, which is the kernel's own time and
 * intvl where the rule has none. */
static uint32_t settings_warnings(struct tcpkeep_settings *settings)
{
	static const struct tcpkeep_sysctls kernel = TCPKEEP_SYSCTLS_DEFAULT;
	struct tcpkeep_settings whole;
	uint32_t warnings = tcpkeep_settings_warnings(settings);

	tcpkeep_sysctls_to_settings(&kernel, &whole);
	tcpkeep_settings_merge(&whole, settings);
	if (!(tcpkeep_settings_warnings(&whole) & TCPKEEP_WARN_USER_TIMEOUT_SHORT))
		return warnings;
	*settings = whole;
	return warnings | TCPKEEP_WARN_USER_TIMEOUT_SHORT;
}

/* Does what the rule leaves to the kernel outweigh the time that it gives? */
static bool is_time_alone(const struct policy_rule *rule, int *ret_after_s)
{
	static const struct tcpkeep_sysctls kernel = TCPKEEP_SYSCTLS_DEFAULT;
	const struct tcpkeep_settings *settings = &rule->settings;
	int rest_s = kernel.intvl_s *
		     (settings->fields & TCPKEEP_PROBES ? settings->probes : kernel.probes);

	*ret_after_s = settings->time_s + rest_s;
	return settings->fields & TCPKEEP_TIME && settings->on &&
	       !(settings->fields & (TCPKEEP_INTVL | TCPKEEP_USER_TIMEOUT)) &&
	       rest_s > settings->time_s;
}

/* time=60 alone is twelve minutes until a dead peer is noticed: intvl and probes stay what they
 * are, other than with `run`. Of a file with many such rules it is said once. */
static void check_time_alone(struct policy_reader *reader)
{
	const struct policy_rule *first = NULL;
	char span[DURATION_TEXT_MAX], others[48] = "";
	int after_s, first_after_s = 0;
	size_t n = 0;

	for (size_t i = 0; i < reader->n_drafts; i++) {
		const struct policy_draft *draft = reader->drafts[i];

		if (draft->broken || !is_time_alone(&draft->rule, &after_s) || n++ > 0)
			continue;
		first = &draft->rule;
		first_after_s = after_s;
	}
	if (!first)
		return;
	if (n > 1)
		snprintf(others, sizeof(others), " (%zu more rule%s alike)", n - 1,
			 n == 2 ? " is" : "s are");
	warn(reader, first,
	     "time=%d without intvl: the kernel's own stays, by default 75 s, and a dead peer is noticed "
	     "after %s; write for example intvl = 10 probes = 6%s",
	     first->settings.time_s, duration_format((uint64_t)first_after_s * 1000, span), others);
}

static void check_settings(struct policy_reader *reader, const struct policy_rule *rule)
{
	const struct tcpkeep_settings *settings = &rule->settings;
	struct tcpkeep_settings judged = *settings;
	uint32_t warnings = settings_warnings(&judged);
	char words[256];

	for (uint32_t bit = 1; bit && bit <= warnings; bit <<= 1)
		if (warnings & bit && tcpkeep_warning_format((enum tcpkeep_warning)bit, &judged,
							     words, sizeof(words)) >= 0)
			warn(reader, rule, "%s", words);
	if (!(settings->fields & TCPKEEP_ON) || settings->on)
		return;
	if (rule->mode == POLICY_DEFAULT)
		warn(reader, rule,
		     "off in mode default does nothing: it is off unless the program turns it on, "
		     "which this mode leaves to it; write mode = \"enforce\", or mode = \"leave\"");
	else if (settings->fields & TCPKEEP_THREE)
		warn(reader, rule, "time, intvl and probes do nothing while keepalive is off");
}

/* Where systemd looks, systemd.unit(5), without what is made at run time from scratch. */
static const char *const unit_directories[] = {
	"/etc/systemd/system",    "/run/systemd/system",           "/run/systemd/generator",
	"/run/systemd/transient", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
	"/lib/systemd/system",
};

static bool has_unit(const char *name)
{
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(unit_directories); i++) {
		snprintf(path, sizeof(path), "%s/%s", unit_directories[i], name);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

/* Scopes and slices come and go; of a service or a socket there is a file, or one of its template.
 */
static bool is_unit_known(const char *name)
{
	const char *at = strchr(name, '@'), *dot = strrchr(name, '.');
	char template[256];

	if (strpbrk(name, "*?[") || !dot || strlen(name) >= sizeof(template) ||
	    (strcmp(dot, ".service") != 0 && strcmp(dot, ".socket") != 0))
		return true;
	if (has_unit(name))
		return true;
	if (!at || at > dot)
		return false;
	snprintf(template, sizeof(template), "%.*s%s", (int)(at + 1 - name), name, dot);
	return has_unit(template);
}

/* That of a service that is known, and does not run now, comes with it. */
static bool is_cgroup_known(const struct cgroups *cgroups, const char *path, bool has_systemd)
{
	const char *slash = strrchr(path, '/');
	_cleanup_close_ int fd = -1;
	uint64_t id;

	if (!*path)
		return true;
	fd = cgroups_open(cgroups, path, &id);
	if (fd != -ENOENT && fd != -ENOTDIR)
		return true;
	return has_systemd && slash && strstr(slash, ".service") && is_unit_known(slash + 1);
}

/* Names of ip-netns(8), with globs; what has no name is its number, or was opened by its path. */
static bool is_netns_known(const char *pattern)
{
	glob_t found = {0};
	char path[512];
	int r;

	if (strchr(pattern, '/') ||
	    (size_t)snprintf(path, sizeof(path), "/run/netns/%s", pattern) >= sizeof(path))
		return true;
	r = glob(path, GLOB_NOSORT | GLOB_NOESCAPE, NULL, &found);
	globfree(&found);
	return r != GLOB_NOMATCH;
}

/* What this machine knows of names. */
struct world {
	struct cgroups *cgroups;
	bool has_systemd; /* otherwise nobody knows units */
};

static void check_name(struct policy_reader *reader, const struct policy_rule *rule,
		       const struct world *world, unsigned kind, const union match_value *value)
{
	const char *text = rule->selector.text;
	char shown[128];

	if (kind == MATCH_UNIT && world->has_systemd && !is_unit_known(text + value->number))
		warn(reader, rule, "unit: '%s' is not known to this machine's systemd",
		     text + value->number);
	if (kind == MATCH_CGROUP && world->cgroups &&
	    !is_cgroup_known(world->cgroups, text + value->number, world->has_systemd))
		warn(reader, rule,
		     "cgroup: '%s' is not there now; until it is, no connection is in it",
		     escape_text(text + value->number, strlen(text + value->number), shown,
				 sizeof(shown)));
	if (kind == MATCH_NETNS && !value->range.max && !is_netns_known(text + value->range.min))
		warn(reader, rule,
		     "netns: no namespace is named '%s' now; until there is one, and the policy is "
		     "applied again, no connection is in it",
		     escape_text(text + value->range.min, strlen(text + value->range.min), shown,
				 sizeof(shown)));
}

static void check_names(struct policy_reader *reader, const struct policy_rule *rule,
			const struct world *world)
{
	const struct match_program *program = &rule->selector.program;

	for (__u32 i = 0; i < program->n_values; i++)
		check_name(reader, rule, world, program->clauses[program->clause_of[i]].kind,
			   &program->values[i]);
}

static void check_profiles(struct policy_reader *reader)
{
	char shown[POLICY_NAME_MAX * 4];

	for (size_t i = 0; i < reader->n_profiles; i++) {
		const struct policy_profile *profile = &reader->profiles[i];

		if (!profile->used)
			policy_note(reader, policy_file_of(reader, profile->path), profile->line,
				    false, "profile \"%s\": no rule names it",
				    escape_text(profile->name, strlen(profile->name), shown,
						sizeof(shown)));
	}
}

void policy_check(struct policy_reader *reader)
{
	_cleanup_(cgroups_free) struct cgroups *cgroups = NULL;
	struct world world = {
		.has_systemd = access("/usr/lib/systemd/system", F_OK) == 0 ||
			       access("/lib/systemd/system", F_OK) == 0,
	};

	cgroups_new(&cgroups);
	world.cgroups = cgroups;
	for (size_t i = 0; i < reader->n_drafts; i++) {
		const struct policy_draft *draft = reader->drafts[i];

		if (draft->broken)
			continue;
		check_reach(reader, i);
		check_settings(reader, &draft->rule);
		check_names(reader, &draft->rule, &world);
	}
	check_time_alone(reader);
	/* Those of a rule with an error are not known. */
	if (!reader->has_errors)
		check_profiles(reader);
	if (reader->n_drafts == 0 && !reader->has_errors)
		policy_note(reader, 0, 0, false, "there is no rule in it: nothing would be set");
}
