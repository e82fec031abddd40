/* SPDX-License-Identifier: MIT */
/* The values of selectors, one parser for each key. The text that user space compares is kept in
 * the selector. */
#include "selector-values.h"

#include <errno.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "base/escape.h"
#include "base/macro.h"
#include "base/number.h"
#include "endpoint.h"
#include "keepalive/error.h"
#include "state.h"

/* include/linux/sched.h: TASK_COMM_LEN with the NUL. */
#define COMM_MAX 15
/* include/linux/threads.h: PID_MAX_LIMIT */
#define PID_MAX 4194304
/* (uid_t)-1 is nobody's: it stands for "no change". */
#define UID_MAX_VALUE 4294967294
/* The row's silence is 32 bits of milliseconds, as the kernel's own clock of it is: 49 days. */
#define SILENT_MAX_MS UINT32_MAX

/* "pid: 'TEXT' REASON; accepted: ..." */
static int refuse(const struct selector_value *value, int r, const char *reason)
{
	char shown[SELECTOR_SHOWN_MAX];

	return error_set_at(value->error, r, value->offset, value->len, "%s: '%s' %s; accepted: %s",
			    value->key->name,
			    escape_text(value->text, value->len, shown, sizeof(shown)), reason,
			    value->key->accepted);
}

/* The same when the reason says by itself what to write. */
static int refuse_plainly(const struct selector_value *value, int r, const char *reason)
{
	char shown[SELECTOR_SHOWN_MAX];

	return error_set_at(value->error, r, value->offset, value->len, "%s: '%s' %s",
			    value->key->name,
			    escape_text(value->text, value->len, shown, sizeof(shown)), reason);
}

static bool is(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(text, word, len) == 0;
}

static bool has(const char *text, size_t len, const char *any_of)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] && strchr(any_of, text[i]))
			return true;
	return false;
}

/* Keeps text, and after it suffix, for user space; the value is its offset. */
static int keep(struct selector *selector, const struct selector_value *value, const char *prefix,
		const char *text, size_t len, const char *suffix, __u64 *ret)
{
	size_t prefix_len = strlen(prefix), suffix_len = strlen(suffix);
	char *at = selector->text + selector->text_len;

	if (prefix_len + len + suffix_len >= sizeof(selector->text) - selector->text_len)
		return error_set_at(
			value->error, -E2BIG, value->offset, value->len,
			"%s: the names in all selectors together are longer than %d bytes; "
			"use fewer, or a glob (*)",
			value->key->name, SELECTOR_TEXT_MAX - 1);
	memcpy(at, prefix, prefix_len);
	memcpy(at + prefix_len, text, len);
	memcpy(at + prefix_len + len, suffix, suffix_len + 1);
	*ret = selector->text_len;
	selector->text_len += prefix_len + len + suffix_len + 1;
	return 0;
}

static int parse_endpoint(struct selector *selector, const struct selector_value *value,
			  union match_value *ret)
{
	int r;

	(void)selector;
	r = endpoint_parse(value->key->name, value->text, value->len, &ret->endpoint, value->error);
	if (r < 0 && value->error)
		value->error->offset += value->offset;
	return r;
}

static int parse_state(struct selector *selector, const struct selector_value *value,
		       union match_value *ret)
{
	const char *hint = NULL;
	char shown[SELECTOR_SHOWN_MAX];
	int r;

	(void)selector;
	r = state_parse(value->text, value->len, &ret->number, &hint);
	if (r == 0)
		return 0;
	if (!hint)
		return refuse(value, r, "is not a state");
	return error_set_at(value->error, r, value->offset, value->len,
			    "state: '%s' is not a state; did you mean '%s'?",
			    escape_text(value->text, value->len, shown, sizeof(shown)), hint);
}

static int parse_keepalive(struct selector *selector, const struct selector_value *value,
			   union match_value *ret)
{
	(void)selector;
	ret->number = is(value->text, value->len, "on");
	if (!ret->number && !is(value->text, value->len, "off"))
		return refuse(value, -EINVAL, "is neither on nor off");
	return 0;
}

static int parse_direction(struct selector *selector, const struct selector_value *value,
			   union match_value *ret)
{
	static const char *const names[] = {
		[ROW_DIRECTION_IN] = "in",
		[ROW_DIRECTION_OUT] = "out",
		[ROW_DIRECTION_LISTEN] = "listen",
	};

	(void)selector;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i] && is(value->text, value->len, names[i])) {
			ret->number = i;
			return 0;
		}
	return refuse(value, -EINVAL, "is not a direction");
}

static int parse_silent(struct selector *selector, const struct selector_value *value,
			union match_value *ret)
{
	struct duration_error why = {0};
	uint64_t ms;
	int r;

