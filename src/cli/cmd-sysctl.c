/* SPDX-License-Identifier: MIT */
/* tcpkeep sysctl: the kernel's three variables, shown with their meaning, and set. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <tcpkeep.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/number.h"
#include "cli.h"
#include "output/colour.h"
#include "output/json.h"
#include "output/span.h"
#include "sysctl-row.h"

static const struct option options[] = {
	{"netns", "NAME", "those of a namespace: a name in /run/netns, or a path", OPTION_TEXT,
	 offsetof(struct sysctl_args, netns), COMPLETES_NETNS},
	{"pid", "PID", "those of the namespace that a process is in", OPTION_TEXT,
	 offsetof(struct sysctl_args, pid), COMPLETES_PIDS},
	{"all-netns", NULL, "those of every namespace, a row each", OPTION_FLAG,
	 offsetof(struct sysctl_args, all_netns), COMPLETES_NOTHING},
	{"persist", NULL, "set them at every boot, too: " TCPKEEP_PERSIST_FILE, OPTION_FLAG,
	 offsetof(struct sysctl_args, persist), COMPLETES_NOTHING},
	{"dry-run", NULL, "show what would change, and change nothing", OPTION_FLAG,
	 offsetof(struct sysctl_args, dry_run), COMPLETES_NOTHING},
};

/* ------------------------------------------------------------------------------------ usage */

static int fail_usage(const char *words)
{
	say_error("sysctl: %s", words);
	return EXIT_USAGE;
}

static int check_usage(const struct sysctl_args *args, const struct tcpkeep_settings *wanted)
{
	int targets = (args->netns != NULL) + (args->pid != NULL) + args->all_netns;

	if (targets > 1)
		return fail_usage("--netns, --pid and --all-netns exclude each other; give one");
	if (args->persist && targets > 0)
		return fail_usage(
			"--persist is for this system's boot and goes with none of --netns, --pid "
			"and --all-netns; give it alone");
	if (args->persist && !wanted->fields)
		return fail_usage(
			"--persist needs settings; write for example time=600 intvl=30 probes=5");
	if (args->dry_run && !wanted->fields)
		return fail_usage(
			"--dry-run needs settings; write for example time=600 intvl=30 probes=5");
	return EXIT_DONE;
}

/* The descriptor of the namespace that is asked for, or TCPKEEP_NETNS_OWN. */
static int open_target(const struct sysctl_args *args, int *ret)
{
	struct tcpkeep_error error;
	char shown[32];
	int64_t pid;
	int fd;

	*ret = TCPKEEP_NETNS_OWN;
	if (args->pid && number_parse(args->pid, strlen(args->pid), 1, INT32_MAX, &pid) < 0) {
		say_error("sysctl: --pid: '%s' is no process number; accepted: 1 to %d",
			  escape_text(args->pid, strlen(args->pid), shown, sizeof(shown)),
			  INT32_MAX);
		return EXIT_USAGE;
	}
	if (!args->netns && !args->pid)
		return EXIT_DONE;
	fd = args->pid ? tcpkeep_netns_open_pid((int)pid, &error)
		       : tcpkeep_netns_open(args->netns, &error);
	if (fd < 0) {
		say_error("sysctl: %s", error.message);
		/* A namespace that is not there is a plain failure; one behind a wall is not. */
		return fd == -ENOENT ? EXIT_FAILED : sysctl_exit_status(fd);
	}
	*ret = fd;
	return EXIT_DONE;
}

/* Which namespace it is, for the heading; without procfs the inode stays 0. */
static void identify(struct sysctl_row *row)
{
	struct stat own = {0}, target;

	stat("/proc/thread-self/ns/net", &own);
	row->inode = own.st_ino;
	row->own = row->netns == TCPKEEP_NETNS_OWN;
	if (!row->own && fstat(row->netns, &target) == 0) {
		row->inode = target.st_ino;
		row->own = target.st_ino == own.st_ino && target.st_dev == own.st_dev;
	}
}

