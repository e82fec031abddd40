/* SPDX-License-Identifier: MIT */
/* The words of `tcpkeep set`: settings and selectors in one list, and what was meant by others. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/macro.h"
#include "base/nearest.h"
#include "base/put.h"
#include "set-job.h"

#define SHOWN_MAX 48

static const char *const setting_keys[] = {"time", "intvl", "probes", "user-timeout", "on", "off"};

static int fail_usage(const char *words)
{
	say_error("set: %s", words);
	return EXIT_USAGE;
}

static bool is_number(const char *text, size_t len)
{
	return len > 0 && strspn(text, "0123456789") >= len;
}

/* "60/10/6", as the list shows them. */
static bool is_triple(const char *word)
{
	const char *first = strchr(word, '/'), *second = first ? strchr(first + 1, '/') : NULL;

	return second && is_number(word, (size_t)(first - word)) &&
	       is_number(first + 1, (size_t)(second - first - 1)) &&
	       is_number(second + 1, strlen(second + 1));
}

/* "time:60": the word with its "=", or NULL. */
static const char *with_equals(const char *word, char buf[SHOWN_MAX])
{
	size_t len = strcspn(word, ":=");
	struct tcpkeep_settings settings;

	if (word[len] != ':' || strlen(word) >= SHOWN_MAX)
		return NULL;
	snprintf(buf, SHOWN_MAX, "%s", word);
	buf[len] = '=';
	return tcpkeep_settings_parse(buf, TCPKEEP_SCOPE_SOCKET, &settings, NULL) == 0 ? buf : NULL;
}

static int fail_meant(const char *word, size_t len, const char *hint)
{
	char shown[SHOWN_MAX];

	say_error("set: '%s' is no setting and no selector; %s",
		  escape_text(word, len, shown, sizeof(shown)), hint);
	return EXIT_USAGE;
}

static int fail_triple(const char *word)
{
	const char *first = strchr(word, '/'), *second = strchr(first + 1, '/');
	char meant[2 * SHOWN_MAX];

	if (strlen(word) > 20)
		return fail_meant(word, strlen(word), "write time=SECONDS intvl=SECONDS probes=N");
	snprintf(meant, sizeof(meant), "write time=%.*s intvl=%.*s probes=%s", (int)(first - word),
		 word, (int)(second - first - 1), first + 1, second + 1);
	return fail_meant(word, strlen(word), meant);
}

/* Its key is neither's: as_setting and as_selector tell what each takes it for. */
static int fail_word(const char *word, const struct tcpkeep_error *as_setting,
		     const struct tcpkeep_error *as_selector)
{
	size_t len = strcspn(word, "=!<>:");
	const char *hint = nearest(word, len, setting_keys, ARRAY_SIZE(setting_keys));
	const char *meant = strstr(as_setting->message, "did you mean");
	char buf[SHOWN_MAX], text[2 * SHOWN_MAX];

	if (strcmp(word, "help") == 0)
		return fail_meant(word, strlen(word), "see 'tcpkeep set --help'");
	if (is_triple(word))
		return fail_triple(word);
	if (with_equals(word, buf)) {
		snprintf(text, sizeof(text), "write %s", buf);
		return fail_meant(word, strlen(word), text);
	}
	if (hint) {
		snprintf(text, sizeof(text), "did you mean '%s'?", hint);
		return fail_meant(word, len, text);
	}
	/* The setting's own hint knows what others call them. */
	if (meant && !strstr(as_selector->message, "did you mean"))
		return fail_meant(word, len, meant);
	say_error("set: %s", as_selector->message);
	return EXIT_USAGE;
}

static int add_settings(struct set_job *job, const char *word, const struct tcpkeep_settings *more)
{
	char shown[SHOWN_MAX];

	if (job->settings.fields & more->fields & TCPKEEP_ON && job->settings.on != more->on)
		return fail_usage("on and off contradict each other; give one");
	if (job->settings.fields & more->fields) {
		say_error("set: '%s' gives a setting again; give each once",
			  escape_text(word, strlen(word), shown, sizeof(shown)));
		return EXIT_USAGE;
	}
	tcpkeep_settings_merge(&job->settings, more);
	return EXIT_DONE;
}

static int parse_word(struct set_job *job, const char *word)
{
	struct tcpkeep_settings settings = {0};
	struct tcpkeep_error error, as_setting;
	int r;

	r = tcpkeep_settings_parse(word, TCPKEEP_SCOPE_SOCKET, &settings, &as_setting);
	if (r == 0)
		return add_settings(job, word, &settings);
	error = as_setting;
	if (r == -ENOKEY) {
		r = selector_parse_word(&job->selector, word, strlen(word), &error);
		if (r == -ENOKEY)
			return fail_word(word, &as_setting, &error);
	}
	if (r == 0)
		return EXIT_DONE;
	say_error("set: %s", error.message);
	return EXIT_USAGE;
}

/* The "on" or "off" of keepalive=, which many take for the setting. alone: where nothing else
 * chooses. */