	(void)selector;
	r = duration_parse(value->text, value->len, DURATION_MS, &ms, &why);
	if (r < 0) {
		r = refuse(value, r, why.reason);
		if (value->error) {
			value->error->offset = value->offset + why.offset;
			value->error->length = why.length;
		}
		return r;
	}
	if (ms > SILENT_MAX_MS)
		return refuse(value, -ERANGE, "is out of range");
	if (ms == 0 && value->op == OP_LESS)
		return refuse_plainly(value, -ERANGE,
				      "is what no socket is silent for less than; "
				      "write silent<1s, for example");
	ret->range.min = value->op == OP_GREATER ? ms + 1 : value->op == OP_GREATER_EQUAL ? ms : 0;
	ret->range.max = value->op == OP_LESS         ? ms - 1
			 : value->op == OP_LESS_EQUAL ? ms
						      : UINT64_MAX;
	return 0;
}

/* A number of [min, max]. */
static int parse_number(const struct selector_value *value, int64_t min, int64_t max, __u64 *ret)
{
	int64_t number;
	int r;

	r = number_parse(value->text, value->len, min, max, &number);
	if (r < 0)
		return refuse(value, r,
			      value->len == 0 ? "is empty"
			      : r == -ERANGE  ? "is out of range"
					      : "is not a whole number");
	*ret = (__u64)number;
	return 0;
}

static int parse_pid(struct selector *selector, const struct selector_value *value,
		     union match_value *ret)
{
	selector->needs_owner = true;
	return parse_number(value, 1, PID_MAX, &ret->number);
}

/* The user's number. -ENOENT: there is none of that name. */
static int find_user(const char *name, __u64 *ret)
{
	struct passwd user, *found = NULL;
	_cleanup_free_ char *buf = NULL;
	size_t size = 1024;
	int r;

	/* An entry may be longer than sysconf() says: the room doubles until it fits. */
	do {
		char *more = realloc(buf, size *= 2);

		if (!more)
			return -ENOMEM;
		buf = more;
		r = getpwnam_r(name, &user, buf, size, &found);
	} while (r == ERANGE && size < 1024 * 1024);
	if (found) {
		*ret = user.pw_uid;
		return 0;
	}
	/* What says "no such user" differs: getpwnam(3) lists these. */
	return r == 0 || r == ENOENT || r == ESRCH || r == EBADF || r == EPERM ? -ENOENT : -r;
}

static int parse_user(struct selector *selector, const struct selector_value *value,
		      union match_value *ret)
{
	char name[256], shown[SELECTOR_SHOWN_MAX];
	int r;

	(void)selector;
	if (value->len == 0)
		return refuse(value, -EINVAL, "is empty");
	if (value->len >= sizeof(name))
		return refuse(value, -EINVAL, "is too long for a user");
	/* As chown(1) does it: a name of digits is a name first. */
	memcpy(name, value->text, value->len);
	name[value->len] = '\0';
	r = find_user(name, &ret->number);
	if (r == 0)
		return 0;
	if (strspn(name, "-0123456789") == value->len)
		return parse_number(value, 0, UID_MAX_VALUE, &ret->number);
	if (r == -ENOENT)
		return refuse_plainly(
			value, -EINVAL,
			"is not a user of this machine; users that are not known here, such as "
			"those of containers, go by their number");
	return error_set_at(value->error, r, value->offset, value->len,
			    "user: '%s' cannot be looked up: %s; write the user's number",
			    escape_text(value->text, value->len, shown, sizeof(shown)),
			    strerror(-r));
}

/* How much of a pattern a comm can match: what must match beyond 15 bytes never does. */
static size_t cut_to_comm(const char *text, size_t len)
{
	size_t fixed = 0, rest;

	while (fixed < len && text[fixed] != '*' && text[fixed] != '[')
		fixed++;
	if (fixed < COMM_MAX)
		return len;
	for (rest = COMM_MAX; rest < len && text[rest] == '*';)
		rest++;
	return rest == len ? len : COMM_MAX;
}

static int parse_program(struct selector *selector, const struct selector_value *value,
			 union match_value *ret)
{
	size_t len = cut_to_comm(value->text, value->len);

	if (len == 0)
		return refuse(value, -EINVAL, "is empty");
	if (value->text[0] == '/')
		return refuse_plainly(value, -EINVAL,
				      "is a path; a program goes by its name alone, like nginx");
	selector->needs_owner = true;
	selector->program_cut |= len < value->len;
	return keep(selector, value, "", value->text, len, "", &ret->number);
}

static int parse_cgroup(struct selector *selector, const struct selector_value *value,
			union match_value *ret)
{
	static const char mount[] = "/sys/fs/cgroup";
	const char *text = value->text, *end = text + value->len;
	size_t len = value->len;

	if (len == 0)
		return refuse(value, -EINVAL, "is empty");
	if (len >= strlen(mount) && memcmp(text, mount, strlen(mount)) == 0)
		return refuse_plainly(
			value, -EINVAL,
			"is a path of the file system; write what follows the mount of cgroup2, "
			"like /system.slice/nginx.service");
	if (has(text, len, "*?"))
		return refuse_plainly(
			value, -EINVAL,
			"has a glob; cgroup= takes a path with all that is beneath it (globs "
			"go with unit=)");
	/* The root of all is kept as "": every path starts with it and goes on with '/'. */
	while (len > 0 && text[len - 1] == '/')
		len--;
	end = text + len;
	for (const char *at = text + (*text == '/'); at < end;) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		size_t n = (size_t)((slash ? slash : end) - at);

