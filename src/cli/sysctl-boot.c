/* SPDX-License-Identifier: MIT */
/* tcpkeep sysctl: what holds after a boot. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/number.h"
#include "cli.h"
#include "keepalive/rooted.h"
#include "keepalive/sysctl-conf.h"
#include "output/colour.h"
#include "sysctl-row.h"

/* Read by sysctl(8) of procps after all of sysctl.d; by systemd only where sysctl.d has a link to
 * it. */
#define SYSCTL_CONF "/etc/sysctl.conf"

#define SHOWN_MAX 32

/* The old file is no part of tcpkeep_persist_foreach(): systemd-sysctl does not know it. */
static int foreach_in_sysctl_conf(int (*fn)(const struct tcpkeep_persisted *persisted,
					    void *userdata),
				  void *userdata)
{
	_cleanup_free_ char *text = NULL;
	struct sysctl_conf_reader reader;
	struct sysctl_conf_line line;
	size_t len;
	int r;

	r = rooted_read("", SYSCTL_CONF, &text, &len);
	/* Missing, or something that holds no lines: /dev/null, a directory. */
	if (r == -ENOENT || r == -EINVAL || r == -EISDIR)
		return 0;
	if (r < 0)
		return r;
	sysctl_conf_start(&reader, text, len);
	while (sysctl_conf_next(&reader, &line)) {
		_cleanup_free_ char *value = NULL;

		if (!line.value || !line.fields)
			continue;
		value = strndup(line.value, line.value_len);
		if (!value)
			return -ENOMEM;
		for (size_t i = 0; i < SYSCTL_VALUES; i++) {
			struct tcpkeep_persisted persisted = {
				SYSCTL_CONF, line.number, sysctl_values[i].field, value, false,
			};

			if (!(line.fields & sysctl_values[i].field))
				continue;
			r = fn(&persisted, userdata);
			if (r != 0)
				return r;
		}
	}
	return 0;
}

/* ------------------------------------------------------------------------------------ text */

struct printing {
	const struct tcpkeep_sysctls *now;
	bool any;
	bool in_sysctl_conf;
};

static bool holds_now(const struct printing *p, const struct tcpkeep_persisted *persisted)
{
	int64_t value;

	if (number_parse(persisted->value, strlen(persisted->value), INT32_MIN, INT32_MAX, &value) <
	    0)
		return false;
	for (size_t i = 0; i < SYSCTL_VALUES; i++)
		if (sysctl_values[i].field == persisted->field)
			return value == sysctl_value_in(&sysctl_values[i], p->now);
	return false;
}

static void print_verdict(const struct printing *p, const struct tcpkeep_persisted *persisted)
{
	enum colour shade = COLOUR_NONE;
	const char *words = "holds";

	if (p->in_sysctl_conf) {
		words = "applied last by 'sysctl --system'";
		shade = COLOUR_WARN;
	} else if (!persisted->wins) {
		words = "overridden";
		shade = COLOUR_DIM;
	} else if (!holds_now(p, persisted)) {
		words = "holds; another value now";
		shade = COLOUR_WARN;
	}
	printf("%s%s%s\n", colour(shade), words, colour(COLOUR_NONE));
}

static int print_persisted(const struct tcpkeep_persisted *persisted, void *userdata)
{
	struct printing *p = userdata;
	char path[64], value[SHOWN_MAX], place[80], setting[64];

	if (!p->any)
		printf("\n%sAt boot%s these files set, in this order:\n", colour(COLOUR_BOLD),
		       colour(COLOUR_NONE));
	p->any = true;
	escape_text(persisted->path, strlen(persisted->path), path, sizeof(path));
	escape_text(persisted->value, strlen(persisted->value), value, sizeof(value));
	snprintf(place, sizeof(place), "%s:%u", path, persisted->line);
	for (size_t i = 0; i < SYSCTL_VALUES; i++)
		if (sysctl_values[i].field == persisted->field)
			snprintf(setting, sizeof(setting), "%s = %s", sysctl_values[i].word, value);
	printf("  %-40s  %-16s  ", place, setting);
	print_verdict(p, persisted);
	return 0;
}