static const char *state_chosen(const struct invocation *invocation, bool alone)
{
	const char *chosen = NULL;

	for (size_t i = 0; i < invocation->n_operands; i++) {
		const char *word = invocation->operands[i];
		struct tcpkeep_settings settings;

		if (strncmp(word, "keepalive=", 10) == 0)
			chosen = strcmp(word + 10, "on") == 0 ? "on" : "off";
		else if (alone &&
			 tcpkeep_settings_parse(word, TCPKEEP_SCOPE_SOCKET, &settings, NULL) < 0)
			return NULL;
	}
	return chosen;
}

static int fail_no_settings(const struct invocation *invocation)
{
	const char *state = state_chosen(invocation, false);

	if (!state)
		return fail_usage(
			"no settings; write for example time=60 intvl=10 probes=6, or off");
	say_error("set: no settings: keepalive=%s chooses the sockets that have it %s; to turn it "
		  "%s write '%s'",
		  state, state, state, state);
	return EXIT_USAGE;
}

/* Whoever gives values wants them to rule: as `run` does. */
static void imply_on(struct tcpkeep_settings *settings)
{
	if (!(settings->fields & TCPKEEP_THREE) || settings->fields & TCPKEEP_ON)
		return;
	settings->fields |= TCPKEEP_ON;
	settings->on = true;
}

static bool is_off(const struct tcpkeep_settings *settings)
{
	return settings->fields & TCPKEEP_ON && !settings->on;
}

/* Who names a namespace wants its sockets, wherever tcpkeep runs: as `list` does. */
static int follow_netns(struct set_job *job)
{
	const struct match_program *program = &job->selector.program;

	for (__u32 i = 0; i < program->n_values; i++) {
		const union match_value *value = &program->values[i];
		struct tcpkeep_error error;
		const char *name;
		int r;

		if (program->clauses[program->clause_of[i]].kind != MATCH_NETNS)
			continue;
		if (job->args->netns)
			return fail_usage("--netns and netns= exclude each other; give one");
		job->all_netns = true;
		name = job->selector.text + value->range.min;
		if (value->range.max != 0 || strpbrk(name, "*?["))
			continue;
		r = tcpkeep_netns_open(name, &error);
		if (r >= 0)
			close(r);
		if (r != -ENOENT)
			continue;
		say_error("set: %s", error.message);
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

static int check_words(struct set_job *job, const struct invocation *invocation, bool all)
{
	const char *state = state_chosen(invocation, true);

	if (job->settings.fields == 0)
		return fail_no_settings(invocation);
	if (all && job->selector.any)
		return fail_usage(
			"'all' is every socket, and the selectors are some; leave one out");
	if (!all && !job->selector.any)
		return fail_usage(
			"no selector; choose sockets (peer=:5432, program=nginx, "
			"keepalive=off), or write 'all' for every socket of the namespace");
	/* keepalive=off with values is how one turns on what is off; this is a slip more often. */
	if (state && strcmp(state, "on") == 0 && !is_off(&job->settings))
		say_error("set: note: keepalive=on chooses the sockets that have it on already; to "
			  "turn it on write 'on'");
	if (job->selector.program_cut)
		say_warning("set: the kernel keeps 15 bytes of a program's name: a longer one is "
			    "matched by its first 15");
	return EXIT_DONE;
}

int set_words_parse(struct set_job *job, const struct invocation *invocation)
{
	bool all = false;
	int status = EXIT_DONE;

	for (size_t i = 0; status == EXIT_DONE && i < invocation->n_operands; i++) {
		if (strcmp(invocation->operands[i], "all") == 0)
			all = true;
		else
			status = parse_word(job, invocation->operands[i]);
	}
	if (status == EXIT_DONE)
		status = check_words(job, invocation, all);
	if (status == EXIT_DONE)
		status = follow_netns(job);
	if (status == EXIT_DONE)
		imply_on(&job->settings);
	return status;
}

/* ------------------------------------------------------------------------------- to type again */

/* What no shell takes for anything but itself. */
static bool is_plain(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-./:,=@%+";

	return *word && word[strspn(word, plain)] == '\0';
}

/* In quotes, and those within as a shell wants them. False: there is no room. */
static bool quote(const char *word, char *buf, size_t size)
{
	/* No backslash: whoever shows the words escapes that. */
	static const char within[] = "'\"'\"'";
	char *at = put_char(buf, '\'');

	for (; *word; word++) {
		if (at + sizeof(within) + 1 > buf + size)
			return false;
		at = *word == '\'' ? put_text(at, within) : put_char(at, *word);
	}
	put_text_n(at, "'", 2);
	return true;
}

void set_words_add(char *text, size_t size, const char *word)
{
	static const char cut[] = " ...";
	const size_t len = strlen(text), end = strlen(cut);
	const char *gap = len > 0 ? " " : "", *shown = word;
	char quoted[JOURNAL_WORDS_MAX];

	if (len >= end && strcmp(text + len - end, cut) == 0)
		return;
	if (!is_plain(word))
		shown = quote(word, quoted, sizeof(quoted)) ? quoted : NULL;
	/* Behind each word there is room for what tells that there were more. */
	if (shown && len + strlen(gap) + strlen(shown) + end < size)
		snprintf(text + len, size - len, "%s%s", gap, shown);
	else
		snprintf(text + len, size - len, "%s", cut);
}
