/* SPDX-License-Identifier: MIT */
/* Settings as values: parse, format, validate, merge. Allocation-free: the preload library uses it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/duration.h"
#include "base/escape.h"
#include "base/macro.h"
#include "base/nearest.h"
#include "base/number.h"
#include "error.h"

/* The keys, in the order in which they are printed. */
static const struct key {
	const char *name;
	uint32_t field;
	size_t offset;  /* of the value in struct tcpkeep_settings */
	int64_t min;    /* both scopes */
	int64_t max[2]; /* by enum tcpkeep_scope; 0: the scope has no such key */
	const char *unit;
} keys[] = {
	{"time",
	 TCPKEEP_TIME,
	 offsetof(struct tcpkeep_settings, time_s),
	 1,
	 {TCPKEEP_TIME_MAX_S, TCPKEEP_SYSCTL_MAX_S},
	 " seconds"},
	{"intvl",
	 TCPKEEP_INTVL,
	 offsetof(struct tcpkeep_settings, intvl_s),
	 1,
	 {TCPKEEP_INTVL_MAX_S, TCPKEEP_SYSCTL_MAX_S},
	 " seconds"},
	{"probes",
	 TCPKEEP_PROBES,
	 offsetof(struct tcpkeep_settings, probes),
	 1,
	 {TCPKEEP_PROBES_MAX, TCPKEEP_SYSCTL_PROBES_MAX},
	 ""},
	{"user-timeout",
	 TCPKEEP_USER_TIMEOUT,
	 offsetof(struct tcpkeep_settings, user_timeout_ms),
	 0,
	 {TCPKEEP_USER_TIMEOUT_MAX_MS, 0},
	 ""},
};

/* Spellings of others, accepted and never printed. */
static const struct {
	const char *name, *key;
} aliases[] = {
	{"idle", "time"},
	{"interval", "intvl"},
	{"count", "probes"},
	{"cnt", "probes"},
};

static int *value_of(const struct key *key, struct tcpkeep_settings *settings)
{
	return (int *)((char *)settings + key->offset);
}

static int value_in(const struct key *key, const struct tcpkeep_settings *settings)
{
	return *(const int *)((const char *)settings + key->offset);
}

static bool word_is(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(word, name, len) == 0;
}

static const struct key *find_key(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (word_is(name, len, aliases[i].name))
			return find_key(aliases[i].key, strlen(aliases[i].key));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (word_is(name, len, keys[i].name))
			return &keys[i];
	return NULL;
}

/* What may be meant by another word: the spellings that are printed. */
static const char *const words[] = {
	"time", "intvl", "probes", "user-timeout", "on", "off",
};

/* What others call them, and what people paste: not accepted, but understood. */
static const struct {
	const char *name, *key;
} foreign[] = {
	{"tcp_keepalive_time", "time"},
	{"tcp_keepalive_intvl", "intvl"},
	{"tcp_keepalive_probes", "probes"},
	{"net.ipv4.tcp_keepalive_time", "time"},
	{"net.ipv4.tcp_keepalive_intvl", "intvl"},
	{"net.ipv4.tcp_keepalive_probes", "probes"},
	{"keepidle", "time"},
	{"keepintvl", "intvl"},
	{"keepcnt", "probes"},
	{"tcp_keepidle", "time"},
	{"tcp_keepintvl", "intvl"},
	{"tcp_keepcnt", "probes"},
	{"tcp_user_timeout", "user-timeout"},
	{"timeout", "user-timeout"},
	{"user_timeout", "user-timeout"},
	{"int", "intvl"},
	{"ut", "user-timeout"},
	{"usertimeout", "user-timeout"},
	{"retries", "probes"},
	{"retry", "probes"},
	{"keepalive_time", "time"},
	{"keepalive_intvl", "intvl"},
	{"keepalive_probes", "probes"},
};

static const char *meant_by(const char *name, size_t len)
{
	char lower[32];

	if (len >= sizeof(lower))
		return NULL;
	for (size_t i = 0; i < len; i++)
		lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		if (word_is(lower, len, foreign[i].name))
			return foreign[i].key;
	return nearest(lower, len, words, ARRAY_SIZE(words));
}

/* "accepted: 1 to 32767 seconds"; buf may hold it. */
static const char *accepted(const struct key *key, enum tcpkeep_scope scope, char *buf, size_t size)
{
	if (key->field == TCPKEEP_USER_TIMEOUT)
		return "accepted: off, 1ms to 24d";
	snprintf(buf, size, "accepted: %lld to %lld%s", (long long)key->min,
		 (long long)key->max[scope], key->unit);
	return buf;
}

