/* SPDX-License-Identifier: MIT */
#include "sysctl-row.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli.h"
#include "process.h"

const struct sysctl_value sysctl_values[SYSCTL_VALUES] = {
	{"time", TCPKEEP_TIME, offsetof(struct tcpkeep_sysctls, time_s),
	 "silence until the first probe"},
	{"intvl", TCPKEEP_INTVL, offsetof(struct tcpkeep_sysctls, intvl_s),
	 "between probes, and from the last one to death"},
	{"probes", TCPKEEP_PROBES, offsetof(struct tcpkeep_sysctls, probes),
	 "unanswered probes until death"},
};

static const struct tcpkeep_sysctls defaults = TCPKEEP_SYSCTLS_DEFAULT;

int sysctl_value_in(const struct sysctl_value *value, const struct tcpkeep_sysctls *sysctls)
{
	return *(const int *)((const char *)sysctls + value->offset);
}

int sysctl_default(const struct sysctl_value *value)
{
	return sysctl_value_in(value, &defaults);
}

bool sysctl_row_changes(const struct sysctl_row *row)
{
	return memcmp(&row->before, &row->after, sizeof(row->before)) != 0;
}

struct tcpkeep_settings sysctl_row_settings(const struct sysctl_row *row)
{
	struct tcpkeep_settings settings;

	tcpkeep_sysctls_to_settings(&row->after, &settings);
	settings.fields |= TCPKEEP_ON;
	settings.on = true;
	return settings;
}

uint64_t sysctl_row_sum_us(const struct sysctl_row *row)
{
	const struct tcpkeep_sysctls *s = &row->after;

	if (s->time_s <= 0 || s->intvl_s <= 0 || s->probes <= 0)
		return TCPKEEP_NEVER;
	return ((uint64_t)s->time_s + (uint64_t)s->intvl_s * (uint64_t)s->probes) * 1000000;
}

static void merge(struct tcpkeep_sysctls *sysctls, const struct tcpkeep_settings *over)
{
	struct tcpkeep_settings merged;

	tcpkeep_sysctls_to_settings(sysctls, &merged);
	tcpkeep_settings_merge(&merged, over);
	*sysctls = (struct tcpkeep_sysctls){merged.time_s, merged.intvl_s, merged.probes};
}

static int fill_values(struct sysctl_row *row)
{
	int r;

	if (row->wanted->fields == 0 || row->dry_run)
		r = tcpkeep_sysctls_read(row->netns, &row->before, &row->error);
	else
		r = tcpkeep_sysctls_write(row->netns, row->wanted, &row->before, &row->error);
	row->after = row->before;
	if (r == 0 && row->wanted->fields)
		merge(&row->after, row->wanted);
	return r;
}

void sysctl_row_fill(struct sysctl_row *row)
{
	struct tcpkeep_settings on = {.fields = TCPKEEP_ON, .on = true};
	struct tcpkeep_kernel kernel;

	row->result = fill_values(row);
	if (row->result < 0)
		return;
	tcpkeep_kernel_read(row->netns, &kernel);
	kernel.sysctls = row->after;
	/* As a socket that asks and sets nothing itself: the values come from the sysctls. */
	row->result = tcpkeep_detection(&on, &kernel, &row->detection);
	if (row->result < 0)
		snprintf(row->error.message, sizeof(row->error.message), "no prediction: %s",
			 strerror(-row->result));
}

int sysctl_exit_status(int r)
{
	switch (r) {
	case -EPERM:
	case -EACCES:
	case -EROFS:
	case -ENOENT: /* no procfs, no sysctls, no IPv4 */
	case -ENXIO:
	case -EXDEV:
		return EXIT_LACKING;
	}
	return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

/* ------------------------------------------------------------------------------------ JSON */

static void json_values(struct json *json, const char *key, const struct tcpkeep_sysctls *sysctls)
{
	json_begin_object(json, key);
	for (size_t i = 0; i < SYSCTL_VALUES; i++)
		json_int(json, sysctl_values[i].word, sysctl_value_in(&sysctl_values[i], sysctls));
	json_end_object(json);
}

static void json_warnings(struct json *json, const struct sysctl_row *row)
{
	struct tcpkeep_settings settings = sysctl_row_settings(row);
	uint32_t warnings = tcpkeep_settings_warnings(&settings);
	char text[256];

	json_begin_array(json, "warnings");
	for (uint32_t bit = 1; bit && bit <= warnings; bit <<= 1)
		if (warnings & bit && tcpkeep_warning_format((enum tcpkeep_warning)bit, &settings,
							     text, sizeof(text)) >= 0)
			json_string(json, NULL, text);
	json_end_array(json);
}

static void json_processes(struct json *json, const struct sysctl_row *row)
{
	json_begin_array(json, "processes");
	for (size_t i = 0; i < row->n_pids; i++) {
		struct process process;

		if (process_read(row->pids[i], &process) < 0 || process.kernel)
			continue;
		json_begin_object(json, NULL);
		json_int(json, "pid", process.pid);
		json_string(json, "name", process.name);
		json_end_object(json);
	}
	json_end_array(json);
}

void sysctl_row_json(struct json *json, const struct sysctl_row *row)
{
	json_begin_object(json, NULL);
	json_string(json, "schema", "tcpkeep.sysctl/1");
	json_uint(json, "netns", row->inode);
	json_string(json, "name", row->name);
	json_bool(json, "own", row->own);
	if (row->result < 0) {
		json_string(json, "error", row->error.message);
	} else {
		json_null(json, "error");
		for (size_t i = 0; i < SYSCTL_VALUES; i++)
			json_int(json, sysctl_values[i].word,
				 sysctl_value_in(&sysctl_values[i],
						 row->dry_run ? &row->before : &row->after));
		json_bool(json, "default", memcmp(&row->after, &defaults, sizeof(defaults)) == 0);
		json_seconds(json, "detection_s", sysctl_row_sum_us(row));
		json_seconds(json, "detection_latest_s", row->detection.idle_us);
		json_warnings(json, row);
		if (row->wanted->fields) {
			json_bool(json, "dry_run", row->dry_run);
			json_bool(json, "changed", sysctl_row_changes(row));
			json_values(json, "before", &row->before);
			json_values(json, "after", &row->after);
		}
	}
	if (row->pids)
		json_processes(json, row);
}
