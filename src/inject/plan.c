/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/macro.h"
#include "base/number.h"

/* A value as it is shown in a message. */
#define SHOWN_MAX 48

static void PRINTF_LIKE(2, 3) tell(plan_complain *complain, const char *format, ...)
{
	char message[320];
	va_list args;

	if (!complain)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	complain(message);
}

static bool word_is(const char *word, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(word, text, len) == 0;
}

static bool starts_with(const char *word, size_t len, const char *prefix)
{
	return len >= strlen(prefix) && memcmp(word, prefix, strlen(prefix)) == 0;
}

/* "PID/FD/NONCE". Words of ours between processes of ours: what does not fit is ignored in silence.
 */
static void read_report(const char *text, size_t len, struct plan_report *ret)
{
	const char *end = text + len;
	int64_t parts[3];

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		const char *slash = memchr(text, '/', (size_t)(end - text));
		const char *stop = slash ? slash : end;

		if (!slash != (i == ARRAY_SIZE(parts) - 1))
			return;
		if (number_parse(text, (size_t)(stop - text), i == 0, i < 2 ? INT_MAX : INT64_MAX,
				 &parts[i]) < 0)
			return;
		text = stop + 1;
	}
	*ret = (struct plan_report){(int)parts[0], (int)parts[1], (uint64_t)parts[2]};
}

/* A PID. Of another namespace it is nobody's here, or somebody else's: then nothing is met. */
static void read_root(const char *text, size_t len, int *ret)
{
	int64_t pid;

	if (number_parse(text, len, 1, INT_MAX, &pid) == 0)
		*ret = (int)pid;
}

static void read_word(const char *word, size_t len, plan_complain *complain, struct plan *plan)
{
	struct tcpkeep_error error;
	int r;

	if (word_is(word, len, "mode=enforce")) {
		plan->enforce = true;
	} else if (word_is(word, len, "mode=default")) {
		plan->enforce = false;
	} else if (starts_with(word, len, "mode=")) {
		tell(complain, PLAN_VARIABLE ": mode is default or enforce; the word is ignored");
	} else if (starts_with(word, len, "report=")) {
		read_report(word + 7, len - 7, &plan->report);
	} else if (starts_with(word, len, "root=")) {
		read_root(word + 5, len - 5, &plan->root);
	} else {
		r = tcpkeep_settings_parse_word(word, len, TCPKEEP_SCOPE_SOCKET, &plan->settings,
						&error);
		if (r < 0)
			tell(complain, PLAN_VARIABLE ": %s; the word is ignored", error.message);
	}
}

/* Values mean keepalive, as on the command line, unless the text says off. */
static void imply_on(struct plan *plan)
{
	if (plan->settings.fields == 0 || plan->settings.fields & TCPKEEP_ON)
		return;
	plan->settings.on = true;
	plan->settings.fields |= TCPKEEP_ON;
}

static const char separators[] = " ,\t\n";

static void read_own(const char *text, plan_complain *complain, struct plan *plan)
{
	for (const char *at = text + strspn(text, separators); *at;) {
		size_t len = strcspn(at, separators);

		read_word(at, len, complain, plan);
		at += len;
		at += strspn(at, separators);
	}
	imply_on(plan);
	/* Off without enforce asks for nothing: the program's own choice stands. */
	if (!plan->enforce && plan->settings.fields & TCPKEEP_ON && !plan->settings.on)
		plan->settings.fields = 0;
}

/* ------------------------------------------------------------------------ the predecessors */

/* Their variables, libkeepalive's before libdontdie's: the first that is set and good counts. */
static const struct variable {
	const char *name;
	uint32_t field;
	int max;
} variables[] = {
	{"KEEPIDLE", TCPKEEP_TIME, TCPKEEP_TIME_MAX_S},
	{"KEEPINTVL", TCPKEEP_INTVL, TCPKEEP_INTVL_MAX_S},
	{"KEEPCNT", TCPKEEP_PROBES, TCPKEEP_PROBES_MAX},
	{"DD_TCP_KEEPALIVE_TIME", TCPKEEP_TIME, TCPKEEP_TIME_MAX_S},
	{"DD_TCP_KEEPALIVE_INTVL", TCPKEEP_INTVL, TCPKEEP_INTVL_MAX_S},
	{"DD_TCP_KEEPALIVE_PROBES", TCPKEEP_PROBES, TCPKEEP_PROBES_MAX},
};