/* The text of a value or key, safe to print and short. */
#define SHOWN_MAX 48

static int fail_unknown_key(const char *name, size_t len, enum tcpkeep_scope scope,
			    struct tcpkeep_error *ret_error)
{
	const char *hint = meant_by(name, len);
	char shown[SHOWN_MAX];

	escape_text(name, len, shown, sizeof(shown));
	if (hint)
		return error_set_at(ret_error, -ENOKEY, 0, len,
				    "'%s' is not a setting; did you mean '%s'?", shown, hint);
	return error_set_at(
		ret_error, -ENOKEY, 0, len, "'%s' is not a setting; the settings are %s", shown,
		scope == TCPKEEP_SCOPE_SYSCTL ? "time, intvl and probes"
					      : "time, intvl, probes, user-timeout, on and off");
}

/* Two values for one key: which is meant? The same twice is harmless. */
static int store(struct tcpkeep_settings *settings, const struct key *key, int value, size_t len,
		 struct tcpkeep_error *ret_error)
{
	int *slot = value_of(key, settings);

	if (settings->fields & key->field && *slot != value)
		return error_set_at(ret_error, -EINVAL, 0, len,
				    "%s is given twice, as %d and as %d", key->name, *slot, value);
	*slot = value;
	settings->fields |= key->field;
	return 0;
}

static int store_on(struct tcpkeep_settings *settings, bool on, size_t len,
		    enum tcpkeep_scope scope, struct tcpkeep_error *ret_error)
{
	if (scope == TCPKEEP_SCOPE_SYSCTL)
		return error_set_at(
			ret_error, -EINVAL, 0, len,
			"'%s': no sysctl turns keepalive on or off; each program asks for it "
			"on its sockets (tcpkeep run does it for one that does not)",
			on ? "on" : "off");
	if (settings->fields & TCPKEEP_ON && settings->on != on)
		return error_set_at(ret_error, -EINVAL, 0, len, "both on and off are given");
	settings->on = on;
	settings->fields |= TCPKEEP_ON;
	return 0;
}

/* Reads the value of a key into *ret, in the key's own unit. at: where it stands in the word. */
static int parse_value(const struct key *key, const char *text, size_t len, size_t at,
		       enum tcpkeep_scope scope, int64_t *ret, struct tcpkeep_error *ret_error)
{
	char shown[SHOWN_MAX], buf[64];
	const char *range;
	struct duration_error why = {0};
	const char *reason;
	uint64_t ms;
	int r;

	range = accepted(key, scope, buf, sizeof(buf));
	escape_text(text, len, shown, sizeof(shown));
	if (key->field == TCPKEEP_PROBES) {
		r = len > 0 && text[0] == '-' ? -EINVAL
					      : number_parse(text, len, 0, INT32_MAX, ret);
		reason = len == 0         ? "is empty"
			 : text[0] == '-' ? "is negative"
			 : r == -ERANGE   ? "is too large a number"
					  : "is not a whole number";
	} else if (key->field == TCPKEEP_USER_TIMEOUT && word_is(text, len, "off")) {
		*ret = 0;
		return 0;
	} else {
		bool in_ms = key->field == TCPKEEP_USER_TIMEOUT;

		r = duration_parse(text, len, in_ms ? DURATION_MS : 0, &ms, &why);
		reason = memchr(text, '.', len) ? "is not a whole number" : why.reason;
		if (r == 0)
			*ret = (int64_t)MIN(in_ms ? ms : ms / 1000, (uint64_t)INT64_MAX);
	}
	if (r < 0)
		return error_set_at(ret_error, r, at + why.offset, len - why.offset,
				    "%s: '%s' %s; %s", key->name, shown, reason, range);
	if (*ret < key->min || *ret > key->max[scope])
		return error_set_at(ret_error, -ERANGE, at, len, "%s: %s is out of range; %s",
				    key->name, shown, range);
	return 0;
}

EXPORT int tcpkeep_settings_parse_word(const char *word, size_t len, enum tcpkeep_scope scope,
				       struct tcpkeep_settings *settings,
				       struct tcpkeep_error *ret_error)
{
	const char *equals = memchr(word, '=', len);
	size_t name_len = equals ? (size_t)(equals - word) : len;
	const struct key *key;
	int64_t value;
	int r;

	if (!equals && word_is(word, len, "on"))
		return store_on(settings, true, len, scope, ret_error);
	if (!equals && word_is(word, len, "off"))
		return store_on(settings, false, len, scope, ret_error);

