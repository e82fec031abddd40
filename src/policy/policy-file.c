/* SPDX-License-Identifier: MIT */
/* A policy from its file and what that includes. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "keepalive/error.h"
#include "policy-reader.h"

static int read_file(struct policy_reader *reader, const char *path, unsigned line,
		     struct tcpkeep_error *ret_error);

/* ----------------------------------------------------------------------------------- a text */

/* What no editor shows, and what would end a name early. One remark for each line. */
static void check_bytes(struct policy_reader *reader, const char *text, size_t len)
{
	unsigned line = 1, told = 0;
	size_t n;

	for (size_t at = 0; at < len; at += n) {
		unsigned byte = (unsigned char)text[at];
		uint32_t code = 0;

		n = utf8_decode(text + at, len - at, &code);
		line += text[at] == '\n';
		if ((n > 0 && code >= 0x20 && !(code >= 0x7f && code < 0xa0)) || code == '\t' ||
		    code == '\n' || code == '\r' || told == line) {
			n += n == 0;
			continue;
		}
		told = line;
		if (n == 0)
			policy_fail(reader, line,
				    "byte 0x%02x is not UTF-8; save the file as UTF-8", byte);
		else if (code == 0)
			policy_fail(reader, line, "a NUL byte; this is no text file");
		else
			policy_fail(reader, line, "a control character, 0x%02x; take it out",
				    (unsigned)code);
		n += n == 0;
	}
}

static void take_block(const struct policy_block *block, void *userdata)
{
	struct policy_reader *reader = userdata;

	if (policy_is_enough(reader))
		return;
	if (policy_word_is(&block->kind, POLICY_RULE))
		policy_take_rule(reader, block);
	else
		policy_take_profile(reader, block);
}

static void take_error(unsigned line, const char *message, void *userdata)
{
	struct policy_reader *reader = userdata;

	policy_fail(reader, line, "%s", message);
}

static void take_include(const struct policy_word *pattern, void *userdata);

/* text is changed. */
static int read_bytes(struct policy_reader *reader, char *text, size_t len)
{
	static const char mark[] = "\xef\xbb\xbf"; /* a byte order mark, as some editors leave */
	struct policy_events events = {policy_knows_key, take_block, take_include, take_error,
				       reader};

	if (len >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0) {
		text += strlen(mark);
		len -= strlen(mark);
	}
	check_bytes(reader, text, len);
	return policy_parse(text, len, &events);
}

/* ----------------------------------------------------------------------------------- a file */

static int add_source(struct policy_reader *reader, const char *path, const struct stat *st,
		      unsigned line)
{
	struct policy_source *grown = array_grow(reader->sources, reader->n_sources,
						 &reader->sources_room, sizeof(*grown));

	if (grown)
		reader->sources = grown;
	if (!grown)
		return -ENOMEM;
	grown += reader->n_sources;
	*grown = (struct policy_source){strdup(path), st->st_dev, st->st_ino, reader->file, line};
	if (!grown->path)
		return -ENOMEM;
	reader->n_sources++;
	return 0;
}

const char *policy_file_name(const char *path)
{
	return strcmp(path, POLICY_STDIN) == 0 ? "stdin" : path;
}

/* Opens what must be a file of a sensible size: no device, no pipe that nobody writes to. Standard
 * input is what the caller has chosen. */
