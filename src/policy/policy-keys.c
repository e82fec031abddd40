/* SPDX-License-Identifier: MIT */
/* The keys of rules and profiles, and what is common to their values. */
#include <string.h>

#include "base/escape.h"
#include "base/macro.h"
#include "base/nearest.h"
#include "policy-reader.h"

/* In the order in which they are listed. */
static const struct policy_key keys[] = {
	{"program", POLICY_KEY_SELECTOR, NULL},     {"user", POLICY_KEY_SELECTOR, NULL},
	{"unit", POLICY_KEY_SELECTOR, NULL},        {"cgroup", POLICY_KEY_SELECTOR, NULL},
	{"local", POLICY_KEY_SELECTOR, NULL},       {"peer", POLICY_KEY_SELECTOR, NULL},
	{"direction", POLICY_KEY_SELECTOR, NULL},   {"netns", POLICY_KEY_SELECTOR, NULL},
	{"profile", POLICY_KEY_PROFILE, NULL},      {"time", POLICY_KEY_SETTING, NULL},
	{"intvl", POLICY_KEY_SETTING, NULL},        {"probes", POLICY_KEY_SETTING, NULL},
	{"user-timeout", POLICY_KEY_SETTING, NULL}, {"on", POLICY_KEY_SETTING, NULL},
	{"off", POLICY_KEY_SETTING, NULL},          {"mode", POLICY_KEY_MODE, NULL},
};

/* Spellings that settings accept. */
static const struct policy_key aliases[] = {
	{"idle", POLICY_KEY_SETTING, NULL},
	{"interval", POLICY_KEY_SETTING, NULL},
	{"count", POLICY_KEY_SETTING, NULL},
	{"cnt", POLICY_KEY_SETTING, NULL},
};

/* Selectors of open sockets, which say nothing of a connection that is just being made. */
static const struct policy_key refused[] = {
	{"pid", POLICY_KEY_REFUSED,
	 "a process number is gone with the next restart; rules go by program, user, unit or cgroup"},
	{"state", POLICY_KEY_REFUSED,
	 "a rule meets each connection as it is made: all are in the same state; leave it out"},
	{"keepalive", POLICY_KEY_REFUSED,
	 "a connection that is just made has none to be selected by; to turn it on or off write on or off"},
	{"silent", POLICY_KEY_REFUSED,
	 "a connection that is just made has not been silent yet; leave it out (tcpkeep set has it)"},
};

/* Words of other tools, for the hint. */
static const struct {
	const char *word, *key;
} others[] = {
	{"src", "local"},
	{"dst", "peer"},
	{"source", "local"},
	{"destination", "peer"},
	{"remote", "peer"},
	{"address", "peer"},
	{"port", "peer"},
	{"sport", "local"},
	{"dport", "peer"},
	{"uid", "user"},
	{"comm", "program"},
	{"command", "program"},
	{"process", "program"},
	{"service", "unit"},
	{"namespace", "netns"},
	{"timeout", "user-timeout"},
	{"user_timeout", "user-timeout"},
	{"tcp_user_timeout", "user-timeout"},
	{"keepidle", "time"},
	{"tcp_keepidle", "time"},
	{"tcp_keepalive_time", "time"},
	{"keepintvl", "intvl"},
	{"tcp_keepintvl", "intvl"},
	{"tcp_keepalive_intvl", "intvl"},
	{"keepcnt", "probes"},
	{"tcp_keepcnt", "probes"},
	{"tcp_keepalive_probes", "probes"},
	{"enforce", "mode"},
	{"use", "profile"},
};

const char *policy_show(const struct policy_word *word, char buf[POLICY_SHOWN_MAX])
{
	return escape_text(word->text, word->len, buf, POLICY_SHOWN_MAX);
}

static const struct policy_key *find(const struct policy_key *table, size_t n,
				     const struct policy_word *word)
{
	for (size_t i = 0; i < n; i++)
		if (policy_word_is(word, table[i].name))
			return &table[i];
	return NULL;
}

static const char *nearest_key(const struct policy_word *word, bool in_profile)
{
	const char *candidates[ARRAY_SIZE(keys)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (policy_word_is(word, others[i].word))
			return others[i].key;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!in_profile || keys[i].kind == POLICY_KEY_SETTING)
			candidates[n++] = keys[i].name;
	return nearest(word->text, word->len, candidates, n);
}

static void refuse_key(struct policy_reader *reader, const struct policy_word *word,
		       bool in_profile)
{
	const char *what = in_profile ? "profile" : "rule", *hint = nearest_key(word, in_profile);
	char shown[POLICY_SHOWN_MAX];

	policy_show(word, shown);
	if (hint)
		policy_fail(reader, word->line, "%s: is not a key of a %s; did you mean '%s'?",
			    shown, what, hint);
	else if (in_profile)
		policy_fail(reader, word->line,
			    "%s: is not a key of a profile; accepted: time, intvl, probes, "
			    "user-timeout, on, off",
			    shown);
	else
		policy_fail(reader, word->line,
			    "%s: is not a key of a rule; accepted: program, user, unit, cgroup, "
			    "local, peer, direction, netns, profile, time, intvl, probes, "
			    "user-timeout, on, off, mode",
			    shown);
}

