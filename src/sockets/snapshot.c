/* SPDX-License-Identifier: MIT */
#include "snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "cgroups.h"
#include "keepalive/error.h"
#include "netns-list.h"
#include "owners.h"
#include "proc-owners.h"
#include "source-bpf.h"
#include "source-diag.h"

/* A row's owners as the selectors want them; grows to the longest list there is. */
struct judged {
	int *pids;
	const char **programs;
	size_t room;
};

/* One snapshot while it is taken. */
struct snapshot {
	const struct snapshot_options *options;
	int (*fn)(const struct snapshot_row *row, void *userdata);
	void *userdata;
	struct snapshot_report report;
	struct source_bpf *bpf;
	struct getfd *getfd;
	struct owners *owners;
	struct owner_list found; /* of the row that is completed now */
	struct judged judged;
	struct cgroups *cgroups;
	const struct snapshot_netns *netns; /* the one that is walked now */
	bool judged_in_kernel;              /* match_row() has been done */
};

/* ----------------------------------------------------------------------- what belongs to a row */

static enum tcpkeep_origin origin(bool known, int own, int sysctl, int value)
{
	if (known)
		return own == 0 ? TCPKEEP_ORIGIN_SYSCTL : TCPKEEP_ORIGIN_SOCKET;
	/* getsockopt() gives the effective value: the same as the sysctl's may be either. */
	return value == sysctl ? TCPKEEP_ORIGIN_EITHER : TCPKEEP_ORIGIN_SOCKET;
}

/* The three values, from the row and the sysctls behind it. */
static void fill_three(const struct socket_row *row, const struct snapshot_netns *netns,
		       struct tcpkeep_effective *e)
{
	const struct tcpkeep_sysctls *sysctls = &netns->kernel.sysctls;
	const bool known = row->known & ROW_KNOWN_ORIGIN;
	const int own[] = {row->time_s, row->intvl_s, row->probes};
	const int behind[] = {sysctls->time_s, sysctls->intvl_s, sysctls->probes};
	int *const values[] = {&e->settings.time_s, &e->settings.intvl_s, &e->settings.probes};
	enum tcpkeep_origin *const origins[] = {&e->time_origin, &e->intvl_origin,
						&e->probes_origin};
	static const uint32_t fields[] = {TCPKEEP_TIME, TCPKEEP_INTVL, TCPKEEP_PROBES};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		bool from_sysctl = known && own[i] == 0;

		if (from_sysctl && !netns->sysctls_known)
			continue;
		*values[i] = from_sysctl ? behind[i] : own[i];
		e->settings.fields |= fields[i];
		if (known || netns->sysctls_known)
			*origins[i] = origin(known, own[i], behind[i], *values[i]);
	}
}

static void fill_effective(const struct socket_row *row, const struct snapshot_netns *netns,
			   struct tcpkeep_effective *ret)
{
	*ret = (struct tcpkeep_effective){0};
	if (row->known & ROW_KNOWN_KEEPALIVE) {
		ret->settings.fields |= TCPKEEP_ON;
		ret->settings.on = row->flags & ROW_KEEPALIVE;
	}
	if (row->known & ROW_KNOWN_USER_TIMEOUT) {
		ret->settings.fields |= TCPKEEP_USER_TIMEOUT;
		ret->settings.user_timeout_ms = (int)row->user_timeout_ms;
	}
	if (row->known & ROW_KNOWN_SETTINGS)
		fill_three(row, netns, ret);
}

static int judged_make_room(struct judged *judged, size_t n)
{
	void *p;

	if (n <= judged->room)
		return 0;
	p = reallocarray(judged->pids, n, sizeof(*judged->pids));
	if (!p)
		return -ENOMEM;
	judged->pids = p;
	p = reallocarray(judged->programs, n, sizeof(*judged->programs));
	if (!p)
		return -ENOMEM;
	judged->programs = p;
	judged->room = n;
	return 0;
}

/* 1, 0 or -ENOMEM. */
static int is_selected(struct snapshot *s, const struct snapshot_row *row)
{
	const struct selector *selector = s->options->selector;
	struct judged *judged = &s->judged;
	struct selector_owner owner = {
		.n = row->n_owners,
		.cgroup_path = row->cgroup,
		.netns_name = row->netns->name,
		.netns_inode = row->netns->inode,
	};

	if (!selector || !selector->any)
		return 1;
	if (judged_make_room(judged, row->n_owners) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < row->n_owners; i++) {
		judged->pids[i] = row->owners[i].pid;
		judged->programs[i] = row->owners[i].program;
	}
	owner.pids = judged->pids;
	owner.programs = judged->programs;
	return selector_matches(selector, &row->socket, &owner);
}

/* Completes a row, judges it and hands it on. */
static int finish_row(struct snapshot *s, struct snapshot_row *row)
{
	int r;

	s->report.rows++;
	fill_effective(&row->socket, row->netns, &row->effective);
	if (s->cgroups && row->socket.known & ROW_KNOWN_CGROUP)
		row->cgroup = cgroups_path(s->cgroups, row->socket.cgroup);
	r = is_selected(s, row);
	if (r <= 0)
		return r;
	s->report.matched++;
	return s->fn(row, s->userdata);
}

/* -------------------------------------------------------------------------------- the sources */

static int take_bpf_rows(const struct socket_row *rows, size_t n, void *userdata)
{
	struct snapshot *s = userdata;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct snapshot_row row = {.socket = rows[i], .netns = s->netns};

		if (s->owners && rows[i].cookie)
			r = owners_find(s->owners, rows[i].cookie, &s->found, &row.n_owners);
		row.owners = s->found.at;
		if (r == 0)
			r = finish_row(s, &row);
	}
	return r;
}

