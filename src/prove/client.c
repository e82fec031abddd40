/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/macro.h"
#include "keepalive/error.h"
#include "lab/lab.h"

#ifndef PROVE_LIBEXECDIR
#define PROVE_LIBEXECDIR "/usr/local/libexec/tcpkeep"
#endif

#define CLIENT_NAME "tcpkeep-prove-client"
#define SELF        "/proc/self/exe"

/* tcpkeep run time=.. intvl=.. probes=.. user-timeout=.. --enforce -- */
#define RUN_WORDS_MAX 8

/* ------------------------------------------------------------------------- its command line */

/* Beside the executable and in the build tree's neighbouring folder, then where it is installed. */
static int find_own_client(char *buf, size_t size, struct tcpkeep_error *error)
{
	static const char *const places[] = {"/", "/../prove/", "/../libexec/tcpkeep/"};
	char self[PATH_MAX];
	ssize_t n = readlink(SELF, self, sizeof(self));

	while (n > 0 && self[n - 1] != '/')
		n--;
	for (size_t i = 0; n > 1 && i < ARRAY_SIZE(places); i++) {
		int length = snprintf(buf, size, "%.*s%s" CLIENT_NAME, (int)n - 1, self, places[i]);

		if (length > 0 && (size_t)length < size && access(buf, X_OK) == 0)
			return 0;
	}
	snprintf(buf, size, "%s", PROVE_LIBEXECDIR "/" CLIENT_NAME);
	if (access(buf, X_OK) == 0)
		return 0;
	return error_set(error, -ENOENT,
			 "%s: not found; install tcpkeep whole, or try a client of "
			 "yours: 'tcpkeep prove -- nc {host} {port}'",
			 buf);
}

/* Appends n bytes; false when there is no room. */
static bool append(char **at, const char *end, const char *text, size_t n)
{
	if ((size_t)(end - *at) <= n)
		return false;
	memcpy(*at, text, n);
	*at += n;
	**at = '\0';
	return true;
}

/* A copy of word in which {host} and {port} stand for the server's. NULL: no room. */
static char *fill_in(const char *word, char **at, const char *end)
{
	static const struct {
		const char *name, *value;
	} values[] = {{"{host}", PROVE_HOST}, {"{port}", "7007"}};
	char *start = *at;

	_Static_assert(PROVE_PORT == 7007, "as in values");
	while (*word) {
		size_t i = 0;

		while (i < ARRAY_SIZE(values) &&
		       strncmp(word, values[i].name, strlen(values[i].name)) != 0)
			i++;
		if (i == ARRAY_SIZE(values)) {
			if (!append(at, end, word++, 1))
				return NULL;
			continue;
		}
		if (!append(at, end, values[i].value, strlen(values[i].value)))
			return NULL;
		word += strlen(values[i].name);
	}
	if (*at >= end)
		return NULL;
	*(*at)++ = '\0';
	return start;
}

struct command_line {
	char **argv;
	char *text;
	char settings[TCPKEEP_SETTINGS_TEXT_MAX];
	char own_client[PATH_MAX];
};

static void command_line_free(struct command_line *line)
{
	free(line->argv);
	free(line->text);
}

static size_t put_run(struct command_line *line, const struct prove_plan *plan, char **argv)
{
	static char self[] = SELF, run[] = "run", enforce[] = "--enforce", dashes[] = "--";
	size_t n = 0;
	char *saved;

	tcpkeep_settings_format(&plan->settings, line->settings, sizeof(line->settings));
	argv[n++] = self;
	argv[n++] = run;
	for (char *word = strtok_r(line->settings, " ", &saved); word && n < RUN_WORDS_MAX;
	     word = strtok_r(NULL, " ", &saved))
		argv[n++] = word;
	if (plan->enforce)
		argv[n++] = enforce;
	argv[n++] = dashes;
	return n;
}

static int command_line_make(struct command_line *ret, const struct prove_plan *plan,
			     enum prove_way way, struct tcpkeep_error *error)
{
	static char host[] = "{host}", port[] = "{port}";
	char *own[] = {ret->own_client, host, port, NULL};
	char *const *words = plan->command ? plan->command : own;
	size_t n = 0, size = 1, n_argv = 0;
	char *at;
	int r;

