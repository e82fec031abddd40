/* SPDX-License-Identifier: MIT */
/* What a boot will make hold: every file of sysctl.d, in the order and with the rules of
 * systemd-sysctl. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/macro.h"
#include "error.h"
#include "rooted.h"
#include "sysctl-conf.h"

/*
 * A file name in an earlier directory hides the same name in the later ones. /lib is for systems
 * whose /lib is not a link to /usr/lib: elsewhere its names are hidden.
 */
static const char *const directories[] = {
	"/etc/sysctl.d",     "/run/sysctl.d", "/usr/local/lib/sysctl.d",
	"/usr/lib/sysctl.d", "/lib/sysctl.d",
};

struct conf_file {
	char path[sizeof("/usr/local/lib/sysctl.d/") + NAME_MAX];
	size_t rank; /* index in directories */
};

struct statement {
	size_t file;
	unsigned line;
	uint32_t fields;
	bool glob;
	char *key;
	char *value;    /* NULL: "-key" */
	size_t renewed; /* the statement that put this key where it stands in the order of
			   application */
	bool replaced;  /* a later statement for the same key holds instead */
};

struct boot {
	struct conf_file *files;
	size_t n_files, room_files;
	struct statement *statements;
	size_t n_statements, room_statements;
	int failure; /* the first file that could not be read */
};

static void boot_clear(struct boot *b)
{
	for (size_t i = 0; i < b->n_statements; i++) {
		free(b->statements[i].key);
		free(b->statements[i].value);
	}
	free(b->statements);
	free(b->files);
}

/* ------------------------------------------------------------------------------- the files */

static void cleanup_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static bool is_conf(const char *name)
{
	size_t len = strlen(name);

	return name[0] != '.' && len > 5 && strcmp(name + len - 5, ".conf") == 0;
}

/* Notes the first failure; the walk goes on with what can be read. */
static void note_failure(struct boot *b, int r, const char *path, struct tcpkeep_error *ret_error)
{
	char shown[128];

	if (b->failure)
		return;
	b->failure =
		error_set(ret_error, r, "%s: cannot be read: %s; what it sets at boot is unknown",
			  escape_text(path, strlen(path), shown, sizeof(shown)),
			  r == -EFBIG ? "larger than 1 MiB" : strerror(-r));
}

static int list_directory(struct boot *b, const char *root, size_t rank,
			  struct tcpkeep_error *ret_error)
{
	_cleanup_(cleanup_closedir) DIR *dir = NULL;
	struct dirent *entry;
	int fd;

	fd = rooted_open(root, directories[rank], O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		if (fd != -ENOENT && fd != -ENOTDIR)
			note_failure(b, fd, directories[rank], ret_error);
		return 0;
	}
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return error_set(ret_error, -ENOMEM, "out of memory");
	}
	while ((entry = readdir(dir))) {
		struct conf_file *grown;

		if (!is_conf(entry->d_name))
			continue;
		grown = array_grow(b->files, b->n_files, &b->room_files, sizeof(*grown));
		if (!grown)
			return error_set(ret_error, -ENOMEM, "out of memory");
		b->files = grown;
		b->files[b->n_files].rank = rank;
		snprintf(b->files[b->n_files].path, sizeof(grown->path), "%s/%s", directories[rank],
			 entry->d_name);
		b->n_files++;
	}
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	const struct conf_file *x = a, *y = b;
	int order = strcmp(strrchr(x->path, '/'), strrchr(y->path, '/'));

	return order ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

/* By name; of one name the first directory's alone. */
static void sort_and_hide(struct boot *b)
{
	size_t kept = 0;

	if (b->n_files == 0)
		return;
	qsort(b->files, b->n_files, sizeof(*b->files), compare_files);
	for (size_t i = 0; i < b->n_files; i++)
		if (kept == 0 || strcmp(strrchr(b->files[kept - 1].path, '/'),
					strrchr(b->files[i].path, '/')) != 0)
			b->files[kept++] = b->files[i];
	b->n_files = kept;
}

/* -------------------------------------------------------------------------- the statements */