static int open_file(const char *path, bool is_stdin, struct stat *ret,
		     struct tcpkeep_error *ret_error)
{
	_cleanup_close_ int fd = is_stdin
					 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
					 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, ret) < 0)
		return error_set(ret_error, -errno, "cannot be read: %s", strerror(errno));
	if (S_ISDIR(ret->st_mode))
		return error_set(ret_error, -EISDIR,
				 "is a directory; name a file, or in an include \"%s/*.conf\"",
				 strlen(path) < 60 ? path : "DIRECTORY");
	if (is_stdin && !S_ISREG(ret->st_mode))
		return steal_fd(&fd);
	if (S_ISFIFO(ret->st_mode) && strncmp(path, "/dev/", 5) == 0)
		return error_set(ret_error, -EINVAL,
				 "is a pipe; what is piped in is named " POLICY_STDIN);
	if (!S_ISREG(ret->st_mode))
		return error_set(ret_error, -EINVAL, "is not a regular file");
	if (ret->st_size > POLICY_FILE_MAX)
		return error_set(ret_error, -EFBIG, "is %lld bytes long; accepted: up to %d",
				 (long long)ret->st_size, POLICY_FILE_MAX);
	return steal_fd(&fd);
}

/* Whole; one byte more than is accepted shows that it grew meanwhile. */
static int slurp(int fd, char **ret, size_t *ret_len, struct tcpkeep_error *ret_error)
{
	_cleanup_free_ char *text = malloc(POLICY_FILE_MAX + 1);
	size_t len = 0;
	ssize_t n;

	if (!text)
		return error_set(ret_error, -ENOMEM, "out of memory");
	do {
		n = read(fd, text + len, POLICY_FILE_MAX + 1 - len);
		if (n < 0 && errno != EINTR)
			return error_set(ret_error, -errno, "cannot be read: %s", strerror(errno));
		len += n > 0 ? (size_t)n : 0;
	} while (n != 0 && len <= POLICY_FILE_MAX);
	if (len > POLICY_FILE_MAX)
		return error_set(ret_error, -EFBIG, "is too long; accepted: up to %d bytes",
				 POLICY_FILE_MAX);
	*ret = steal_pointer(&text);
	*ret_len = len;
	return 0;
}

/* Who can write it rules every connection of this machine. */
static void check_mode(struct policy_reader *reader, const struct stat *st)
{
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		policy_warn(
			reader, 0,
			"the file is writable by %s: who can write it rules every new connection; "
			"run chmod go-w",
			st->st_mode & S_IWOTH ? "everybody" : "its group");
	if (st->st_uid != 0 && st->st_uid != geteuid())
		policy_warn(reader, 0,
			    "the file belongs to user %u, who rules every new connection with it; "
			    "run chown root",
			    (unsigned)st->st_uid);
}

/* Read already: by itself in the end, or by two includes. */
static bool is_read_already(struct policy_reader *reader, const char *path, const struct stat *st,
			    unsigned line)
{
	char shown[256];

	for (size_t i = 0; i < reader->n_sources; i++) {
		const struct policy_source *source = &reader->sources[i];
		size_t up = reader->file;

		if (source->device != st->st_dev || source->inode != st->st_ino)
			continue;
		escape_text(path, strlen(path), shown, sizeof(shown));
		while (up != i && up != 0)
			up = reader->sources[up].parent;
		if (up == i)
			policy_fail(reader, line, "include: %s includes itself, over this line",
				    shown);
		else
			policy_fail(reader, line, "include: %s was included already, at %s:%u",
				    shown, reader->sources[source->parent].path, source->line);
		return true;
	}
	return false;
}

/* line: of the include; 0 for the first file. 0 also with errors told; -errno with words when the
 * file itself cannot be had. */
static int read_file(struct policy_reader *reader, const char *path, unsigned line,
		     struct tcpkeep_error *ret_error)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	size_t len = 0, file = reader->file;
	/* As a file of its own: the name - is that of the first one alone. */
	bool is_stdin = line == 0 && strcmp(path, POLICY_STDIN) == 0;
	struct stat st;
	int r;

	fd = open_file(path, is_stdin, &st, ret_error);
	if (fd < 0)
		return fd;
	if (is_read_already(reader, path, &st, line))
		return 0;
	r = slurp(fd, &text, &len, ret_error);
	if (r < 0)
		return r;
	r = add_source(reader, is_stdin ? policy_file_name(path) : path, &st, line);
	if (r < 0)
		return error_set(ret_error, r, "out of memory");
	reader->file = reader->n_sources - 1;
	reader->depth++;
	if (!is_stdin)
		check_mode(reader, &st);
	r = read_bytes(reader, text, len);
	reader->depth--;
	reader->file = file;
	return r < 0 ? error_set(ret_error, r, "out of memory") : 0;
}

