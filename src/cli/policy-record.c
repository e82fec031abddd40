/* SPDX-License-Identifier: MIT */
/*
 * The record that an applied policy carries, as text:
 *
 *	tcpkeep-policy 1
 *	digest 0123456789abcdef
 *	file /etc/tcpkeep/policy.conf		or: from standard input
 *
 *	rule "..." { ...
 *
 * Lines that are not known are passed over: a newer tcpkeep may write more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "policy-verbs.h"

static const char magic[] = "tcpkeep-policy 1\n";
static const char from_stdin[] = "from standard input";

/* Against accidents: who may write the record may write the rules. */
void policy_record_digest(const char *text, char ret[24])
{
	snprintf(ret, 24, "%016" PRIx64, hash_bytes(text, strlen(text)));
}

char *policy_record_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *folder = NULL, *real = NULL;
	char *absolute;

	if (strcmp(path, POLICY_STDIN) == 0 || access(path, F_OK) < 0)
		return NULL;
	folder = slash ? strndup(path, (size_t)(slash + 1 - path)) : strdup(".");
	real = folder ? realpath(folder, NULL) : NULL;
	if (!real || asprintf(&absolute, "%s/%s", strcmp(real, "/") == 0 ? "" : real,
			      slash ? slash + 1 : path) < 0)
		return NULL;
	/* It would be read as another line. */
	if (strchr(absolute, '\n')) {
		free(absolute);
		return NULL;
	}
	return absolute;
}

int policy_record_make(const struct policy *policy, const char *path, char *blob, size_t *ret_len)
{
	_cleanup_free_ char *text = NULL, *absolute = policy_record_path(path);
	size_t text_len;
	char digest[24];
	int n, r;

	r = policy_format(policy, &text);
	if (r < 0)
		return r;
	policy_record_digest(text, digest);
	n = snprintf(blob, POLICY_BLOB_MAX, "%sdigest %s\n%s%s\n", magic, digest,
		     strcmp(path, POLICY_STDIN) == 0 ? from_stdin : "file ",
		     absolute ? absolute : "");
	if (n >= POLICY_BLOB_MAX)
		return -ENAMETOOLONG;
	text_len = strlen(text);
	if ((size_t)n + 1 + text_len <= POLICY_BLOB_MAX) {
		blob[n++] = '\n';
		memcpy(blob + n, text, text_len);
		n += (int)text_len;
	}
	*ret_len = (size_t)n;
	return 0;
}

/* The value of "KEY VALUE", or nothing. */
static void take(const char *line, size_t len, const char *key, char *ret, size_t size)
{
	size_t key_len = strlen(key);

	if (len <= key_len || memcmp(line, key, key_len) != 0 || len - key_len >= size)
		return;
	memcpy(ret, line + key_len, len - key_len);
	ret[len - key_len] = '\0';
}

bool policy_record_read(const void *blob, size_t len, struct policy_record *ret)
{
	const char *at = blob, *end;

	*ret = (struct policy_record){0};
	if (len < strlen(magic) || memcmp(blob, magic, strlen(magic)) != 0)
		return false;
	end = at + len;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((newline ? newline : end) - at);

		if (n == 0) {
			ret->text = at + 1;
			ret->text_len = (size_t)(end - at) - 1;
			break;
		}
		take(at, n, "digest ", ret->digest, sizeof(ret->digest));
		take(at, n, "file ", ret->path, sizeof(ret->path));
		ret->is_stdin |= n == strlen(from_stdin) && memcmp(at, from_stdin, n) == 0;
		at = newline ? newline + 1 : end;
	}
	return true;
}
