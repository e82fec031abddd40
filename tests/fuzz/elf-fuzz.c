/* SPDX-License-Identifier: MIT */
/* Any file: refused, or understood, with a loader that ends; the same answer twice. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "inject/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *data;
	size_t size;
};

static bool read_bytes(void *userdata, uint64_t offset, void *buf, size_t size)
{
	const struct bytes *bytes = userdata;

	if (offset > bytes->size || size > bytes->size - offset)
		return false;
	memcpy(buf, bytes->data + offset, size);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct elf first, second;
	struct bytes bytes = {data, size};
	int r = elf_parse(read_bytes, &bytes, &first);

	if (r != 0 && r != -ENOEXEC)
		abort();
	if (!memchr(first.interp, '\0', sizeof(first.interp)))
		abort();
	if (elf_parse(read_bytes, &bytes, &second) != r ||
	    (r == 0 && memcmp(&first, &second, sizeof(first)) != 0))
		abort();
	return 0;
}