		if (n == 0 || is(at, n, ".") || is(at, n, ".."))
			return refuse(value, -EINVAL, "has an empty component, '.' or '..'");
		at += n + 1;
	}
	return keep(selector, value, len && *text != '/' ? "/" : "", text, len, "", &ret->number);
}

/* systemd.unit(5) */
static bool has_unit_suffix(const char *text, size_t len)
{
	static const char *const suffixes[] = {".service", ".scope", ".slice",
					       ".socket",  ".mount", ".swap"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t n = strlen(suffixes[i]);

		if (len > n && memcmp(text + len - n, suffixes[i], n) == 0)
			return true;
	}
	return false;
}

static int parse_unit(struct selector *selector, const struct selector_value *value,
		      union match_value *ret)
{
	bool whole =
		has(value->text, value->len, "*?[") || has_unit_suffix(value->text, value->len);

	if (value->len == 0)
		return refuse(value, -EINVAL, "is empty");
	if (has(value->text, value->len, "/"))
		return refuse_plainly(value, -EINVAL,
				      "is a path; write the unit alone, or cgroup= for a path");
	/* As systemctl(1) does it. */
	return keep(selector, value, "", value->text, value->len, whole ? "" : ".service",
		    &ret->number);
}

/* The inode of the namespace that a path leads to. */
static int find_netns(const struct selector_value *value, __u64 *ret)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	char path[4096];

	if (value->len >= sizeof(path))
		return refuse(value, -EINVAL, "is too long for a path");
	memcpy(path, value->text, value->len);
	path[value->len] = '\0';
	fd = tcpkeep_netns_open(path, value->error);
	if (fd >= 0 && fstat(fd, &st) == 0) {
		*ret = st.st_ino;
		return 0;
	}
	if (value->error) {
		value->error->offset = value->offset;
		value->error->length = value->len;
	}
	return fd < 0 ? fd : -errno;
}

/*
 * Names are compared as they come, and what is mounted elsewhere goes by its path; a number may be
 * a name as well. range.min is the text's offset, range.max the inode, 0 for none.
 */
static int parse_netns(struct selector *selector, const struct selector_value *value,
		       union match_value *ret)
{
	static const char kind[] = "net:[";
	bool bracketed = value->len > strlen(kind) && memcmp(value->text, kind, strlen(kind)) == 0;
	struct selector_value number = *value;
	int64_t inode = 0;
	int r;

	if (value->len == 0)
		return refuse(value, -EINVAL, "is empty");
	if (has(value->text, value->len, "/") && !has(value->text, value->len, "*?[")) {
		r = find_netns(value, &ret->range.max);
		if (r < 0)
			return r;
	} else {
		if (bracketed) {
			number.text += strlen(kind);
			number.len -= strlen(kind) + 1;
			if (value->text[value->len - 1] != ']')
				return refuse(value, -EINVAL, "lacks its ']'");
		}
		r = number_parse(number.text, number.len, 1, UINT32_MAX, &inode);
		if (bracketed && r < 0)
			return refuse(value, r, "is not a network namespace");
		ret->range.max = r < 0 ? 0 : (__u64)inode;
	}
	return keep(selector, value, "", value->text, value->len, "", &ret->range.min);
}

const struct selector_key selector_keys[SELECTOR_KEYS] = {
	{"pid", MATCH_PID, OPS_EQUAL, parse_pid, "process numbers, 1 to 4194304"},
	{"program", MATCH_PROGRAM, OPS_EQUAL, parse_program,
	 "names of programs, like nginx, with globs: postgres*"},
	{"user", MATCH_UID, OPS_EQUAL, parse_user, "users by name or number, 0 to 4294967294"},
	{"unit", MATCH_UNIT, OPS_EQUAL, parse_unit,
	 "systemd units, like nginx.service, with globs: postgresql@*"},
	{"cgroup", MATCH_CGROUP, OPS_EQUAL, parse_cgroup,
	 "paths below the mount of cgroup2, like /system.slice"},
	{"local", MATCH_LOCAL, OPS_EQUAL, parse_endpoint,
	 "addresses and ports, like 10.0.0.0/8:5432, [::1]:80, :443"},
	{"peer", MATCH_PEER, OPS_EQUAL, parse_endpoint,
	 "addresses and ports, like 10.0.0.0/8:5432, [::1]:80, :443"},
	{"state", MATCH_STATE, OPS_EQUAL, parse_state, STATE_NAMES},
	{"netns", MATCH_NETNS, OPS_EQUAL, parse_netns,
	 "names of 'ip netns list', with globs; net:[4026531840]; paths like /proc/PID/ns/net"},
	{"keepalive", MATCH_KEEPALIVE, OPS_EQUAL, parse_keepalive, "on, off"},
	{"silent", MATCH_SILENT, OPS_ORDER, parse_silent,
	 "a duration up to 49 days: 10m, 1h30m, 500ms"},
	{"direction", MATCH_DIRECTION, OPS_EQUAL, parse_direction, "in, out, listen"},
};