/* ------------------------------------------------------------------------------------ text */

static void print_heading(const struct sysctl_args *args, const struct sysctl_row *row)
{
	char shown[64];

	printf("%sTCP keepalive", colour(COLOUR_BOLD));
	if (args->netns)
		printf(" in network namespace %s",
		       escape_text(args->netns, strlen(args->netns), shown, sizeof(shown)));
	else if (args->pid)
		printf(" in the network namespace of process %s", args->pid);
	else
		printf(" in this network namespace");
	printf("%s (net:[%llu]), for IPv4 and IPv6\n%s\n", colour(COLOUR_NONE),
	       (unsigned long long)row->inode,
	       row->dry_run ? "A dry run: nothing is written.\n" : "");
}

static void print_value(const struct sysctl_row *row, const struct sysctl_value *value)
{
	int before = sysctl_value_in(value, &row->before),
	    after = sysctl_value_in(value, &row->after);
	int usual = sysctl_default(value);
	char text[32], span[SPAN_TEXT_MAX] = "", note[32];
	bool wanted = row->wanted->fields & value->field;

	if (before == after)
		snprintf(text, sizeof(text), "%d", after);
	else
		snprintf(text, sizeof(text), "%d -> %d", before, after);
	if (value->field != TCPKEEP_PROBES && after > 0)
		span_format((uint64_t)after * 1000000, 0, span);
	if (wanted && before == after)
		snprintf(note, sizeof(note), "unchanged");
	else if (after == usual)
		snprintf(note, sizeof(note), "the default");
	else
		snprintf(note, sizeof(note), "default %d", usual);
	printf("  %-6s  %s%12s%s  %-10s  %s%-12s%s  %s%s%s\n", value->word, colour(COLOUR_BOLD),
	       text, colour(COLOUR_NONE), span,
	       after == usual ? colour(COLOUR_DIM) : colour(COLOUR_WARN), note, colour(COLOUR_NONE),
	       colour(COLOUR_DIM), value->meaning, colour(COLOUR_NONE));
}

static void print_detection(const struct sysctl_row *row)
{
	uint64_t sum_us = sysctl_row_sum_us(row), latest_us = row->detection.idle_us;
	char sum[SPAN_TEXT_MAX], latest[SPAN_TEXT_MAX];

	span_format(sum_us, 0, sum);
	span_format(latest_us, 1, latest);
	if (latest_us == TCPKEEP_NEVER)
		printf("\nA dead peer on an idle connection is %snever%s noticed.\n",
		       colour(COLOUR_BAD), colour(COLOUR_NONE));
	else if (sum_us == TCPKEEP_NEVER)
		printf("\nAn idle connection is given up after %s%s%s at the latest, %swhether its peer lives or "
		       "not%s.\n",
		       colour(COLOUR_BOLD), latest, colour(COLOUR_NONE), colour(COLOUR_BAD),
		       colour(COLOUR_NONE));
	else
		printf("\nA dead peer on an idle connection is noticed after %s%s%s (time + intvl x probes),\n"
		       "at the latest after %s: the kernel's timers run late, never early.\n",
		       colour(COLOUR_BOLD), sum, colour(COLOUR_NONE), latest);
}

static const char facts[] =
	"\nThese hold for sockets that ask for keepalive (SO_KEEPALIVE) and set no values of their own.\n"
	"A change does not move a timer that runs: open connections follow when it next fires.\n";

static void print_row(const struct sysctl_args *args, const struct sysctl_row *row)
{
	print_heading(args, row);
	for (size_t i = 0; i < SYSCTL_VALUES; i++)
		print_value(row, &sysctl_values[i]);
	print_detection(row);
	fputs(facts, stdout);
}

/* --------------------------------------------------------------------------------- the runs */

