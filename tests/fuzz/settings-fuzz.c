/* SPDX-License-Identifier: MIT */
/* Any text: refused with words, or understood, valid and the same after being written and read
 * again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <tcpkeep.h>

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, enum tcpkeep_scope scope)
{
	struct tcpkeep_settings settings, again;
	struct tcpkeep_error error = {0};
	char written[TCPKEEP_SETTINGS_TEXT_MAX], words[256];
	uint32_t warnings;

	if (tcpkeep_settings_parse(text, scope, &settings, &error) < 0) {
		if (error.message[0] == '\0' || error.offset + error.length > strlen(text))
			abort();
		for (const char *c = error.message; *c; c++)
			if ((unsigned char)*c < 0x20)
				abort();
		return;
	}
	if (tcpkeep_settings_validate(&settings, scope, NULL) < 0)
		abort();
	if (tcpkeep_settings_format(&settings, written, sizeof(written)) < 0)
		abort();
	if (tcpkeep_settings_parse(written, scope, &again, NULL) < 0 ||
	    !tcpkeep_settings_equal(&settings, &again))
		abort();
	warnings = tcpkeep_settings_warnings(&settings);
	for (uint32_t bit = 1; bit && bit <= warnings; bit <<= 1)
		if (warnings & bit && tcpkeep_warning_format((enum tcpkeep_warning)bit, &settings,
							     words, sizeof(words)) < 0)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	check(text, TCPKEEP_SCOPE_SOCKET);
	check(text, TCPKEEP_SCOPE_SYSCTL);
	return 0;
}
