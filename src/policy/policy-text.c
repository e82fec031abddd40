/* SPDX-License-Identifier: MIT */
/* A policy in one normal form. */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
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

/* As on the command line: quotes where a word would be two. */
static void write_bare(FILE *file, const char *text)
{
	if (*text && !strpbrk(text, " ,\"'\\"))
		fputs(text, file);
	else
		write_string(file, text);
}

/* bare: with the length of a network alone. */
static void put_endpoint_value(char *at, const struct match_endpoint *e, bool bare)
{
	bool ipv4 = e->prefix >= 96 && match_is_ipv4(e->address);
	bool any = e->prefix == 0 && !e->not_ipv4;
	bool ports = e->port_min != 0 || e->port_max != UINT16_MAX;
	bool whole = bare && e->prefix == 128;

	if (ipv4)
		at = put_ipv4(at, (const uint8_t *)&e->address[3]);
	else if (!any)
		at = put_char(put_ipv6(put_char(at, '['), (const uint8_t *)e->address), ']');
	if (!any && !whole)
		at = put_uint(put_char(at, '/'), e->prefix - (ipv4 ? 96U : 0));
	if (ports || any)
		at = put_uint(put_char(at, ':'), e->port_min);
	if ((ports || any) && e->port_min != e->port_max)
		at = put_uint(put_char(at, '-'), e->port_max);
	*at = '\0';
}

#define VALUE_MAX (PUT_ENDPOINT_MAX + 16)

/* A value as text, in buf or where it is kept. */
static const char *value_text(const struct selector *selector, unsigned kind,
			      const union match_value *value, bool bare, char buf[VALUE_MAX])
{
	const struct passwd *user;

	switch (kind) {
	case MATCH_LOCAL:
	case MATCH_PEER:
		put_endpoint_value(buf, &value->endpoint, bare);
		return buf;
	case MATCH_UID:
		if (bare && value->number == POLICY_UID_UNKNOWN)
			return "(unknown)";
		user = bare ? getpwuid((uid_t)value->number) : NULL;
		if (user)
			return user->pw_name;
		snprintf(buf, VALUE_MAX, "%" PRIu64, (uint64_t)value->number);
		return buf;
	case MATCH_DIRECTION:
		return value->number == ROW_DIRECTION_IN ? "in" : "out";
	case MATCH_CGROUP:
		/* The root of all is kept as "". */
		return selector->text[value->number] ? selector->text + value->number : "/";
	case MATCH_NETNS:
		return selector->text + value->range.min;
	}
	return selector->text + value->number;
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
	char buf[VALUE_MAX];

	fprintf(file, "\t%s %s ", name, clause->negate ? "!=" : "=");
	if (clause->n > 1)
		fputs("{ ", file);
	for (unsigned i = 0; i < clause->n; i++) {
		if (i > 0)
			fputs(", ", file);
		write_string(file,
			     value_text(selector, clause->kind,
					&selector->program.values[clause->first + i], false, buf));
	}
	fputs(clause->n > 1 ? " }\n" : "\n", file);
}

static void write_bare_clause(FILE *file, const struct selector *selector, const char *name,
			      const struct match_clause *clause)
{
	char buf[VALUE_MAX];

	fprintf(file, "%s%s", name, clause->negate ? "!=" : "=");
	for (unsigned i = 0; i < clause->n; i++) {
		if (i > 0)
			fputc(',', file);
		write_bare(file,
			   value_text(selector, clause->kind,
				      &selector->program.values[clause->first + i], true, buf));
	}
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

static void write_selectors(FILE *file, const struct policy_rule *rule)
{
	const struct match_program *program = &rule->selector.program;
	bool first = true;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		for (__u32 j = 0; j < program->n_clauses; j++) {
			if (program->clauses[j].kind != keys[i].kind)
				continue;
			if (!first)
				fputc(' ', file);
			first = false;
			write_bare_clause(file, &rule->selector, keys[i].name,
					  &program->clauses[j]);
		}
}

/* A text that grows. Not open_memstream(): glibc's tells nobody that memory was short, and what is
 * left of the text passes for all of it (ferror() says no; fclose() returns 0, the text NULL). */
struct text {
	char *at;
	size_t len, room;
};

static ssize_t take_text(void *cookie, const char *bytes, size_t n)
{
	struct text *text = cookie;

	/* One for the NUL. */
	while (text->room <= text->len + n) {
		char *grown = array_grow(text->at, text->room, &text->room, 1);

		if (!grown)
			return 0;
		text->at = grown;
	}
	memcpy(text->at + text->len, bytes, n);
	text->len += n;
	return (ssize_t)n;
}

static int format(const struct policy_rule *rules, size_t n,
		  void (*write)(FILE *file, const struct policy_rule *rule), char **ret)
{
	struct text text = {.at = malloc(1), .room = 1};
	FILE *file = text.at ? fopencookie(&text, "w", (cookie_io_functions_t){.write = take_text})
			     : NULL;
	bool good = file;

	for (size_t i = 0; i < n && good; i++) {
		write(file, &rules[i]);
		good = !ferror(file);
	}
	if ((file && fclose(file) != 0) || !good) {
		free(text.at);
		return -ENOMEM;
	}
	text.at[text.len] = '\0';
	*ret = text.at;
	return 0;
}

int policy_format(const struct policy *policy, char **ret)
{
	return format(policy->rules, policy->n_rules, write_rule, ret);
}

int policy_rule_format(const struct policy_rule *rule, char **ret)
{
	return format(rule, 1, write_rule, ret);
}

int policy_selectors_format(const struct policy_rule *rule, char **ret)
{
	return format(rule, 1, write_selectors, ret);
}