/* tcpkeep_persist_write() with its words; the result or -errno. */
static int persist(const struct sysctl_args *args, const struct tcpkeep_settings *wanted,
		   bool as_json)
{
	struct tcpkeep_error error;
	int r;

	r = tcpkeep_persist_write("", wanted, args->dry_run, &error);
	if (r < 0) {
		say_error("sysctl: --persist: %s", error.message);
		return r;
	}
	if (as_json)
		return r;
	printf("\n" TCPKEEP_PERSIST_FILE ": %s.\n", r == TCPKEEP_PERSIST_UNCHANGED
							    ? "says so already"
						    : args->dry_run ? "would be written"
								    : "written");
	return r;
}

static int run_one(const struct invocation *invocation, struct sysctl_row *row)
{
	const struct sysctl_args *args = invocation->args;
	struct tcpkeep_settings settings;
	struct json json;
	int persisted = 0;

	identify(row);
	if (args->netns && !strchr(args->netns, '/'))
		row->name = args->netns;
	sysctl_row_fill(row);
	if (row->result < 0) {
		say_error("sysctl: %s", row->error.message);
		return sysctl_exit_status(row->result);
	}
	if (!invocation->json)
		print_row(args, row);
	if (args->persist)
		persisted = persist(args, row->wanted, invocation->json);
	if (invocation->json) {
		json_init(&json, stdout);
		sysctl_row_json(&json, row);
		if (args->persist && persisted >= 0)
			json_string(&json, "persist",
				    persisted == TCPKEEP_PERSIST_UNCHANGED ? "unchanged"
									   : "written");
		if (row->own)
			sysctl_boot_json(&json);
		json_end_object(&json);
	} else if (row->own && !args->dry_run) {
		sysctl_boot_print(&row->after);
	}
	settings = sysctl_row_settings(row);
	say_settings_warnings(&settings);
	if (persisted < 0)
		return args->dry_run ? sysctl_exit_status(persisted) : EXIT_PARTLY;
	if (args->persist && !args->dry_run)
		sysctl_boot_warn(row->wanted);
	return EXIT_DONE;
}

static int run(const struct invocation *invocation)
{
	const struct sysctl_args *args = invocation->args;
	struct tcpkeep_settings wanted = {0};
	struct sysctl_row row = {.wanted = &wanted, .dry_run = args->dry_run};
	int status;

	status = parse_settings_operands(invocation, TCPKEEP_SCOPE_SYSCTL, &wanted);
	if (status != EXIT_DONE)
		return status;
	status = check_usage(args, &wanted);
	if (status != EXIT_DONE)
		return status;
	if (args->all_netns) {
		status = sysctl_all(args, &wanted, invocation->json);
		say_settings_warnings(&wanted);
		return status;
	}
	status = open_target(args, &row.netns);
	if (status == EXIT_DONE)
		status = run_one(invocation, &row);
	if (row.netns >= 0)
		cleanup_close(&row.netns);
	return status;
}

const struct command command_sysctl = {
	.name = "sysctl",
	.summary = "the kernel's three variables: what they are and mean; set them",
	.synopsis = "[time=T] [intvl=T] [probes=N] [OPTION...]",
	.about =
		"Shows net.ipv4.tcp_keepalive_{time,intvl,probes} with what they mean together, and whether\n"
		"they deviate from the kernel's defaults; with settings, sets them. Each value is read back,\n"
		"and when one of them fails the others are put back. Each network namespace (container)\n"
		"has its own three. They rule only sockets that ask for keepalive.",
	.examples = "  tcpkeep sysctl                                       show them\n"
		    "  tcpkeep sysctl time=10m intvl=30 probes=5 --dry-run  what would change\n"
		    "  tcpkeep sysctl time=10m intvl=30 probes=5 --persist  now and at every boot\n"
		    "  tcpkeep sysctl --pid 4711                            in its container\n"
		    "  tcpkeep sysctl --all-netns                           everywhere",
	.options = options,
	.n_options = sizeof(options) / sizeof(options[0]),
	.args_size = sizeof(struct sysctl_args),
	.operands = COMPLETES_SYSCTLS,
	.has_json = true,
	.run = run,
};