	key = find_key(word, name_len);
	if (!key)
		return fail_unknown_key(word, name_len, scope, ret_error);
	if (key->max[scope] == 0)
		return error_set_at(ret_error, -EINVAL, 0, name_len,
				    "%s is not a sysctl; the three are time, intvl and probes",
				    key->name);
	if (!equals)
		return error_set_at(ret_error, -EINVAL, 0, len,
				    "%s lacks its value; write %s=VALUE", key->name, key->name);

	r = parse_value(key, equals + 1, len - name_len - 1, name_len + 1, scope, &value,
			ret_error);
	if (r < 0)
		return r;
	return store(settings, key, (int)value, len, ret_error);
}

static bool is_separator(char c)
{
	return c == ' ' || c == ',' || c == '\t' || c == '\n';
}

EXPORT int tcpkeep_settings_parse(const char *text, enum tcpkeep_scope scope,
				  struct tcpkeep_settings *ret, struct tcpkeep_error *ret_error)
{
	struct tcpkeep_settings settings = {0};
	const char *at = text;

	for (;;) {
		const char *word;
		int r;

		while (is_separator(*at))
			at++;
		if (*at == '\0')
			break;
		word = at;
		while (*at != '\0' && !is_separator(*at))
			at++;
		r = tcpkeep_settings_parse_word(word, (size_t)(at - word), scope, &settings,
						ret_error);
		if (r < 0) {
			if (ret_error)
				ret_error->offset += (size_t)(word - text);
			return r;
		}
	}
	if (settings.fields == 0)
		return error_set(ret_error, -EINVAL, "no setting is given; write for example %s",
				 scope == TCPKEEP_SCOPE_SYSCTL ? "time=600 intvl=30 probes=5"
							       : "time=60 intvl=10 probes=6");
	*ret = settings;
	return 0;
}

EXPORT int tcpkeep_settings_format(const struct tcpkeep_settings *settings, char *buf, size_t size)
{
	char text[TCPKEEP_SETTINGS_TEXT_MAX];
	size_t n = 0;

	text[0] = '\0';
	if (settings->fields & TCPKEEP_ON)
		n += (size_t)snprintf(text, sizeof(text), "%s", settings->on ? "on" : "off");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		int value = value_in(&keys[i], settings);
		char duration[DURATION_TEXT_MAX];

		if (!(settings->fields & keys[i].field))
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=", n ? " " : "",
				      keys[i].name);
		if (keys[i].field != TCPKEEP_USER_TIMEOUT)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%d", value);
		else if (value == 0)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "off");
		else
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s",
					      duration_format((uint64_t)value, duration));
	}
	if (n >= size)
		return -ENOBUFS;
	memcpy(buf, text, n + 1);
	return (int)n;
}

EXPORT int tcpkeep_settings_validate(const struct tcpkeep_settings *settings,
				     enum tcpkeep_scope scope, struct tcpkeep_error *ret_error)
{
	if (settings->fields & ~(uint32_t)TCPKEEP_ALL)
		return error_set(ret_error, -EINVAL, "unknown field bits 0x%x",
				 settings->fields & ~(uint32_t)TCPKEEP_ALL);
	if (scope == TCPKEEP_SCOPE_SYSCTL && settings->fields & ~(uint32_t)TCPKEEP_THREE)
		return error_set(ret_error, -EINVAL, "only time, intvl and probes are sysctls");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		int value = value_in(&keys[i], settings);
		char range[64];

		if (!(settings->fields & keys[i].field))
			continue;
		if (value < keys[i].min || value > keys[i].max[scope])
			return error_set(ret_error, -ERANGE, "%s: %d is out of range; %s",
					 keys[i].name, value,
					 accepted(&keys[i], scope, range, sizeof(range)));
	}
	return 0;
}

EXPORT void tcpkeep_settings_merge(struct tcpkeep_settings *base,
				   const struct tcpkeep_settings *over)
{
	if (over->fields & TCPKEEP_ON)
		base->on = over->on;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (over->fields & keys[i].field)
			*value_of(&keys[i], base) = value_in(&keys[i], over);
	base->fields |= over->fields;
}

EXPORT bool tcpkeep_settings_equal(const struct tcpkeep_settings *a,
				   const struct tcpkeep_settings *b)
{
	if (a->fields != b->fields)
		return false;
	if (a->fields & TCPKEEP_ON && a->on != b->on)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (a->fields & keys[i].field && value_in(&keys[i], a) != value_in(&keys[i], b))
			return false;
	return true;
}
