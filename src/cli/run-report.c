/* SPDX-License-Identifier: MIT */
#include "run-report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "output/json.h"

/* What setsockopt() can say; not every C library has strerrorname_np(). */
static const char *errno_name(int number, char buf[32])
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
		{EACCES, "EACCES"},   {EBADF, "EBADF"},       {EINVAL, "EINVAL"},
		{ENOBUFS, "ENOBUFS"}, {ENOMEM, "ENOMEM"},     {ENOPROTOOPT, "ENOPROTOOPT"},
		{ENOSYS, "ENOSYS"},   {ENOTSOCK, "ENOTSOCK"}, {EOPNOTSUPP, "EOPNOTSUPP"},
		{EPERM, "EPERM"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].number == number)
			return names[i].name;
	snprintf(buf, 32, "unknown(%d)", number);
	return buf;
}

static uint64_t sockets_set(const struct report *report)
{
	return report->connected + report->accepted + report->listening + report->inherited;
}

/* Why something was missed: the JSON's word and the text's. */
static const struct missed {
	const char *name;
	const char *text;
} missed[REPORT_MISSED_KINDS] = {
	[REPORT_MISSED_FORBIDDEN] = {"forbidden", "calls of processes that may not be looked into"},
	[REPORT_MISSED_SHORT] = {"short", "calls for which descriptors or memory were short"},
	[REPORT_MISSED_UNSERVED] = {"unserved", "calls while the supervisor was replaced"},
	[REPORT_MISSED_URING] = {"io_uring", "io_uring instances, whose sockets are not seen"},
};

static const char *method_of(const struct report *report)
{
	return methods[report->method - 1].name;
}

/* What a method can count at all. The library is in each program; the filter sees calls, and no
 * socket that is accepted; the kernel's own programs see connections, and nothing that they miss.
 */
static const struct method_counts {
	const char *method;
	bool programs, accepted, seen, missed;
	const char *what; /* that is seen */
} method_counts[] = {
	{"preload", .programs = true, .accepted = true},
	{"seccomp", .seen = true, .missed = true, .what = "calls to connect or listen by TCP"},
	{"bpf", .accepted = true, .seen = true, .what = "TCP connections"},
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
		fprintf(stderr, "tcpkeep: not seen: %s\n", methods[report->method - 1].misses());
		return;
	}
	for (int i = 0; i < REPORT_MISSED_KINDS; i++)
		if (report->missed[i])
			fprintf(stderr, "tcpkeep: missed: %llu %s\n",
				(unsigned long long)report->missed[i], missed[i].text);
}

static void tell_sets(const struct report *report, const char *settings)
{
	char accepted[32] = "";

	if (counts_of(report)->accepted)
		snprintf(accepted, sizeof(accepted), " accepted %llu,",
			 (unsigned long long)report->accepted);
	fprintf(stderr,
		"tcpkeep: %llu sockets set to %s: connected %llu,%s listening %llu, inherited %llu\n",
		(unsigned long long)sockets_set(report), settings,
		(unsigned long long)report->connected, accepted,
		(unsigned long long)report->listening, (unsigned long long)report->inherited);
}

static void report_as_text(const struct report *report, const struct plan *plan)
{
	char text[TCPKEEP_SETTINGS_TEXT_MAX], refused[256] = "", name[32], also[64] = "";
	const struct method_counts *counts = counts_of(report);
	size_t n = 0;

	tcpkeep_settings_format(&plan->settings, text, sizeof(text));
	for (int i = 0; i < REPORT_ERRORS && report->errors[i].number; i++)
		n += (size_t)snprintf(refused + n, sizeof(refused) - n, "%s%u %s", n ? ", " : ": ",
				      report->errors[i].count,
				      errno_name(report->errors[i].number, name));
	tell_sets(report, text);
	if (counts->programs)
		snprintf(also, sizeof(also), "programs: %llu",
			 (unsigned long long)report->programs);
	else
		snprintf(also, sizeof(also), "seen: %llu %s", (unsigned long long)report->seen,
			 counts->what);
	fprintf(stderr,
		"tcpkeep: %llu left alone, as the program wanted them; %llu options refused%s; %s\n",
		(unsigned long long)report->left_alone, (unsigned long long)report->refused,
		refused, also);
	tell_missed(report);
	if (plan->enforce)
		fprintf(stderr,
			"tcpkeep: enforced: %llu calls of the program that change them were withheld\n",
			(unsigned long long)report->withheld);
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
	char name[32];

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
	json_uint(&json, "connected", report->connected);
	if (counts->accepted)
		json_uint(&json, "accepted", report->accepted);
	json_uint(&json, "listening", report->listening);
	json_uint(&json, "inherited", report->inherited);
	json_uint(&json, "left_alone", report->left_alone);
	json_uint(&json, "withheld", report->withheld);
	json_uint(&json, "refused", report->refused);
	json_begin_object(&json, "errors");
	for (int i = 0; i < REPORT_ERRORS && report->errors[i].number; i++)
		json_uint(&json, errno_name(report->errors[i].number, name),
			  report->errors[i].count);
	json_end_object(&json);
	if (counts->seen)
		json_uint(&json, "seen", report->seen);
	if (counts->missed) {
		json_begin_object(&json, "missed");
		for (int i = 0; i < REPORT_MISSED_KINDS; i++)
			json_uint(&json, missed[i].name, report->missed[i]);
		json_end_object(&json);
	}
	json_end_object(&json);
}

void run_report_print(const struct report *report, const struct plan *plan, bool as_json)
{
	if (as_json)
		report_as_json(report, plan);
	else
		report_as_text(report, plan);
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
