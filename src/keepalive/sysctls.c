/* SPDX-License-Identifier: MIT */
/* The kernel's three variables: read and written whole, for any network namespace. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "error.h"
#include "procfs.h"
#include "visit.h"

static const struct variable {
	const char *name; /* below net.ipv4 */
	uint32_t field;
	size_t offset;          /* in struct tcpkeep_sysctls */
	size_t settings_offset; /* in struct tcpkeep_settings */
} variables[] = {
	{"tcp_keepalive_time", TCPKEEP_TIME, offsetof(struct tcpkeep_sysctls, time_s),
	 offsetof(struct tcpkeep_settings, time_s)},
	{"tcp_keepalive_intvl", TCPKEEP_INTVL, offsetof(struct tcpkeep_sysctls, intvl_s),
	 offsetof(struct tcpkeep_settings, intvl_s)},
	{"tcp_keepalive_probes", TCPKEEP_PROBES, offsetof(struct tcpkeep_sysctls, probes),
	 offsetof(struct tcpkeep_settings, probes)},
};

#define N_VARIABLES ARRAY_SIZE(variables)

static int *slot_of(const struct variable *v, struct tcpkeep_sysctls *sysctls)
{
	return (int *)((char *)sysctls + v->offset);
}

static int value_in(const struct variable *v, const struct tcpkeep_sysctls *sysctls)
{
	return *(const int *)((const char *)sysctls + v->offset);
}

static int wanted_by(const struct variable *v, const struct tcpkeep_settings *settings)
{
	return *(const int *)((const char *)settings + v->settings_offset);
}

EXPORT void tcpkeep_sysctls_to_settings(const struct tcpkeep_sysctls *sysctls,
					struct tcpkeep_settings *ret)
{
	*ret = (struct tcpkeep_settings){
		.fields = TCPKEEP_THREE,
		.time_s = sysctls->time_s,
		.intvl_s = sysctls->intvl_s,
		.probes = sysctls->probes,
	};
}

/* ------------------------------------------------------------------------------- reading */

static int open_all(int fds[N_VARIABLES], struct tcpkeep_error *ret_error)
{
	for (size_t i = 0; i < N_VARIABLES; i++) {
		fds[i] = procfs_open_ipv4(variables[i].name, O_RDONLY, ret_error);
		if (fds[i] < 0)
			return fds[i];
	}
	return 0;
}

static void close_all(int (*fds)[N_VARIABLES])
{
	for (size_t i = 0; i < N_VARIABLES; i++)
		cleanup_close(&(*fds)[i]);
}

static int read_all(const int fds[N_VARIABLES], struct tcpkeep_sysctls *ret,
		    struct tcpkeep_error *ret_error)
{
	struct tcpkeep_sysctls sysctls;

	for (size_t i = 0; i < N_VARIABLES; i++) {
		int r;

		r = procfs_read_int(fds[i], slot_of(&variables[i], &sysctls));
		if (r < 0)
			return error_set(ret_error, r, "net.ipv4.%s: cannot be read: %s",
					 variables[i].name, strerror(-r));
	}
	*ret = sysctls;
	return 0;
}

struct reading {
	struct tcpkeep_sysctls *ret;
	struct tcpkeep_error *error;
};

static int read_inside(void *userdata)
{
	struct reading *reading = userdata;
	_cleanup_(close_all) int fds[N_VARIABLES] = {-1, -1, -1};
	int r;

	r = open_all(fds, reading->error);
	if (r < 0)
		return r;
	return read_all(fds, reading->ret, reading->error);
}

EXPORT int tcpkeep_sysctls_read(int netns, struct tcpkeep_sysctls *ret,
				struct tcpkeep_error *ret_error)
{
	struct reading reading = {ret, ret_error};

	return netns_visit(netns, read_inside, &reading, ret_error);
}

/* ------------------------------------------------------------------------------- writing */

struct writing {
	const struct tcpkeep_settings *settings;
	struct tcpkeep_sysctls before;
	struct tcpkeep_error *error;
	int fds[N_VARIABLES]; /* open for writing where a value has to change */
	bool change[N_VARIABLES];
};

/* How patient a value makes the kernel: with a negative time it never probes. */
static int patience(const struct variable *v, int value)
{
	return v->field == TCPKEEP_TIME && value < 0 ? INT_MAX : value;
}