static int add_statement(struct boot *b, size_t file, const struct sysctl_conf_line *line)
{
	struct statement *grown, *s;

	grown = array_grow(b->statements, b->n_statements, &b->room_statements, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	b->statements = grown;
	s = &b->statements[b->n_statements];
	*s = (struct statement){.file = file, .line = line->number, .fields = line->fields};
	s->glob = line->glob;
	s->renewed = b->n_statements;
	s->key = strdup(line->key);
	if (!s->key)
		return -ENOMEM;
	if (line->value) {
		s->value = strndup(line->value, line->value_len);
		if (!s->value) {
			free(s->key);
			return -ENOMEM;
		}
	}
	b->n_statements++;
	return 0;
}

static bool same_value(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The same key again: another value moves it to the end of the order, the same one leaves it there.
 */
static void replace_earlier(struct boot *b)
{
	struct statement *last = &b->statements[b->n_statements - 1];

	for (struct statement *s = last; s-- > b->statements;) {
		if (s->replaced || strcmp(s->key, last->key) != 0)
			continue;
		s->replaced = true;
		if (same_value(s->value, last->value))
			last->renewed = s->renewed;
		break; /* whatever stands before was replaced by this one */
	}
}

static int read_file(struct boot *b, const char *root, size_t file, struct tcpkeep_error *ret_error)
{
	_cleanup_free_ char *text = NULL;
	struct sysctl_conf_reader reader;
	struct sysctl_conf_line line;
	size_t len;
	int r;

	r = rooted_read(root, b->files[file].path, &text, &len);
	/* A dangling link, a directory, /dev/null: sets nothing, and hid what it hid. */
	if (r == -ENOENT || r == -EISDIR || r == -EINVAL || r == -ELOOP)
		return 0;
	if (r < 0) {
		note_failure(b, r, b->files[file].path, ret_error);
		return 0;
	}
	sysctl_conf_start(&reader, text, len);
	while (sysctl_conf_next(&reader, &line)) {
		if (!line.fields)
			continue;
		r = add_statement(b, file, &line);
		if (r < 0)
			return error_set(ret_error, r, "out of memory");
		replace_earlier(b);
	}
	return 0;
}

/* The statement that holds for a field after all are applied, or NULL. */
static const struct statement *winner(const struct boot *b, uint32_t field)
{
	const struct statement *best = NULL;

	/* A key that is spelt out takes itself out of all patterns, also as "-key". */
	for (size_t i = 0; i < b->n_statements; i++) {
		const struct statement *s = &b->statements[i];

		if (!s->glob && !s->replaced && s->fields & field)
			return s->value ? s : NULL;
	}
	for (size_t i = 0; i < b->n_statements; i++) {
		const struct statement *s = &b->statements[i];

		if (s->glob && !s->replaced && s->value && s->fields & field &&
		    (!best || s->renewed > best->renewed))
			best = s;
	}
	return best;
}

static int report(const struct boot *b,
		  int (*fn)(const struct tcpkeep_persisted *persisted, void *userdata),
		  void *userdata)
{
	const struct statement *winners[] = {
		winner(b, TCPKEEP_TIME),
		winner(b, TCPKEEP_INTVL),
		winner(b, TCPKEEP_PROBES),
	};
	static const uint32_t fields[] = {TCPKEEP_TIME, TCPKEEP_INTVL, TCPKEEP_PROBES};

	for (size_t n = 0; n < b->n_statements; n++) {
		const struct statement *s = &b->statements[n];

		for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
			struct tcpkeep_persisted persisted = {
				.path = b->files[s->file].path,
				.line = s->line,
				.field = fields[i],
				.value = s->value,
				.wins = s == winners[i],
			};
			int r;

			if (!(s->fields & fields[i]) || !s->value)
				continue;
			r = fn(&persisted, userdata);
			if (r != 0)
				return r;
		}
	}
	return 0;
}

EXPORT int tcpkeep_persist_foreach(const char *root,
				   int (*fn)(const struct tcpkeep_persisted *persisted,
					     void *userdata),
				   void *userdata, struct tcpkeep_error *ret_error)
{
	_cleanup_(boot_clear) struct boot b = {0};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		r = list_directory(&b, root, i, ret_error);
		if (r < 0)
			return r;
	}
	sort_and_hide(&b);
	for (size_t i = 0; i < b.n_files; i++) {
		r = read_file(&b, root, i, ret_error);
		if (r < 0)
			return r;
	}
	r = report(&b, fn, userdata);
	return r != 0 ? r : b.failure;
}
