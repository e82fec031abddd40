/* SPDX-License-Identifier: MIT */
/* What `tcpkeep sysctl` knows of one network namespace, for text and JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tcpkeep.h>

#include "output/json.h"

struct sysctl_args {
	const char *netns;
	const char *pid;
	bool all_netns;
	bool persist;
	bool dry_run;
};

struct sysctl_row {
	int netns; /* a descriptor, or TCPKEEP_NETNS_OWN */
	uint64_t inode;
	bool own;
	const char *name; /* NULL: none */
	const int *pids;  /* NULL: not looked for */
	size_t n_pids;

	const struct tcpkeep_settings *wanted; /* no fields: it is only shown */
	bool dry_run;

	int result; /* 0, or -errno and the words */
	struct tcpkeep_error error;
	struct tcpkeep_sysctls before, after; /* after: in a dry run what would hold */
	struct tcpkeep_detection detection;   /* with the values of after */
};

/* The three as a table: the key's word, and the value in a struct tcpkeep_sysctls. */
struct sysctl_value {
	const char *word;
	uint32_t field;
	size_t offset;
	const char *meaning;
};

#define SYSCTL_VALUES 3
extern const struct sysctl_value sysctl_values[SYSCTL_VALUES];

int sysctl_value_in(const struct sysctl_value *value, const struct tcpkeep_sysctls *sysctls);
int sysctl_default(const struct sysctl_value *value);

/* Reads, or writes and reads, what the row is about, and computes what it means. */
void sysctl_row_fill(struct sysctl_row *row);

bool sysctl_row_changes(const struct sysctl_row *row);

/* Settings that ask for keepalive, with the row's values: what warnings and predictions are about.
 */
struct tcpkeep_settings sysctl_row_settings(const struct sysctl_row *row);

/* time + intvl x probes, or TCPKEEP_NEVER where that does not describe it (zero, negative values).
 */
uint64_t sysctl_row_sum_us(const struct sysctl_row *row);

/* Begins the row's JSON object and writes its members; the caller adds its own and ends it. */
void sysctl_row_json(struct json *json, const struct sysctl_row *row);

/* The exit status for an error of the kernel's variables. */
int sysctl_exit_status(int r);

/* tcpkeep sysctl --all-netns. */
int sysctl_all(const struct sysctl_args *args, const struct tcpkeep_settings *wanted, bool as_json);

/* ---------------------------------------------------------------------------- at boot */

/* Prints or writes what the files of sysctl.d set at boot. now: the values that hold. */
void sysctl_boot_print(const struct tcpkeep_sysctls *now);
void sysctl_boot_json(struct json *json);

/* Warns of each file that overrides the fields in TCPKEEP_PERSIST_FILE at boot. */
void sysctl_boot_warn(const struct tcpkeep_settings *wanted);