void sysctl_boot_print(const struct tcpkeep_sysctls *now)
{
	struct printing p = {.now = now};
	struct tcpkeep_error error;
	int r;

	r = tcpkeep_persist_foreach("", print_persisted, &p, &error);
	if (r < 0)
		say_warning("%s", error.message);
	p.in_sysctl_conf = true;
	r = foreach_in_sysctl_conf(print_persisted, &p);
	if (r < 0)
		say_warning(SYSCTL_CONF ": cannot be read: %s", strerror(-r));
	if (!p.any)
		printf("\n%sAt boot%s no file in sysctl.d sets them; '--persist' writes one.\n",
		       colour(COLOUR_BOLD), colour(COLOUR_NONE));
}

/* ------------------------------------------------------------------------------------ JSON */

static int json_persisted(const struct tcpkeep_persisted *persisted, void *userdata)
{
	struct json *json = userdata;

	json_begin_object(json, NULL);
	json_string(json, "path", persisted->path);
	json_uint(json, "line", persisted->line);
	json_string(json, "key", sysctl_conf_key(persisted->field));
	json_string(json, "value", persisted->value);
	json_bool(json, "wins", persisted->wins);
	json_end_object(json);
	return 0;
}

void sysctl_boot_json(struct json *json)
{
	struct tcpkeep_error error;
	int r;

	json_begin_array(json, "boot");
	r = tcpkeep_persist_foreach("", json_persisted, json, &error);
	if (r < 0)
		say_warning("%s", error.message);
	foreach_in_sysctl_conf(json_persisted, json);
	json_end_array(json);
}

/* --------------------------------------------------------------------------------- warnings */

struct checking {
	const struct tcpkeep_settings *wanted;
	bool in_sysctl_conf;
};

static bool says_the_same(const struct tcpkeep_persisted *persisted,
			  const struct tcpkeep_settings *wanted)
{
	struct tcpkeep_sysctls sysctls = {wanted->time_s, wanted->intvl_s, wanted->probes};
	int64_t value;

	if (number_parse(persisted->value, strlen(persisted->value), INT32_MIN, INT32_MAX, &value) <
	    0)
		return false;
	for (size_t i = 0; i < SYSCTL_VALUES; i++)
		if (sysctl_values[i].field == persisted->field)
			return value == sysctl_value_in(&sysctl_values[i], &sysctls);
	return false;
}

static int warn_persisted(const struct tcpkeep_persisted *persisted, void *userdata)
{
	const struct checking *c = userdata;
	char path[128], value[SHOWN_MAX];

	if (!(persisted->field & c->wanted->fields) || says_the_same(persisted, c->wanted))
		return 0;
	if (!c->in_sysctl_conf &&
	    (!persisted->wins || strcmp(persisted->path, TCPKEEP_PERSIST_FILE) == 0))
		return 0;
	escape_text(persisted->path, strlen(persisted->path), path, sizeof(path));
	escape_text(persisted->value, strlen(persisted->value), value, sizeof(value));
	if (c->in_sysctl_conf)
		say_warning(
			"%s:%u sets %s = %s, which 'sysctl --system' applies last; remove that line",
			path, persisted->line, sysctl_conf_key(persisted->field), value);
	else
		say_warning("%s:%u overrides " TCPKEEP_PERSIST_FILE
			    " at boot: %s = %s; remove that line",
			    path, persisted->line, sysctl_conf_key(persisted->field), value);
	return 0;
}

void sysctl_boot_warn(const struct tcpkeep_settings *wanted)
{
	struct checking c = {.wanted = wanted};
	struct tcpkeep_error error;
	int r;

	r = tcpkeep_persist_foreach("", warn_persisted, &c, &error);
	if (r < 0)
		say_warning("%s", error.message);
	c.in_sysctl_conf = true;
	foreach_in_sysctl_conf(warn_persisted, &c);
}
