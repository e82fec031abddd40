/* SPDX-License-Identifier: MIT */
/* How commands speak: talk goes to stderr, data to stdout. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "cli.h"
#include "output/terminal.h"
#include "output/wrap.h"

#define SAID_MAX 1024
#define INDENT   2 /* of the lines after the first, on a terminal */

/* One write for one message, so that those of several processes do not mix. */
PRINTF_LIKE(2, 0)
static void say(const char *prefix, const char *format, va_list args)
{
	char line[SAID_MAX], lines[WRAP_MAX(SAID_MAX, INDENT) + 1];
	int n = snprintf(line, sizeof(line), "%s", prefix);
	size_t len;

	n += vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
	if ((size_t)n >= sizeof(line) - 1)
		n = sizeof(line) - 2;
	len = wrap_text(line, (size_t)n, terminal_width(STDERR_FILENO), INDENT, lines);
	lines[len++] = '\n';
	fflush(stdout);
	fwrite(lines, 1, len, stderr);
}

void say_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("tcpkeep: ", format, args);
	va_end(args);
}

void say_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("tcpkeep: ", format, args);
	va_end(args);
}

void say_warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("tcpkeep: warning: ", format, args);
	va_end(args);
}

void say_settings_warnings(const struct tcpkeep_settings *settings)
{
	uint32_t warnings = tcpkeep_settings_warnings(settings);
	char text[256];

	for (uint32_t bit = 1; bit && bit <= warnings; bit <<= 1)
		if (warnings & bit && tcpkeep_warning_format((enum tcpkeep_warning)bit, settings,
							     text, sizeof(text)) >= 0)
			say_warning("%s", text);
}

int exit_status_of(int r)
{
	switch (r) {
	case -EPERM:
	case -EACCES:
	case -EOPNOTSUPP:
	case -ENOSYS:
		return EXIT_LACKING;
	}
	return EXIT_FAILED;
}

int parse_settings_operands(const struct invocation *invocation, int scope,
			    struct tcpkeep_settings *ret)
{
	struct tcpkeep_settings settings = {0};
	struct tcpkeep_error error;

	for (size_t i = 0; i < invocation->n_operands; i++) {
		struct tcpkeep_settings word = {0};
		int r;

		r = tcpkeep_settings_parse(invocation->operands[i], (enum tcpkeep_scope)scope,
					   &word, &error);
		if (r < 0) {
			say_error("%s: %s", invocation->command->name, error.message);
			return EXIT_USAGE;
		}
		if (settings.fields & word.fields & TCPKEEP_ON && settings.on != word.on) {
			say_error("%s: on and off contradict each other; give one",
				  invocation->command->name);
			return EXIT_USAGE;
		}
		if (settings.fields & word.fields) {
			say_error("%s: '%s' gives a setting again; give each once",
				  invocation->command->name, invocation->operands[i]);
			return EXIT_USAGE;
		}
		tcpkeep_settings_merge(&settings, &word);
	}
	*ret = settings;
	return EXIT_DONE;
}

int finish_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno != EPIPE)
		say_error("cannot write the output: %s", strerror(errno));
	return status == EXIT_DONE ? EXIT_FAILED : status;
}
