/* SPDX-License-Identifier: MIT */
/* Any bytes as the record that a policy in the kernel carries, of this tcpkeep or another: what is
 * read ends within its room, and the rules behind it within the record. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/policy-verbs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_text(const char *text, size_t room)
{
	must(memchr(text, '\0', room) && !strchr(text, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] = "tcpkeep-policy 1\n";
	_cleanup_free_ char *blob = malloc(sizeof(head) + size);
	size_t len = strlen(head) + size;
	struct policy_record record;

	must(blob);
	must(!policy_record_read(data, size, &record) || memcmp(data, head, strlen(head)) == 0);
	/* The rest decides. */
	memcpy(blob, head, strlen(head));
	memcpy(blob + strlen(head), data, size);
	must(policy_record_read(blob, len, &record));
	check_text(record.digest, sizeof(record.digest));
	check_text(record.path, sizeof(record.path));
	if (record.text)
		must(record.text[-1] == '\n' && record.text + record.text_len == blob + len);
	return 0;
}
