/* SPDX-License-Identifier: MIT */
/* What an ELF file says about how it is loaded. A pure parser: bytes come from a function, nothing
 * is trusted. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads size bytes at offset; true when all of them are there. */
typedef bool elf_read(void *userdata, uint64_t offset, void *buf, size_t size);

struct elf {
	unsigned char class;   /* ELFCLASS32, ELFCLASS64 */
	unsigned char data;    /* ELFDATA2LSB, ELFDATA2MSB */
	uint16_t machine;      /* EM_ */
	bool go;               /* carries the Go linker's build ID */
	char interp[PATH_MAX]; /* the dynamic loader; "" = static */
};

/* -ENOEXEC: not an ELF program, or one that is cut short or contradicts itself. */
int elf_parse(elf_read *read, void *userdata, struct elf *ret);