static int write_one(const struct variable *v, int fd, int value, struct tcpkeep_error *ret_error)
{
	int now, r;

	r = procfs_write_int(fd, value);
	if (r < 0)
		return error_set(ret_error, r, "net.ipv4.%s: the kernel refuses %d: %s", v->name,
				 value, strerror(-r));
	r = procfs_read_int(fd, &now);
	if (r < 0)
		return error_set(ret_error, r, "net.ipv4.%s: cannot be read back: %s", v->name,
				 strerror(-r));
	if (now != value)
		return error_set(ret_error, -EIO, "net.ipv4.%s: %d was written and %d is read back",
				 v->name, value, now);
	return 0;
}

/* Puts back what was there, the raises first; what resists is added to the words. */
static void put_back(struct writing *w)
{
	for (int lower = 0; lower <= 1; lower++)
		for (size_t i = 0; i < N_VARIABLES; i++) {
			const struct variable *v = &variables[i];
			int before = value_in(v, &w->before), now;
			char *message, *end;

			if (!w->change[i] || procfs_read_int(w->fds[i], &now) < 0 || now == before)
				continue;
			if ((patience(v, before) < patience(v, now)) != lower ||
			    write_one(v, w->fds[i], before, NULL) == 0 || !w->error)
				continue;
			message = w->error->message;
			end = message + strlen(message);
			snprintf(end, sizeof(w->error->message) - (size_t)(end - message),
				 "; and %s could not be put back to %d: set it", v->name, before);
		}
}

/*
 * Raises come before reductions: at any moment between two writes, and for ever if the process is
 * killed there, each value is at least the smaller of old and new, and the three together are never
 * less patient with a healthy peer than both the old set and the new one.
 */
static int write_in_order(struct writing *w)
{
	int r;

	for (int lower = 0; lower <= 1; lower++)
		for (size_t i = 0; i < N_VARIABLES; i++) {
			const struct variable *v = &variables[i];
			int wanted = wanted_by(v, w->settings);

			if (!w->change[i] ||
			    (patience(v, wanted) < patience(v, value_in(v, &w->before))) != lower)
				continue;
			r = write_one(v, w->fds[i], wanted, w->error);
			if (r < 0)
				return r;
		}
	return 0;
}

/* All of them once more at the end: one file may stand for another (a bind mount). */
static int verify(struct writing *w)
{
	struct tcpkeep_sysctls after;
	int r;

	r = read_all(w->fds, &after, w->error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < N_VARIABLES; i++) {
		const struct variable *v = &variables[i];
		int expected = w->settings->fields & v->field ? wanted_by(v, w->settings)
							      : value_in(v, &w->before);

		if (value_in(v, &after) != expected)
			return error_set(
				w->error, -EIO,
				"net.ipv4.%s: %d is read back instead of %d; something else "
				"changes it",
				v->name, value_in(v, &after), expected);
	}
	return 0;
}

static int write_inside(void *userdata)
{
	struct writing *w = userdata;
	int r;

	r = open_all(w->fds, w->error);
	if (r < 0)
		return r;
	r = read_all(w->fds, &w->before, w->error);
	if (r < 0)
		return r;
	/* Every file is opened for writing before the first is written: most refusals come here. */
	for (size_t i = 0; i < N_VARIABLES; i++) {
		const struct variable *v = &variables[i];

		w->change[i] = w->settings->fields & v->field &&
			       wanted_by(v, w->settings) != value_in(v, &w->before);
		if (!w->change[i])
			continue;
		cleanup_close(&w->fds[i]);
		w->fds[i] = procfs_open_ipv4(v->name, O_RDWR, w->error);
		if (w->fds[i] < 0)
			return w->fds[i];
	}
	r = write_in_order(w);
	if (r == 0)
		r = verify(w);
	if (r < 0)
		put_back(w);
	return r;
}

EXPORT int tcpkeep_sysctls_write(int netns, const struct tcpkeep_settings *settings,
				 struct tcpkeep_sysctls *ret_before,
				 struct tcpkeep_error *ret_error)
{
	struct writing w = {.settings = settings, .error = ret_error, .fds = {-1, -1, -1}};
	int r;

	r = tcpkeep_settings_validate(settings, TCPKEEP_SCOPE_SYSCTL, ret_error);
	if (r < 0)
		return r;
	if (settings->fields == 0)
		return error_set(ret_error, -EINVAL, "no setting is given: time, intvl or probes");
	r = netns_visit(netns, write_inside, &w, ret_error);
	close_all(&w.fds);
	if (r == 0 && ret_before)
		*ret_before = w.before;
	return r;
}
