/* SPDX-License-Identifier: MIT */
/* `tcpkeep prove --json`: one object. */
#include <stdio.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/macro.h"
#include "output/json.h"
#include "prove-report.h"

static const char *const scenario_names[] = {[PROVE_NAT] = "nat", [PROVE_VANISH] = "vanish"};
static const char *const way_names[] = {[PROVE_WITHOUT] = "without", [PROVE_WITH] = "with"};

static void write_settings(struct json *json, const struct tcpkeep_settings *settings)
{
	json_begin_object(json, "settings");
	json_bool(json, "on", settings->on);
	json_int(json, "time_s", settings->time_s);
	json_int(json, "intvl_s", settings->intvl_s);
	json_int(json, "probes", settings->probes);
	if (settings->fields & TCPKEEP_USER_TIMEOUT)
		json_int(json, "user_timeout_ms", settings->user_timeout_ms);
	else
		json_null(json, "user_timeout_ms");
	json_end_object(json);
}

/* idiag_timer, include/uapi/linux/inet_diag.h and net/ipv4/inet_diag.c */
static void write_timer(struct json *json, const struct prove_seen *seen)
{
	static const char *const names[] = {"none", "retransmit", "keepalive", "timewait",
					    "window-probe"};
	char unknown[24];

	if (!seen->timer_known) {
		json_null(json, "timer");
	} else if (seen->timer < ARRAY_SIZE(names)) {
		json_string(json, "timer", names[seen->timer]);
	} else {
		snprintf(unknown, sizeof(unknown), "unknown(%u)", seen->timer);
		json_string(json, "timer", unknown);
	}
	json_seconds(json, "timer_s",
		     seen->timer_known && seen->timer ? seen->timer_us : TCPKEEP_NEVER);
}

static void write_program(struct json *json, const struct prove_seen *seen)
{
	json_begin_object(json, "program");
	json_bool(json, "running", !seen->exited);
	if (seen->exited && WIFEXITED(seen->status))
		json_int(json, "exit_status", WEXITSTATUS(seen->status));
	else
		json_null(json, "exit_status");
	if (seen->exited && WIFSIGNALED(seen->status))
		json_int(json, "signal", WTERMSIG(seen->status));
	else
		json_null(json, "signal");
	json_string(json, "said", seen->said[0] ? seen->said : NULL);
	json_end_object(json);
}

static void write_seen(struct json *json, const char *key, enum prove_scenario scenario,
		       const struct prove_seen *seen)
{
	json_begin_object(json, key);
	json_string(json, "outcome", prove_outcome_name(seen->outcome));
	json_uint(json, "connections", seen->connections);
	write_timer(json, seen);
	json_begin_array(json, "probes");
	for (unsigned i = 0; i < seen->n_probes; i++) {
		json_begin_object(json, NULL);
		json_seconds(json, "sent_s", seen->probes[i].sent_us);
		json_seconds(json, "answered_s", seen->probes[i].answered_us);
		json_end_object(json);
	}
	json_end_array(json);
	if (scenario == PROVE_NAT) {
		json_seconds(json, "answer_sent_s", seen->acted_us);
		json_seconds(json, "answer_arrived_s", seen->arrived_us);
		json_uint(json, "answer_sends", seen->sends);
	} else {
		json_seconds(json, "vanished_s", seen->acted_us);
		json_seconds(json, "death_s", seen->death_us);
		json_bool(json, "socket_gone", seen->socket_gone);
	}
	json_seconds(json, "closed_s", seen->closed_us);
	json_seconds(json, "watched_s", seen->watched_us);
	write_program(json, seen);
	json_end_object(json);
}

static void write_times(struct json *json, const struct prove_result *result)
{
	json_begin_array(json, "times");
	for (unsigned i = 0; i < result->n_times; i++) {
		const struct prove_time *time = &result->times[i];

		json_begin_object(json, NULL);
		json_string(json, "scenario", scenario_names[time->scenario]);
		json_string(json, "event", tcpkeep_event_name(time->kind));
		json_uint(json, "count", time->count);
		json_seconds(json, "earliest_s", time->earliest_us);
		json_seconds(json, "latest_s", time->latest_us);
		json_seconds(json, "measured_s", time->measured_us);
		json_bool(json, "agrees", time->agrees);
		json_end_object(json);
	}
	json_end_array(json);
}

void prove_print_json(const struct prove_plan *plan, const struct prove_result *result)
{
	struct utsname name;
	struct json json;

	json_init(&json, stdout);
	json_begin_object(&json, NULL);
	json_string(&json, "schema", "tcpkeep.prove/1");
	json_string(&json, "kernel", uname(&name) == 0 ? name.release : NULL);
	json_uint(&json, "hz", plan->kernel.hz);
	write_settings(&json, &plan->settings);
	json_begin_array(&json, "command");
	for (char *const *word = plan->command; word && *word; word++)
		json_string(&json, NULL, *word);
	json_end_array(&json);
	for (int scenario = 0; scenario < PROVE_SCENARIOS; scenario++) {
		json_begin_object(&json, scenario_names[scenario]);
		if (scenario == PROVE_NAT)
			json_uint(&json, "nat_timeout_s", plan->nat_timeout_s);
		for (int way = 0; way < PROVE_WAYS; way++)
			write_seen(&json, way_names[way], (enum prove_scenario)scenario,
				   &result->seen[scenario][way]);
		json_end_object(&json);
	}
	write_times(&json, result);
	json_uint(&json, "times_agree", result->n_agree);
	json_bool(&json, "kept", result->kept);
	json_bool(&json, "noticed", result->noticed);
	json_bool(&json, "proven", prove_result_is_good(result));
	json_end_object(&json);
}
