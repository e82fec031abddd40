/* SPDX-License-Identifier: MIT */
#include "run-report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/errno-name.h"
#include "cli.h"
#include "output/json.h"

static uint64_t sockets_set(const struct report *report)
{
	return report->tried + report->accepted + report->listening + report->inherited;
}

static const char *plural(uint64_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

/* Why something was missed: the JSON's word and the text's. */
static const struct missed {
	const char *name;
	const char *one, *many;
} missed[REPORT_MISSED_KINDS] = {
	[REPORT_MISSED_FORBIDDEN] = {"forbidden", "call of a process that may not be looked into",
				     "calls of processes that may not be looked into"},
	[REPORT_MISSED_SHORT] = {"short", "call for which descriptors or memory were short",
				 "calls for which descriptors or memory were short"},
	[REPORT_MISSED_UNSERVED] = {"unserved", "call while the supervisor was being replaced",
				    "calls while the supervisor was being replaced"},
	[REPORT_MISSED_URING] = {"io_uring", "io_uring instance, whose sockets are not seen",
				 "io_uring instances, whose sockets are not seen"},
};

static const char *method_of(const struct report *report)
{
	return methods[report->method - 1].name;
}

/* What a method can count at all. The library is in each program; the filter sees calls and not
 * what comes of them, and no socket that is accepted; the kernel's own programs see connections,
 * and nothing that they miss. */
static const struct method_counts {
	const char *method;
	bool programs, accepted, connected, failed, seen, missed, left;
	const char *one, *many; /* that is seen */
} method_counts[] = {
	{"preload", .programs = true, .accepted = true, .connected = true, .failed = true},
	{"seccomp", .seen = true, .missed = true, .one = "call to connect or listen by TCP",
	 .many = "calls to connect or listen by TCP"},
	{"bpf", .accepted = true, .connected = true, .seen = true, .left = true,
	 .one = "TCP connection", .many = "TCP connections"},
};

static const struct method_counts *counts_of(const struct report *report)
{
	for (size_t i = 0; i < ARRAY_SIZE(method_counts); i++)
		if (strcmp(method_of(report), method_counts[i].method) == 0)
			return &method_counts[i];
	return &method_counts[0];
}

static void tell_missed(const struct report *report)
{
	if (!counts_of(report)->missed) {
		say_note("run: not seen: %s", methods[report->method - 1].misses());
		return;
	}
	for (int i = 0; i < REPORT_MISSED_KINDS; i++)
		if (report->missed[i])
			say_note("run: missed: %llu %s", (unsigned long long)report->missed[i],
				 plural(report->missed[i], missed[i].one, missed[i].many));
}

/* " (connected 3, failed 1)": as far as it is known. */
static const char *outcomes(const struct report *report, char *buf, size_t size)
{
	const struct method_counts *counts = counts_of(report);
	uint64_t known = report->connected + report->failed;
	int n;

	*buf = '\0';
	if (!counts->connected)
		return buf;
	n = snprintf(buf, size, " (connected %llu", (unsigned long long)report->connected);
	if (counts->failed)
		n += snprintf(buf + n, size - (size_t)n, ", failed %llu",
			      (unsigned long long)report->failed);
	if (counts->failed && report->tried > known)
		n += snprintf(buf + n, size - (size_t)n, ", not known %llu",
			      (unsigned long long)(report->tried - known));
	snprintf(buf + n, size - (size_t)n, ")");
	return buf;
}

static void tell_sets(const struct report *report, const char *settings)
{
	char accepted[32] = "", how[128];

	if (counts_of(report)->accepted)
		snprintf(accepted, sizeof(accepted), " accepted %llu,",
			 (unsigned long long)report->accepted);
	say_note("run: %llu %s set (%s): tried %llu%s,%s listening %llu, inherited %llu",
		 (unsigned long long)sockets_set(report),
		 plural(sockets_set(report), "socket", "sockets"), settings,
		 (unsigned long long)report->tried, outcomes(report, how, sizeof(how)), accepted,
		 (unsigned long long)report->listening, (unsigned long long)report->inherited);
}

static void tell_rest(const struct report *report, bool enforced)
{
	const struct method_counts *counts = counts_of(report);
	char refused[320] = "", in_part[48] = "", name[ERRNO_NAME_MAX], last[80];
	size_t n = 0;

	for (int i = 0; i < REPORT_ERRORS && report->errors[i].number; i++)
		n += (size_t)snprintf(refused + n, sizeof(refused) - n, "%s%u %s", n ? ", " : ": ",
				      report->errors[i].count,
				      errno_name(report->errors[i].number, name));
	if (counts->programs)
		snprintf(last, sizeof(last), "programs: %llu",
			 (unsigned long long)report->programs);
	else
		snprintf(last, sizeof(last), "seen: %llu %s", (unsigned long long)report->seen,
			 plural(report->seen, counts->one, counts->many));
	if (report->in_part)
		snprintf(in_part, sizeof(in_part), "%llu in part, ",
			 (unsigned long long)report->in_part);
	say_note("run: %s%llu left alone and %llu changed later, as the program wanted%s; "
		 "%llu %s refused%s; %s",
		 in_part, (unsigned long long)report->left_alone,
		 (unsigned long long)report->changed,
		 !enforced && report->in_part + report->left_alone + report->changed > 0
			 ? " (--enforce prevents it)"
			 : "",
		 (unsigned long long)report->refused, plural(report->refused, "option", "options"),
		 refused, last);
}

/* A daemon, for one, whose starter has ended. */
static void tell_left(const struct report *report)
{
	if (report->left > 0)
		say_note("run: %llu %s on: what %s from now on is set, and in no report",
			 (unsigned long long)report->left,
			 plural(report->left, "process goes", "processes go"),
			 plural(report->left, "it does", "they do"));
}

static bool saw_nothing(const struct report *report)
{
	return sockets_set(report) == 0 && report->seen == 0 && report->left_alone == 0 &&
	       report->changed == 0 && report->withheld == 0 && report->refused == 0;
}

/* One line, and what was missed if anything was. */
static void tell_nothing(const struct report *report)
{
	const struct method_counts *counts = counts_of(report);
	char programs[48] = "";

	if (counts->programs)
		snprintf(programs, sizeof(programs), " in %llu %s",
			 (unsigned long long)report->programs,
			 plural(report->programs, "program", "programs"));
	if (counts->missed) {
		say_note("run: no TCP socket was seen");
		tell_missed(report);
		return;
	}
	say_note("run: no TCP socket was seen%s; out of reach: %s", programs,
		 methods[report->method - 1].misses());
}

static void report_as_text(const struct report *report, const struct plan *plan)
{
	char text[TCPKEEP_SETTINGS_TEXT_MAX];

	if (saw_nothing(report)) {
		tell_nothing(report);
		tell_left(report);
		return;
	}
	tcpkeep_settings_format(&plan->settings, text, sizeof(text));
	tell_sets(report, text);
	tell_rest(report, plan->enforce);
	tell_missed(report);
	if (plan->enforce)
		say_note("run: enforced: %llu %s with which the program would have changed them %s "
			 "withheld",
			 (unsigned long long)report->withheld,
			 plural(report->withheld, "call", "calls"),
			 plural(report->withheld, "was", "were"));
	tell_left(report);
}

static void report_settings(struct json *json, const struct tcpkeep_settings *settings)
{
	json_begin_object(json, "settings");
	json_bool(json, "on", settings->on);
	if (settings->fields & TCPKEEP_TIME)
		json_int(json, "time_s", settings->time_s);
	if (settings->fields & TCPKEEP_INTVL)
		json_int(json, "intvl_s", settings->intvl_s);
	if (settings->fields & TCPKEEP_PROBES)
		json_int(json, "probes", settings->probes);
	if (settings->fields & TCPKEEP_USER_TIMEOUT)
		json_int(json, "user_timeout_ms", settings->user_timeout_ms);
	json_end_object(json);
}

static void report_as_json(const struct report *report, const struct plan *plan)
{
	const struct method_counts *counts = counts_of(report);
	struct json json;
	char name[ERRNO_NAME_MAX];

	/* Standard output is the program's. */
	json_init(&json, stderr);
	json_begin_object(&json, NULL);
	json_string(&json, "schema", "tcpkeep.run-report/1");
	report_settings(&json, &plan->settings);
	json_string(&json, "mode", plan->enforce ? "enforce" : "default");
	json_string(&json, "method", method_of(report));
	if (counts->programs)
		json_uint(&json, "programs", report->programs);
	json_uint(&json, "set", sockets_set(report));
	json_uint(&json, "tried", report->tried);
	if (counts->connected)
		json_uint(&json, "connected", report->connected);
	if (counts->failed)
		json_uint(&json, "failed", report->failed);
	if (counts->accepted)
		json_uint(&json, "accepted", report->accepted);
	json_uint(&json, "listening", report->listening);
	json_uint(&json, "inherited", report->inherited);
	json_uint(&json, "in_part", report->in_part);
	json_uint(&json, "left_alone", report->left_alone);
	json_uint(&json, "changed", report->changed);
	json_uint(&json, "withheld", report->withheld);
	json_uint(&json, "refused", report->refused);
	json_begin_object(&json, "errors");
	for (int i = 0; i < REPORT_ERRORS && report->errors[i].number; i++)
		json_uint(&json, errno_name(report->errors[i].number, name),
			  report->errors[i].count);
	json_end_object(&json);
	if (counts->seen)
		json_uint(&json, "seen", report->seen);
	if (counts->left)
		json_uint(&json, "processes_left", report->left);
	json_string(&json, "out_of_reach", methods[report->method - 1].misses());
	if (counts->missed) {
		json_begin_object(&json, "missed");
		for (int i = 0; i < REPORT_MISSED_KINDS; i++)
			json_uint(&json, missed[i].name, report->missed[i]);
		json_end_object(&json);
	}
	json_end_object(&json);
}

void run_report_print(const struct report *shared, const struct plan *plan, bool as_json)
{
	struct report report = *shared;

	/* Every program of the run may write there, also one of another user's, and still does. */
	report.method = __atomic_load_n(&shared->method, __ATOMIC_RELAXED);
	if (report.method > n_methods)
		say_error(
			"run: --report: a program has overwritten the counters: nothing is known");
	else if (report.method == 0)
		return; /* it was never entered, and why has been said */
	else if (as_json)
		report_as_json(&report, plan);
	else
		report_as_text(&report, plan);
}

int run_report_fail(int r)
{
	if (r == -EFBIG) {
		say_error("run: --report: the limit of file sizes (ulimit -f) leaves no room for "
			  "the counters; raise it or run without --report");
		return EXIT_FAILED;
	}
	say_error("run: --report: no memory for the counters: %s; try without it", strerror(-r));
	return EXIT_LACKING;
}
