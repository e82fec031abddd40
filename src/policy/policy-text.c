/* SPDX-License-Identifier: MIT */
/* A policy in one normal form. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/put.h"
#include "policy.h"

/* A text that grows by itself; errors stay in the file. */
static void write_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', file);
		fputc(*text, file);
	}
	fputc('"', file);
}

static void write_endpoint(FILE *file, const struct match_endpoint *e)
{
	char text[PUT_ENDPOINT_MAX + 16], *at = text;
	bool ipv4 = e->prefix >= 96 && match_is_ipv4(e->address);
	bool any = e->prefix == 0 && !e->not_ipv4;
	bool ports = e->port_min != 0 || e->port_max != UINT16_MAX;

	if (ipv4) {
		at = put_ipv4(at, (const uint8_t *)&e->address[3]);
		at = put_uint(put_char(at, '/'), e->prefix - 96U);
	} else if (!any) {
		at = put_ipv6(put_char(at, '['), (const uint8_t *)e->address);
		at = put_uint(put_text(at, "]/"), e->prefix);
	}
	if (ports || any)
		at = put_uint(put_char(at, ':'), e->port_min);
	if ((ports || any) && e->port_min != e->port_max)
		at = put_uint(put_char(at, '-'), e->port_max);
	*at = '\0';
	write_string(file, text);
}

static void write_value(FILE *file, const struct selector *selector, unsigned kind,
			const union match_value *value)
{
	char number[24];

	switch (kind) {
	case MATCH_LOCAL:
	case MATCH_PEER:
		write_endpoint(file, &value->endpoint);
		break;
	case MATCH_UID:
		snprintf(number, sizeof(number), "%" PRIu64, (uint64_t)value->number);
		write_string(file, number);
		break;
	case MATCH_DIRECTION:
		write_string(file, value->number == ROW_DIRECTION_IN ? "in" : "out");
		break;
	case MATCH_CGROUP:
		/* The root of all is kept as "". */
		write_string(file,
			     selector->text[value->number] ? selector->text + value->number : "/");
		break;
	case MATCH_NETNS:
		write_string(file, selector->text + value->range.min);
		break;
	default:
		write_string(file, selector->text + value->number);
	}
}

/* Keys in one order, whichever way they were written. */
static const struct {
	const char *name;
	enum match_kind kind;
} keys[] = {
	{"program", MATCH_PROGRAM},     {"user", MATCH_UID},    {"unit", MATCH_UNIT},
	{"cgroup", MATCH_CGROUP},       {"local", MATCH_LOCAL}, {"peer", MATCH_PEER},
	{"direction", MATCH_DIRECTION}, {"netns", MATCH_NETNS},
};

static void write_clause(FILE *file, const struct selector *selector, const char *name,
			 const struct match_clause *clause)
{
	fprintf(file, "\t%s %s ", name, clause->negate ? "!=" : "=");
	if (clause->n > 1)
		fputs("{ ", file);
	for (unsigned i = 0; i < clause->n; i++) {
		if (i > 0)
			fputs(", ", file);
		write_value(file, selector, clause->kind,
			    &selector->program.values[clause->first + i]);
	}
	fputs(clause->n > 1 ? " }\n" : "\n", file);
}

static void write_settings(FILE *file, const struct tcpkeep_settings *settings)
{
	char text[TCPKEEP_SETTINGS_TEXT_MAX];

	if (!settings->fields || tcpkeep_settings_format(settings, text, sizeof(text)) < 0)
		return;
	/* "on time=60" as "on\n\ttime = 60" */
	fputc('\t', file);
	for (const char *at = text; *at; at++) {
		if (*at == ' ')
			fputs("\n\t", file);
		else if (*at == '=')
			fputs(" = ", file);
		else
			fputc(*at, file);
	}
	fputc('\n', file);
}

static void write_rule(FILE *file, const struct policy_rule *rule)
{
	const struct match_program *program = &rule->selector.program;

	fputs("rule ", file);
	write_string(file, rule->name);
	fputs(" {\n", file);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		for (__u32 j = 0; j < program->n_clauses; j++)
			if (program->clauses[j].kind == keys[i].kind)
				write_clause(file, &rule->selector, keys[i].name,
					     &program->clauses[j]);
	write_settings(file, &rule->settings);
	fprintf(file, "\tmode = \"%s\"\n}\n", policy_mode_name(rule->mode));
}

static int format(const struct policy_rule *rules, size_t n, char **ret)
{
	char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);
	bool good;

	if (!file)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		write_rule(file, &rules[i]);
	good = !ferror(file);
	if (fclose(file) != 0 || !good) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

int policy_format(const struct policy *policy, char **ret)
{
	return format(policy->rules, policy->n_rules, ret);
}

int policy_rule_format(const struct policy_rule *rule, char **ret)
{
	return format(rule, 1, ret);
}