/* --------------------------------------------------------------------------------- includes */

/* The pattern below the directory of the file that includes; the caller's to free. */
static char *resolve(const struct policy_reader *reader, const struct policy_word *pattern)
{
	const char *path = reader->sources[reader->file].path, *slash = strrchr(path, '/');
	char *full;

	if (pattern->text[0] == '/' || !slash)
		return strndup(pattern->text, pattern->len);
	if (asprintf(&full, "%.*s%.*s", (int)(slash + 1 - path), path, (int)pattern->len,
		     pattern->text) < 0)
		return NULL;
	return full;
}

static void include_file(struct policy_reader *reader, const char *path, unsigned line)
{
	struct tcpkeep_error error;
	char shown[256];

	if (reader->n_sources >= POLICY_FILES_MAX) {
		policy_fail(reader, line, "include: more than %d files in all; join some",
			    POLICY_FILES_MAX);
		return;
	}
	if (read_file(reader, path, line, &error) < 0)
		policy_fail(reader, line, "include: %s %s",
			    escape_text(path, strlen(path), shown, sizeof(shown)), error.message);
}

/* A directory at a time: a glob over directories could walk the whole file system. */
static bool is_pattern_good(struct policy_reader *reader, const struct policy_word *pattern)
{
	const char *slash = memrchr(pattern->text, '/', pattern->len);
	char shown[POLICY_SHOWN_MAX];

	policy_show(pattern, shown);
	if (pattern->len == 0 || memchr(pattern->text, '\0', pattern->len))
		policy_fail(reader, pattern->line,
			    "include: '%s' is no file; write include \"policy.d/*.conf\"", shown);
	else if (pattern->len > 1024)
		policy_fail(reader, pattern->line, "include: '%s' is too long for a path", shown);
	else if (slash && (memchr(pattern->text, '*', (size_t)(slash - pattern->text)) ||
			   memchr(pattern->text, '?', (size_t)(slash - pattern->text)) ||
			   memchr(pattern->text, '[', (size_t)(slash - pattern->text))))
		policy_fail(reader, pattern->line,
			    "include: '%s': a glob may stand in the last part of the path alone",
			    shown);
	else if (reader->no_files)
		policy_fail(reader, pattern->line, "include: this text has no file to be beside");
	else if (reader->depth >= POLICY_DEPTH_MAX)
		policy_fail(reader, pattern->line,
			    "include: more than %d files deep; include this one further up",
			    POLICY_DEPTH_MAX);
	else
		return true;
	return false;
}

static void take_include(const struct policy_word *pattern, void *userdata)
{
	struct policy_reader *reader = userdata;
	_cleanup_free_ char *path = NULL;
	glob_t found = {0};
	int r;

	if (policy_is_enough(reader) || !is_pattern_good(reader, pattern))
		return;
	path = resolve(reader, pattern);
	if (!path) {
		reader->no_memory = true;
		return;
	}
	if (strpbrk(path, "*?[") == NULL) {
		include_file(reader, path, pattern->line);
		return;
	}
	/* Sorted by bytes: this program keeps to the C locale. A directory that is not there has no
	 * files. */
	r = glob(path, GLOB_ERR, NULL, &found);
	if (r == GLOB_ABORTED && errno != ENOENT && errno != ENOTDIR)
		policy_fail(reader, pattern->line, "include: %s cannot be searched: %s", path,
			    strerror(errno));
	else if (r == GLOB_NOSPACE)
		reader->no_memory = true;
	for (size_t i = 0; r == 0 && i < found.gl_pathc && !policy_is_enough(reader); i++)
		include_file(reader, found.gl_pathv[i], pattern->line);
	globfree(&found);
}

