/* SPDX-License-Identifier: MIT */
/* Any text in any of the preload library's variables: values in range, and the same after being
 * written. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/cleanup.h"
#include "inject/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* NAME=value lines, the first of a name counts. */
static char *environment;
static char value[4096];

static const char *lookup(const char *name)
{
	size_t len = strlen(name);

	for (char *line = environment; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0 && line[len] == '=') {
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + len + 1, "\n"),
				 line + len + 1);
			return value;
		}
	}
	return NULL;
}

static const char *written;

static const char *lookup_written(const char *name)
{
	return strcmp(name, PLAN_VARIABLE) == 0 ? written : NULL;
}

static void check_words(const char *message)
{
	for (const char *c = message; *c; c++)
		if ((unsigned char)*c < 0x20)
			abort();
}

static void must_not_complain(const char *message)
{
	(void)message;
	abort();
}

/* The same plan without its root. */
static void check_removal(const struct plan *plan)
{
	static char text[sizeof(value)];
	struct plan left;

	if (!lookup(PLAN_VARIABLE) || *value == '\0')
		return;
	snprintf(text, sizeof(text), "%s", value);
	plan_remove_root(text);
	written = text;
	if (*text == '\0')
		return;
	plan_read(lookup_written, NULL, &left);
	if (left.root != 0 || !tcpkeep_settings_equal(&plan->settings, &left.settings) ||
	    plan->enforce != left.enforce ||
	    memcmp(&plan->report, &left.report, sizeof(plan->report)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = calloc(size + 1, 1);
	char again[PLAN_TEXT_MAX];
	struct plan plan, second;

	if (!text)
		return 0;
	memcpy(text, data, size);
	environment = text;
	plan_read(lookup, check_words, &plan);
	if (tcpkeep_settings_validate(&plan.settings, TCPKEEP_SCOPE_SOCKET, NULL) < 0)
		abort();
	check_removal(&plan);
	if (plan_format(&plan, again, sizeof(again)) < 0)
		abort();
	if (plan.settings.fields == 0)
		return 0;
	written = again;
	plan_read(lookup_written, must_not_complain, &second);
	if (!tcpkeep_settings_equal(&plan.settings, &second.settings) ||
	    plan.enforce != second.enforce || plan.root != second.root ||
	    memcmp(&plan.report, &second.report, sizeof(plan.report)) != 0)
		abort();
	return 0;
}
