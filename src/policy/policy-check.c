/* SPDX-License-Identifier: MIT */
/* What is legal in a policy and surely not meant. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "policy-cover.h"
#include "policy-reader.h"

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

static void check_units(struct policy_reader *reader, const struct policy_rule *rule)
{
	const struct match_program *program = &rule->selector.program;

	for (__u32 i = 0; i < program->n_values; i++) {
		const char *name;

		if (program->clauses[program->clause_of[i]].kind != MATCH_UNIT)
			continue;
		name = rule->selector.text + program->values[i].number;
		if (!is_unit_known(name))
			warn(reader, rule, "unit: '%s' is not known to this machine's systemd",
			     name);
	}
}

void policy_check(struct policy_reader *reader)
{
	/* Without systemd there is nobody to know units. */
	bool has_systemd = access("/usr/lib/systemd/system", F_OK) == 0 ||
			   access("/lib/systemd/system", F_OK) == 0;

	for (size_t i = 0; i < reader->n_drafts; i++) {
		const struct policy_draft *draft = reader->drafts[i];

		if (draft->broken)
			continue;
		check_reach(reader, i);
		check_settings(reader, &draft->rule);
		if (has_systemd)
			check_units(reader, &draft->rule);
	}
	if (reader->n_drafts == 0 && !reader->has_errors)
		policy_note(reader, 0, 0, false, "there is no rule in it: nothing would be set");
}
