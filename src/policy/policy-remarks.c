/* SPDX-License-Identifier: MIT */
/* Remarks are gathered, and told in the order of the files and their lines. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "policy-reader.h"

static const char enough[] = "there are more errors; correct these first";

/* Paths and names are printed as they are: nothing in them may be a control character. */
static void tame(char *message)
{
	for (; *message; message++)
		if ((unsigned char)*message < 0x20 || *message == 0x7f)
			*message = '?';
}

void policy_note(struct policy_reader *reader, size_t file, unsigned line, bool is_error,
		 const char *format, ...)
{
	struct policy_note *grown;
	char *message = NULL;
	va_list args;
	int n;

	reader->has_errors |= is_error;
	if (reader->n_notes >= POLICY_REMARKS_MAX) {
		if (reader->n_notes > POLICY_REMARKS_MAX)
			return;
		format = enough;
	}
	va_start(args, format);
	n = vasprintf(&message, format, args);
	va_end(args);
	grown = array_grow(reader->notes, reader->n_notes, &reader->notes_room, sizeof(*grown));
	if (grown)
		reader->notes = grown;
	if (n < 0 || !grown) {
		reader->no_memory = true;
		if (n >= 0)
			free(message);
		return;
	}
	tame(message);
	grown[reader->n_notes] =
		(struct policy_note){file, line, reader->n_notes, is_error, message};
	reader->n_notes++;
}

size_t policy_file_of(const struct policy_reader *reader, const char *path)
{
	size_t i = 0;

	while (reader->sources[i].path != path)
		i++;
	return i;
}

static int compare(const void *a, const void *b)
{
	const struct policy_note *x = a, *y = b;

	if (x->number == POLICY_REMARKS_MAX || y->number == POLICY_REMARKS_MAX)
		return x->number == POLICY_REMARKS_MAX ? 1 : -1;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

void policy_tell(struct policy_reader *reader, policy_remark_fn fn, void *userdata)
{
	if (reader->n_notes > 0)
		qsort(reader->notes, reader->n_notes, sizeof(*reader->notes), compare);
	for (size_t i = 0; fn && i < reader->n_notes; i++) {
		const struct policy_note *note = &reader->notes[i];
		struct policy_remark remark = {reader->sources[note->file].path, note->line,
					       note->is_error, note->message};

		fn(&remark, userdata);
	}
}
