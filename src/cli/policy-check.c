/* SPDX-License-Identifier: MIT */
/* tcpkeep policy check: what is wrong with a file, all of it. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "output/wrap.h"
#include "policy-verbs.h"

static void write_rules(const struct policy *policy, struct json *json)
{
	json_begin_array(json, "rules");
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		_cleanup_free_ char *text = NULL;

		json_begin_object(json, NULL);
		json_string(json, "name", rule->name);
		json_string(json, "path", rule->path);
		json_uint(json, "line", rule->line);
		json_string(json, "mode", policy_mode_name(rule->mode));
		policy_settings_json(&rule->settings, json);
		policy_rule_format(rule, &text);
		json_string(json, "text", text);
		json_end_object(json);
	}
	json_end_array(json);
}

static void write_json(const struct policy_file *file)
{
	static const struct policy none;
	struct json json;

	json_init(&json, stdout);
	json_begin_object(&json, NULL);
	json_string(&json, "schema", "tcpkeep.policy-check/1");
	json_bool(&json, "good", file->result == 0);
	json_string(&json, "error", file->result < 0 ? file->error.message : NULL);
	policy_file_json(file, &json);
	write_rules(file->result == 0 ? &file->policy : &none, &json);
	json_end_object(&json);
}

static void print_text(const struct policy_file *file)
{
	const char *name = policy_file_name(file->path);
	char shown[1024], rules[POLICY_COUNT_MAX], files[POLICY_COUNT_MAX],
		errors[POLICY_COUNT_MAX], warnings[POLICY_COUNT_MAX];

	policy_file_print(file, stdout);
	escape_text(name, strlen(name), shown, sizeof(shown));
	policy_count(file->errors, "error", errors);
	policy_count(file->warnings, "warning", warnings);
	if (file->result < 0)
		wrap_print(stdout, 4, "%s: %s, %s", shown, errors, warnings);
	else if (file->policy.n_paths > 1)
		wrap_print(stdout, 4, "%s: %s in %s, no error, %s", shown,
			   policy_count(file->policy.n_rules, "rule", rules),
			   policy_count(file->policy.n_paths, "file", files), warnings);
	else
		wrap_print(stdout, 4, "%s: %s, no error, %s", shown,
			   policy_count(file->policy.n_rules, "rule", rules), warnings);
}

int policy_verb_check(const struct policy_call *call)
{
	_cleanup_(policy_file_free) struct policy_file file;

	policy_file_read(call->file ? call->file : POLICY_FILE, &file);
	if (call->json)
		write_json(&file);
	else if (file.result == 0 || file.n_told > 0)
		print_text(&file);
	if (file.result < 0 && file.errors == 0)
		say_error("policy check: %s", file.error.message);
	return file.result < 0 ? EXIT_FAILED : EXIT_DONE;
}