static void store(struct tcpkeep_settings *settings, uint32_t field, int value)
{
	if (field == TCPKEEP_TIME)
		settings->time_s = value;
	else if (field == TCPKEEP_INTVL)
		settings->intvl_s = value;
	else
		settings->probes = value;
	settings->fields |= field;
}

static void read_variable(const struct variable *variable, plan_lookup *lookup,
			  plan_complain *complain, struct plan *plan)
{
	const char *text = lookup(variable->name);
	char shown[SHOWN_MAX];
	int64_t value;

	if (!text || plan->settings.fields & variable->field)
		return;
	if (number_parse(text, strlen(text), 1, variable->max, &value) < 0) {
		tell(complain, "%s: '%s' is not a whole number from 1 to %d; it is ignored",
		     variable->name, escape_text(text, strlen(text), shown, sizeof(shown)),
		     variable->max);
		return;
	}
	store(&plan->settings, variable->field, (int)value);
}

/* A switch that is "0" or "1". */
static bool read_switch(const char *name, bool otherwise, plan_lookup *lookup,
			plan_complain *complain)
{
	const char *text = lookup(name);
	char shown[SHOWN_MAX];

	if (!text)
		return otherwise;
	if (strcmp(text, "0") == 0)
		return false;
	if (strcmp(text, "1") == 0)
		return true;
	tell(complain, "%s: '%s' is neither 0 nor 1; it is ignored", name,
	     escape_text(text, strlen(text), shown, sizeof(shown)));
	return otherwise;
}

static void read_predecessors(plan_lookup *lookup, plan_complain *complain, struct plan *plan)
{
	const char *keepalive = lookup("KEEPALIVE");
	bool off = keepalive && strcmp(keepalive, "off") == 0;

	plan->debug = read_switch("DD_DEBUG", false, lookup, complain);
	plan->reread = !read_switch("DD_EVAL_ENVIRONMENT_ONCE", true, lookup, complain);
	off |= !read_switch("DD_USE_KEEPALIVE", true, lookup, complain);
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		read_variable(&variables[i], lookup, complain, plan);
	if (off) {
		plan->settings.fields = 0;
	} else {
		plan->settings.on = true;
		plan->settings.fields |= TCPKEEP_ON;
	}
}

void plan_read(plan_lookup *lookup, plan_complain *complain, struct plan *ret)
{
	const char *own = lookup(PLAN_VARIABLE);
	struct plan plan = {0};

	if (own && *own != '\0')
		read_own(own, complain, &plan);
	else
		read_predecessors(lookup, complain, &plan);
	*ret = plan;
}

void plan_remove_root(char *text)
{
	size_t word;

	for (char *at = text; *at; at += word) {
		size_t before = strspn(at, separators);

		word = strcspn(at + before, separators);
		if (starts_with(at + before, word, "root=")) {
			memmove(at, at + before + word, strlen(at + before + word) + 1);
			word = 0;
		} else {
			word += before;
		}
	}
}

int plan_format(const struct plan *plan, char *buf, size_t size)
{
	char text[PLAN_TEXT_MAX];
	int n = tcpkeep_settings_format(&plan->settings, text, sizeof(text));

	if (n < 0)
		return n;
	if (plan->enforce)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " mode=enforce");
	if (plan->report.pid)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " report=%d/%d/%" PRIu64,
			      plan->report.pid, plan->report.fd, plan->report.nonce);
	if (plan->root)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " root=%d", plan->root);
	if ((size_t)n >= size)
		return -ENOBUFS;
	memcpy(buf, text, (size_t)n + 1);
	return n;
}
