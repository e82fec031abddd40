/* SPDX-License-Identifier: MIT */
/* nftables by nft(8), as a program: its library is under the GPL. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "keepalive/error.h"
#include "lab.h"
#include "spawn.h"

/* A user's PATH often lacks the directories where nft is. */
#define SBIN "/usr/sbin:/sbin:/usr/local/sbin"

static int find_in(const char *path, char *buf, size_t size)
{
	while (path && *path) {
		int len = (int)strcspn(path, ":");
		int n = snprintf(buf, size, "%.*s/nft", len, path);

		if (len > 0 && n > 0 && (size_t)n < size && access(buf, X_OK) == 0)
			return 0;
		path += len;
		path += *path == ':';
	}
	return -ENOENT;
}

/* An anonymous file with the text, to be read from its beginning. */
static int file_with(const char *text)
{
	_cleanup_close_ int fd = memfd_create("tcpkeep-rules", MFD_CLOEXEC);
	size_t len = strlen(text);

	if (fd < 0)
		return -errno;
	if (pwrite(fd, text, len, 0) != (ssize_t)len)
		return errno ? -errno : -EIO;
	return steal_fd(&fd);
}

/* nft's first line, without its newline. */
static void first_line(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	buf[MAX(n, 0)] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EINVAL;
}

int lab_rules(int netns, const char *ruleset, struct tcpkeep_error *error)
{
	_cleanup_close_ int in = -1, out = -1, pidfd = -1;
	char nft[256], said[160];
	char *argv[] = {nft, (char *)"-f", (char *)"-", NULL};
	pid_t pid;
	int r;

	if (find_in(getenv("PATH"), nft, sizeof(nft)) < 0 && find_in(SBIN, nft, sizeof(nft)) < 0)
		return error_set(error, -ENOENT,
				 "nft: not found on PATH nor in %s; install nftables", SBIN);
	in = file_with(ruleset);
	out = file_with("");
	if (in < 0 || out < 0)
		return error_set(error, MIN(in, out), "nft: %s", strerror(-MIN(in, out)));
	pid = spawn(netns, argv, NULL, (int[]){in, out, out}, true, &pidfd, error);
	if (pid < 0)
		return pid;
	r = wait_for(pid);
	if (r < 0) {
		first_line(out, said, sizeof(said));
		return error_set(error, r, "nft: %s", said[0] ? said : "failed without a word");
	}
	return 0;
}