static int take_diag_row(struct snapshot_row *row, void *userdata)
{
	return finish_row(userdata, row);
}

static int walk_bpf(struct snapshot *s, int netns, struct tcpkeep_error *ret_error)
{
	return source_bpf_rows(s->bpf, netns, take_bpf_rows, s, ret_error);
}

static int walk_diag(struct snapshot *s, int netns, struct tcpkeep_error *ret_error)
{
	const struct source_diag source = {
		.selector = s->options->selector,
		.netns = s->netns,
		.netns_fd = netns,
		.owners = s->owners,
		.getfd = s->getfd,
	};
	struct source_diag_counts counts = {0};
	int r;

	r = source_diag_run(&source, take_diag_row, s, &counts, ret_error);
	s->report.settings_denied += counts.denied;
	s->report.settings_starved += counts.starved;
	if (counts.starved)
		s->report.starved_of = counts.starved_of;
	s->report.interrupted += counts.interrupted;
	return r;
}

static int walk_netns(const struct snapshot_netns *netns, int fd, void *userdata,
		      struct tcpkeep_error *ret_error)
{
	struct snapshot *s = userdata;

	s->netns = netns;
	return s->bpf ? walk_bpf(s, fd, ret_error) : walk_diag(s, fd, ret_error);
}

/* ------------------------------------------------------------------------------ which source */

static bool wants(const struct snapshot_options *options, enum snapshot_source source)
{
	return options->source == SNAPSHOT_AUTO || options->source == source;
}

static void say_missing(struct snapshot *s, const struct tcpkeep_error *error)
{
	size_t n = strlen(s->report.missing);

	snprintf(s->report.missing + n, sizeof(s->report.missing) - n, "%s%s", n ? "; " : "",
		 error->message);
}

/* 1: taken; 0: not to be had, and why is in report.missing. */
static int try_bpf(struct snapshot *s, bool with_owners, unsigned hz)
{
	struct tcpkeep_error error;

	if (!wants(s->options, SNAPSHOT_BPF))
		return 0;
	if (source_bpf_open(s->options->selector, with_owners, hz, &s->bpf, &error) < 0) {
		say_missing(s, &error);
		return 0;
	}
	s->report.source = SNAPSHOT_BPF;
	return 1;
}

static int try_getfd(struct snapshot *s)
{
	struct tcpkeep_error error;

	if (!wants(s->options, SNAPSHOT_DIAG_FD))
		return 0;
	if (getfd_new(&s->getfd, &error) < 0) {
		say_missing(s, &error);
		return 0;
	}
	s->report.source = SNAPSHOT_DIAG_FD;
	return 1;
}

static int choose_source(struct snapshot *s, bool with_owners, struct tcpkeep_error *ret_error)
{
	struct tcpkeep_kernel kernel;

	tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	if (try_bpf(s, with_owners, kernel.hz) || try_getfd(s))
		return 0;
	if (!wants(s->options, SNAPSHOT_DIAG))
		return error_set(ret_error, -EOPNOTSUPP, "%s", s->report.missing);
	s->report.source = SNAPSHOT_DIAG;
	return 0;
}

/* Before the sockets: whoever holds one that is born later is not told, but nobody is told wrongly.
 */
static int read_owners(struct snapshot *s, struct tcpkeep_error *ret_error)
{
	int r;

	r = owners_new(&s->owners);
	if (r < 0)
		return error_set(ret_error, r, "out of memory");
	if (s->bpf)
		return source_bpf_owners(s->bpf, s->owners, ret_error);
	return proc_owners_read(s->owners, &s->report.processes_hidden, ret_error);
}

static bool needs_cgroups(const struct snapshot_options *options)
{
	const struct selector *selector = options->selector;

	if (options->cgroups)
		return true;
	for (uint32_t i = 0; selector && i < selector->program.n_clauses; i++)
		if (selector->program.clauses[i].kind == MATCH_CGROUP ||
		    selector->program.clauses[i].kind == MATCH_UNIT)
			return true;
	return false;
}

static int run(struct snapshot *s, struct tcpkeep_error *ret_error)
{
	const struct snapshot_options *options = s->options;
	bool with_owners = options->owners || (options->selector && options->selector->needs_owner);
	int r;

	r = choose_source(s, with_owners, ret_error);
	if (r < 0)
		return r;
	/* Settings through a descriptor need to know whose. */
	if (with_owners || s->getfd) {
		r = read_owners(s, ret_error);
		if (r < 0)
			return r;
	}
	if (needs_cgroups(options) && cgroups_new(&s->cgroups) < 0)
		return error_set(ret_error, -ENOMEM, "out of memory");
	if (options->all_netns)
		return netns_list_all(walk_netns, s, &s->report.netns_hidden,
				      &s->report.netns_processes_hidden, ret_error);
	return netns_list_one(options->netns, walk_netns, s, ret_error);
}

int snapshot_run(const struct snapshot_options *options,
		 int (*fn)(const struct snapshot_row *row, void *userdata), void *userdata,
		 struct snapshot_report *ret, struct tcpkeep_error *ret_error)
{
	struct snapshot s = {.options = options, .fn = fn, .userdata = userdata};
	int r;

	r = run(&s, ret_error);
	*ret = s.report;
	source_bpf_close(&s.bpf);
	getfd_free(s.getfd);
	owners_free(s.owners);
	owner_list_clear(&s.found);
	free(s.judged.pids);
	free(s.judged.programs);
	cgroups_free(&s.cgroups);
	return r;
}
