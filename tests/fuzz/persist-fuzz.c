/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a sysctl.d file: the lines add up to the file, and an edit makes the settings hold,
 * keeps every line that is not about them, and has nothing left to do the second time.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "keepalive/sysctl-conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TIME_S 61
#define PROBES 7

static void must(bool condition)
{
	if (!condition)
		abort();
}

/* Lines that say nothing of time and probes, run together: what an edit must not touch. */
static size_t foreign(const char *text, size_t len, char *out)
{
	struct sysctl_conf_reader reader;
	struct sysctl_conf_line line;
	unsigned numbers = 0;
	size_t n = 0, sum = 0;

	sysctl_conf_start(&reader, text, len);
	while (sysctl_conf_next(&reader, &line)) {
		must(line.number == ++numbers);
		must(line.text == text + sum);
		sum += line.len + line.end_len;
		must(line.len + line.end_len > 0 && sum <= len);
		must((line.fields & ~(uint32_t)TCPKEEP_THREE) == 0);
		must(!line.value || (line.value >= line.text &&
				     line.value + line.value_len <= line.text + line.len));
		if (line.fields & (TCPKEEP_TIME | TCPKEEP_PROBES) && !line.glob)
			continue;
		memcpy(out + n, line.text, line.len);
		n += line.len;
	}
	must(sum == len);
	return n;
}

/* The last word on a field; -1: none, or an exclusion. */
static int64_t last_value(const char *text, size_t len, uint32_t field)
{
	struct sysctl_conf_reader reader;
	struct sysctl_conf_line line;
	int64_t value = -1;

	sysctl_conf_start(&reader, text, len);
	while (sysctl_conf_next(&reader, &line))
		if (line.fields & field && !line.glob &&
		    (!line.value ||
		     number_parse(line.value, line.value_len, 0, INT32_MAX, &value) < 0))
			value = -1;
	return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tcpkeep_settings settings = {
		.fields = TCPKEEP_TIME | TCPKEEP_PROBES,
		.time_s = TIME_S,
		.probes = PROBES,
	};
	_cleanup_free_ char *text = malloc(size + 1), *before = malloc(size + 1);
	_cleanup_free_ char *edited = NULL, *again = NULL, *after = NULL;
	size_t edited_len, again_len, before_len, after_len;
	int r;

	must(text && before);
	memcpy(text, data, size);
	text[size] = '\0';
	before_len = foreign(text, size, before);

	r = sysctl_conf_edit(text, size, &settings, &edited, &edited_len);
	if (r == -EILSEQ) {
		must(memchr(text, '\0', size) != NULL);
		return 0;
	}
	if (r == 0) {
		must(last_value(text, size, TCPKEEP_TIME) == TIME_S);
		must(last_value(text, size, TCPKEEP_PROBES) == PROBES);
		return 0;
	}
	must(r == 1);
	must(last_value(edited, edited_len, TCPKEEP_TIME) == TIME_S);
	must(last_value(edited, edited_len, TCPKEEP_PROBES) == PROBES);
	after = malloc(edited_len + 1);
	must(after);
	after_len = foreign(edited, edited_len, after);
	must(before_len == after_len && memcmp(before, after, before_len) == 0);
	must(sysctl_conf_edit(edited, edited_len, &settings, &again, &again_len) == 0);
	return 0;
}