	if (!plan->command) {
		r = find_own_client(ret->own_client, sizeof(ret->own_client), error);
		if (r < 0)
			return r;
	}
	for (; words[n]; n++)
		size += strlen(words[n]) * sizeof(PROVE_HOST) + 2;
	ret->argv = calloc(n + RUN_WORDS_MAX + 4, sizeof(*ret->argv));
	ret->text = at = malloc(size);
	if (!ret->argv || !ret->text)
		return error_set(error, -ENOMEM, "out of memory");
	if (way == PROVE_WITH)
		n_argv = put_run(ret, plan, ret->argv);
	for (size_t i = 0; i < n; i++) {
		ret->argv[n_argv] = fill_in(words[i], &at, ret->text + size);
		if (!ret->argv[n_argv++])
			return error_set(error, -ENOMEM, "out of memory");
	}
	return 0;
}

/* ---------------------------------------------------------------------------- its life */

int client_start(struct client *ret, const struct prove_plan *plan, enum prove_way way, int netns,
		 struct tcpkeep_error *error)
{
	_cleanup_(client_close) struct client client = CLIENT_NONE;
	_cleanup_(command_line_free) struct command_line line = {0};
	_cleanup_close_ int input = -1, output = -1;
	int in[2], out[2], r;

	r = command_line_make(&line, plan, way, error);
	if (r < 0)
		return r;
	if (pipe2(in, O_CLOEXEC) < 0)
		return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
	input = in[0];
	client.input = in[1];
	if (pipe2(out, O_CLOEXEC) < 0)
		return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
	client.output = out[0];
	output = out[1];
	if (fcntl(client.output, F_SETFL, O_NONBLOCK) < 0)
		return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));

	r = lab_spawn(netns, line.argv, NULL, (const int[3]){input, output, output}, &client.pidfd,
		      error);
	if (r < 0)
		return r;
	client.pid = r;
	*ret = client;
	client = (struct client)CLIENT_NONE;
	return 0;
}

/* Keeps the end of what was said. */
static void keep(struct client *client, const char *text, size_t n)
{
	size_t room = sizeof(client->tail);

	if (n >= room) {
		text += n - room;
		n = room;
		client->n_tail = 0;
	} else if (client->n_tail + n > room) {
		size_t drop = client->n_tail + n - room;

		memmove(client->tail, client->tail + drop, client->n_tail - drop);
		client->n_tail -= drop;
	}
	memcpy(client->tail + client->n_tail, text, n);
	client->n_tail += n;
}

void client_poll(struct client *client)
{
	char buf[4096];
	ssize_t n;

	if (client->pid < 0)
		return;
	while (client->output >= 0) {
		n = read(client->output, buf, sizeof(buf));
		if (n < 0)
			break;
		if (n == 0) {
			close(client->output);
			client->output = -1;
			break;
		}
		keep(client, buf, (size_t)n);
	}
	if (!client->exited && waitpid(client->pid, &client->status, WNOHANG) == client->pid)
		client->exited = true;
}

/* What `tcpkeep run` thinks of our short settings is not the program's word. */
static bool is_own_warning(const char *line, size_t len)
{
	static const char prefix[] = "tcpkeep: warning: ";

	return len >= sizeof(prefix) - 1 && memcmp(line, prefix, sizeof(prefix) - 1) == 0;
}

void client_last_line(const struct client *client, char *buf, size_t size)
{
	size_t end = client->n_tail, start;

	do {
		while (end > 0 && strchr(" \t\r\n", client->tail[end - 1]))
			end--;
		for (start = end; start > 0 && !strchr("\r\n", client->tail[start - 1]);)
			start--;
		if (!is_own_warning(client->tail + start, end - start))
			break;
		end = start;
	} while (end > 0);
	escape_text(client->tail + start, end - start, buf, size);
}

void client_close(struct client *client)
{
	int *const fds[] = {&client->pidfd, &client->output, &client->input};

	if (client->pid > 0 && !client->exited) {
		kill(client->pid, SIGKILL);
		waitpid(client->pid, NULL, 0);
	}
	client->pid = -1;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