/* ------------------------------------------------------------------------------- the policy */

static void free_reader(struct policy_reader *reader)
{
	for (size_t i = 0; i < reader->n_sources; i++)
		free(reader->sources[i].path);
	for (size_t i = 0; i < reader->n_drafts; i++)
		free(reader->drafts[i]);
	for (size_t i = 0; i < reader->n_notes; i++)
		free(reader->notes[i].message);
	free(reader->sources);
	free(reader->drafts);
	free(reader->profiles);
	free(reader->notes);
}

static int take_rules(struct policy_reader *reader, struct policy *policy)
{
	policy->rules = calloc(reader->n_drafts + 1, sizeof(*policy->rules));
	if (!policy->rules)
		return -ENOMEM;
	for (; policy->n_rules < reader->n_drafts; policy->n_rules++)
		policy->rules[policy->n_rules] = reader->drafts[policy->n_rules]->rule;
	return 0;
}

/* The reader's paths, to which its rules and remarks point until then. */
static int take_paths(struct policy_reader *reader, struct policy *policy)
{
	policy->paths = calloc(reader->n_sources + 1, sizeof(*policy->paths));
	if (!policy->paths)
		return -ENOMEM;
	for (; policy->n_paths < reader->n_sources; policy->n_paths++)
		policy->paths[policy->n_paths] =
			steal_pointer(&reader->sources[policy->n_paths].path);
	return 0;
}

/* After the last file. */
static int finish(struct policy_reader *reader, policy_remark_fn remark, void *userdata,
		  struct policy *policy)
{
	policy_resolve_profiles(reader);
	policy_check(reader);
	if (reader->no_memory)
		return -ENOMEM;
	policy_tell(reader, remark, userdata);
	return reader->has_errors ? -EINVAL : take_rules(reader, policy);
}

int policy_read(const char *path, policy_remark_fn remark, void *userdata, struct policy *ret,
		struct tcpkeep_error *ret_error)
{
	_cleanup_(free_reader) struct policy_reader reader = {0};
	struct tcpkeep_error error;
	char shown[128];
	const char *name = policy_file_name(path);
	int r;

	*ret = (struct policy){0};
	escape_text(name, strlen(name), shown, sizeof(shown));
	r = read_file(&reader, path, 0, &error);
	if (r < 0)
		return error_set(ret_error, r, "%s %s", shown, error.message);
	r = finish(&reader, remark, userdata, ret);
	if ((r == 0 || r == -EINVAL) && take_paths(&reader, ret) < 0)
		r = -ENOMEM;
	if (r == -ENOMEM)
		policy_free(ret);
	if (r == -EINVAL)
		error_set(ret_error, r, "%s has errors", shown);
	else if (r < 0)
		error_set(ret_error, r, "out of memory");
	return r;
}

int policy_read_text(const char *name, const char *text, size_t len, policy_remark_fn remark,
		     void *userdata, struct policy *ret)
{
	_cleanup_(free_reader) struct policy_reader reader = {.no_files = true};
	_cleanup_(policy_free) struct policy policy = {0};
	_cleanup_free_ char *copy = malloc(len + 1);
	int r;

	if (!copy || len > POLICY_FILE_MAX)
		return copy ? -EFBIG : -ENOMEM;
	memcpy(copy, text, len);
	r = add_source(&reader, name, &(struct stat){0}, 0);
	if (r == 0)
		r = read_bytes(&reader, copy, len);
	if (r == 0)
		r = finish(&reader, remark, userdata, &policy);
	if (r == 0)
		r = take_paths(&reader, &policy);
	if (r < 0)
		return r;
	*ret = policy;
	policy = (struct policy){0};
	return 0;
}

void policy_free(struct policy *policy)
{
	for (size_t i = 0; i < policy->n_paths; i++)
		free(policy->paths[i]);
	free(policy->paths);
	free(policy->rules);
	*policy = (struct policy){0};
}
