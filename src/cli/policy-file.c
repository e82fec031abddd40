/* SPDX-License-Identifier: MIT */
/* A policy file on the command line: read, and what was said of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "output/wrap.h"
#include "policy-verbs.h"
#include "policy/policy-compile.h"

static void keep(const struct policy_remark *remark, void *userdata)
{
	struct policy_file *file = userdata;
	struct policy_told *grown =
		array_grow(file->told, file->n_told, &file->room, sizeof(*grown));

	file->errors += remark->is_error;
	file->warnings += !remark->is_error;
	if (!grown)
		return;
	file->told = grown;
	grown += file->n_told;
	*grown = (struct policy_told){strdup(remark->path), strdup(remark->message), remark->line,
				      remark->is_error};
	if (grown->path && grown->message) {
		file->n_told++;
	} else {
		free(grown->path);
		free(grown->message);
	}
}

/* What is well written may still be more than the kernel side has room for. */
static void compile(struct policy_file *file)
{
	_cleanup_free_ struct policy_set *set = calloc(1, sizeof(*set));
	struct policy_remark remark = {.path = policy_file_name(file->path), .is_error = true};

	if (!set)
		return;
	file->result = policy_compile(&file->policy, NULL, set, &file->error);
	if (file->result == 0)
		return;
	file->policy.n_rules = 0;
	remark.message = file->error.message;
	keep(&remark, file);
}

void policy_file_read(const char *path, struct policy_file *file)
{
	*file = (struct policy_file){.path = path};
	file->result = policy_read(path, keep, file, &file->policy, &file->error);
	if (file->result == 0)
		compile(file);
	/* Who has none yet. */
	if (file->result == -ENOENT && strcmp(path, POLICY_FILE) == 0)
		snprintf(file->error.message, sizeof(file->error.message),
			 "there is no " POLICY_FILE
			 "; write one (man 5 tcpkeep-policy.conf has examples), "
			 "or name another file");
}

void policy_file_free(struct policy_file *file)
{
	for (size_t i = 0; i < file->n_told; i++) {
		free(file->told[i].path);
		free(file->told[i].message);
	}
	free(file->told);
	policy_free(&file->policy);
}

void policy_file_print(const struct policy_file *file, FILE *stream)
{
	char shown[1024], line[16];

	for (size_t i = 0; i < file->n_told; i++) {
		const struct policy_told *told = &file->told[i];

		escape_text(told->path, strlen(told->path), shown, sizeof(shown));
		if (told->line)
			snprintf(line, sizeof(line), ":%u", told->line);
		wrap_print(stream, 4, "%s%s: %s%s", shown, told->line ? line : "",
			   told->is_error ? "" : "warning: ", told->message);
	}
}

void policy_file_json(const struct policy_file *file, struct json *json)
{
	json_string(json, "file", file->path);
	json_begin_array(json, "files");
	for (size_t i = 0; i < file->policy.n_paths; i++)
		json_string(json, NULL, file->policy.paths[i]);
	json_end_array(json);
	json_uint(json, "errors", file->errors);
	json_uint(json, "warnings", file->warnings);
	json_begin_array(json, "remarks");
	for (size_t i = 0; i < file->n_told; i++) {
		json_begin_object(json, NULL);
		json_string(json, "path", file->told[i].path);
		if (file->told[i].line)
			json_uint(json, "line", file->told[i].line);
		else
			json_null(json, "line");
		json_string(json, "level", file->told[i].is_error ? "error" : "warning");
		json_string(json, "message", file->told[i].message);
		json_end_object(json);
	}
	json_end_array(json);
}

void policy_settings_json(const struct tcpkeep_settings *settings, struct json *json)
{
	const struct {
		const char *key;
		uint32_t field;
		int value;
	} numbers[] = {
		{"time_s", TCPKEEP_TIME, settings->time_s},
		{"intvl_s", TCPKEEP_INTVL, settings->intvl_s},
		{"probes", TCPKEEP_PROBES, settings->probes},
		{"user_timeout_ms", TCPKEEP_USER_TIMEOUT, settings->user_timeout_ms},
	};

	if (settings->fields & TCPKEEP_ON)
		json_bool(json, "on", settings->on);
	else
		json_null(json, "on");
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (settings->fields & numbers[i].field)
			json_int(json, numbers[i].key, numbers[i].value);
		else
			json_null(json, numbers[i].key);
	}
}
