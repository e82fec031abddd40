/* SPDX-License-Identifier: MIT */
#include "elf.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

/* More program headers than any linker makes; the kernel takes 64 KiB of them (fs/binfmt_elf.c). */
#define HEADERS_MAX 1170
#define NOTES_MAX   4096
/* The Go linker's note, cmd/link/internal/ld/elf.go: name "Go", type 4 is the build ID. */
#define GO_NOTE_NAME "Go"
#define GO_NOTE_TYPE 4

struct parser {
	elf_read *read;
	void *userdata;
	struct elf *elf;
	bool swap; /* the file's byte order is not ours */
};

/* A program header of either class. */
struct segment {
	uint32_t type;
	uint64_t offset;
	uint64_t size;
};

static uint16_t half(const struct parser *p, uint16_t v)
{
	return p->swap ? __builtin_bswap16(v) : v;
}

static uint32_t word(const struct parser *p, uint32_t v)
{
	return p->swap ? __builtin_bswap32(v) : v;
}

static uint64_t xword(const struct parser *p, uint64_t v)
{
	return p->swap ? __builtin_bswap64(v) : v;
}

static bool read_segment(const struct parser *p, uint64_t at, struct segment *ret)
{
	Elf32_Phdr small;
	Elf64_Phdr large;

	if (p->elf->class == ELFCLASS32) {
		if (!p->read(p->userdata, at, &small, sizeof(small)))
			return false;
		*ret = (struct segment){word(p, small.p_type), word(p, small.p_offset),
					word(p, small.p_filesz)};
	} else {
		if (!p->read(p->userdata, at, &large, sizeof(large)))
			return false;
		*ret = (struct segment){word(p, large.p_type), xword(p, large.p_offset),
					xword(p, large.p_filesz)};
	}
	return true;
}

static int take_interp(struct parser *p, const struct segment *segment)
{
	char *interp = p->elf->interp;

	/* The kernel's own test, load_elf_binary(): 2 to PATH_MAX bytes, a NUL at the end. */
	if (segment->size < 2 || segment->size > sizeof(p->elf->interp))
		return -ENOEXEC;
	if (!p->read(p->userdata, segment->offset, interp, (size_t)segment->size) ||
	    interp[segment->size - 1] != '\0') {
		interp[0] = '\0';
		return -ENOEXEC;
	}
	return 0;
}

static void take_notes(struct parser *p, const struct segment *segment)
{
	unsigned char buf[NOTES_MAX];
	size_t size = segment->size < sizeof(buf) ? (size_t)segment->size : sizeof(buf);

	if (!p->read(p->userdata, segment->offset, buf, size))
		return;
	for (size_t at = 0; size - at >= sizeof(Elf32_Nhdr);) {
		size_t name_len, desc_len, left;
		Elf32_Nhdr note;

		memcpy(&note, buf + at, sizeof(note));
		at += sizeof(note);
		left = size - at;
		name_len = ((size_t)word(p, note.n_namesz) + 3) & ~(size_t)3;
		desc_len = ((size_t)word(p, note.n_descsz) + 3) & ~(size_t)3;
		if (name_len > left || desc_len > left - name_len)
			return;
		if (word(p, note.n_type) == GO_NOTE_TYPE && name_len == 4 &&
		    memcmp(buf + at, GO_NOTE_NAME "\0", 4) == 0)
			p->elf->go = true;
		at += name_len + desc_len;
	}
}

static int take_segments(struct parser *p, uint64_t at, unsigned n, unsigned step)
{
	for (unsigned i = 0; i < n; i++) {
		struct segment segment;
		int r = 0;

		if (__builtin_add_overflow(at, i ? step : 0, &at) || !read_segment(p, at, &segment))
			return -ENOEXEC;
		if (segment.type == PT_INTERP && p->elf->interp[0] == '\0')
			r = take_interp(p, &segment);
		else if (segment.type == PT_NOTE)
			take_notes(p, &segment);
		if (r < 0)
			return r;
	}
	return 0;
}

int elf_parse(elf_read *read, void *userdata, struct elf *ret)
{
	unsigned char ident[EI_NIDENT];
	struct parser parser = {read, userdata, ret, false};
	uint16_t type, n, step;
	uint64_t at;

	memset(ret, 0, sizeof(*ret));
	if (!read(userdata, 0, ident, sizeof(ident)) || memcmp(ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	ret->class = ident[EI_CLASS];
	ret->data = ident[EI_DATA];
	if (ret->data != ELFDATA2LSB && ret->data != ELFDATA2MSB)
		return -ENOEXEC;
	parser.swap = (ret->data == ELFDATA2LSB) != (BYTE_ORDER == LITTLE_ENDIAN);

	if (ret->class == ELFCLASS32) {
		Elf32_Ehdr header;

		if (!read(userdata, 0, &header, sizeof(header)))
			return -ENOEXEC;
		type = half(&parser, header.e_type);
		ret->machine = half(&parser, header.e_machine);
		n = half(&parser, header.e_phnum);
		step = half(&parser, header.e_phentsize);
		at = word(&parser, header.e_phoff);
	} else if (ret->class == ELFCLASS64) {
		Elf64_Ehdr header;

		if (!read(userdata, 0, &header, sizeof(header)))
			return -ENOEXEC;
		type = half(&parser, header.e_type);
		ret->machine = half(&parser, header.e_machine);
		n = half(&parser, header.e_phnum);
		step = half(&parser, header.e_phentsize);
		at = xword(&parser, header.e_phoff);
	} else {
		return -ENOEXEC;
	}
	if ((type != ET_EXEC && type != ET_DYN) || n == 0 || n > HEADERS_MAX)
		return -ENOEXEC;
	if (step != (ret->class == ELFCLASS32 ? sizeof(Elf32_Phdr) : sizeof(Elf64_Phdr)))
		return -ENOEXEC;
	return take_segments(&parser, at, n, step);
}