bool policy_knows_key(const struct policy_word *word)
{
	return find(keys, ARRAY_SIZE(keys), word) || find(aliases, ARRAY_SIZE(aliases), word) ||
	       find(refused, ARRAY_SIZE(refused), word);
}

const struct policy_key *policy_find_key(struct policy_reader *reader,
					 const struct policy_word *word, bool in_profile)
{
	const struct policy_key *key = find(keys, ARRAY_SIZE(keys), word);

	if (!key)
		key = find(aliases, ARRAY_SIZE(aliases), word);
	if (!key)
		key = find(refused, ARRAY_SIZE(refused), word);
	if (!key) {
		refuse_key(reader, word, in_profile);
		return NULL;
	}
	if (key->kind == POLICY_KEY_REFUSED) {
		policy_fail(reader, word->line, "%s: %s", key->name, key->why);
		return NULL;
	}
	if (in_profile && key->kind != POLICY_KEY_SETTING) {
		policy_fail(reader, word->line,
			    "%s: has its place in a rule; a profile has settings alone: time, "
			    "intvl, probes, user-timeout, on, off",
			    key->name);
		return NULL;
	}
	return key;
}

bool policy_take_title(struct policy_reader *reader, const struct policy_block *block,
		       char ret[POLICY_NAME_MAX])
{
	const struct policy_word *title = &block->title;
	char kind[POLICY_SHOWN_MAX], shown[POLICY_SHOWN_MAX];
	uint32_t code;
	size_t n;

	ret[0] = '\0';
	if (!title->text)
		return false;
	policy_show(&block->kind, kind);
	policy_show(title, shown);
	if (title->len == 0) {
		policy_fail(reader, title->line, "%s: its name is empty; write %s \"NAME\" { ... }",
			    kind, kind);
		return false;
	}
	if (title->len >= POLICY_NAME_MAX) {
		policy_fail(reader, title->line,
			    "%s \"%s\": the name is %zu bytes long; accepted: up to %d", kind,
			    shown, title->len, POLICY_NAME_MAX - 1);
		return false;
	}
	for (size_t at = 0; at < title->len; at += n) {
		n = utf8_decode(title->text + at, title->len - at, &code);
		if (n > 0 && code >= 0x20 && !(code >= 0x7f && code < 0xa0))
			continue;
		policy_fail(
			reader, title->line,
			"%s \"%s\": the name has a control character in it, or what is not UTF-8",
			kind, shown);
		return false;
	}
	memcpy(ret, title->text, title->len);
	ret[title->len] = '\0';
	return true;
}

const struct policy_word *policy_single(struct policy_reader *reader,
					const struct policy_entry *entry)
{
	char key[POLICY_SHOWN_MAX];

	policy_show(&entry->key, key);
	if (entry->op == POLICY_ALONE)
		policy_fail(reader, entry->key.line, "%s: lacks its value; write %s = VALUE", key,
			    key);
	else if (entry->op == POLICY_IS_NOT)
		policy_fail(reader, entry->key.line,
			    "%s: takes no !=, which is for selectors; write %s = VALUE", key, key);
	else if (entry->n_values != 1)
		policy_fail(reader, entry->key.line, "%s: takes one value, not a list of %zu", key,
			    entry->n_values);
	else
		return &entry->values[0];
	return NULL;
}

/* "time=60", as on the command line. */
static bool add_word(struct policy_reader *reader, const struct policy_entry *entry,
		     const struct policy_word *value, struct tcpkeep_settings *settings)
{
	struct tcpkeep_settings word = {0};
	struct tcpkeep_error error;
	char text[512], key[POLICY_SHOWN_MAX];
	size_t len = entry->key.len;

	memcpy(text, entry->key.text, len); /* a key of ours: short */
	if (value) {
		if (value->len > sizeof(text) - len - 1) {
			policy_fail(reader, value->line,
				    "%s: the value is %zu bytes long; write it shorter",
				    policy_show(&entry->key, key), value->len);
			return false;
		}
		text[len++] = '=';
		memcpy(text + len, value->text, value->len);
		len += value->len;
	}
	if (tcpkeep_settings_parse_word(text, len, TCPKEEP_SCOPE_SOCKET, &word, &error) < 0) {
		policy_fail(reader, value ? value->line : entry->key.line, "%s", error.message);
		return false;
	}
	if (settings->fields & word.fields & TCPKEEP_ON && settings->on != word.on) {
		policy_fail(reader, entry->key.line, "on and off contradict each other; give one");
		return false;
	}
	if (settings->fields & word.fields) {
		policy_fail(reader, entry->key.line,
			    "%s: stands twice in one block; once is enough",
			    policy_show(&entry->key, key));
		return false;
	}
	tcpkeep_settings_merge(settings, &word);
	return true;
}

bool policy_take_setting(struct policy_reader *reader, const struct policy_entry *entry,
			 struct tcpkeep_settings *settings)
{
	const struct policy_word *value;
	char key[POLICY_SHOWN_MAX];

	if (policy_word_is(&entry->key, "on") || policy_word_is(&entry->key, "off")) {
		if (entry->op == POLICY_ALONE)
			return add_word(reader, entry, NULL, settings);
		policy_fail(reader, entry->key.line, "%s: stands alone, without = and a value",
			    policy_show(&entry->key, key));
		return false;
	}
	value = policy_single(reader, entry);
	return value && add_word(reader, entry, value, settings);
}
