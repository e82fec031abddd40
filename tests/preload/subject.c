/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/pidfd.h"
#include "unit/unit.h"

/* The variables that count here are only those that a test gives. */
static char **make_environment(const char *preloaded, const char *const *variables)
{
	static char preload[4096];
	static char *environment[16];
	static char rooted[256];
	size_t n = 0;

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", preloaded);
	environment[n++] = preload;
	environment[n++] = (char *)"PATH=/usr/local/bin:/usr/bin:/bin";
	for (; *variables; variables++) {
		size_t len = strcspn(*variables, "@");

		environment[n++] = (char *)*variables;
		if ((*variables)[len] == '\0')
			continue;
		snprintf(rooted, sizeof(rooted), "%.*s%d", (int)len, *variables, getpid());
		environment[n - 1] = rooted;
	}
	environment[n] = NULL;
	return environment;
}

static void read_sockets(struct subject *subject, FILE *lines)
{
	char line[128];

	while (fgets(line, sizeof(line), lines)) {
		unsigned n = subject->n_sockets;

		if (strcmp(line, "ready\n") == 0)
			return;
		assert_true(n < SUBJECT_SOCKETS_MAX);
		assert_int_equal(
			sscanf(line, "%31s %d", subject->sockets[n].name, &subject->sockets[n].fd),
			2);
		subject->n_sockets++;
	}
	fail_msg("the program ended before it was ready");
}

struct subject subject_start(const char *preloaded, bool valgrind, const char *const *variables,
			     const char *const *argv)
{
	const char *all[24] = {"valgrind", "-q", "--error-exitcode=99", "--trace-children=yes",
			       "--leak-check=no"};
	struct subject subject = {0};
	int input[2], output[2];
	size_t n = valgrind ? 5 : 0;
	FILE *lines;

	while (*argv)
		all[n++] = *argv++;
	all[n] = NULL;
	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	subject.pid = fork();
	assert_true(subject.pid >= 0);
	if (subject.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(input[0], STDIN_FILENO);
		dup2(output[1], STDOUT_FILENO);
		execvpe(all[0], (char **)all, make_environment(preloaded, variables));
		_exit(127);
	}
	close(input[0]);
	close(output[1]);
	subject.input = input[1];
	subject.pidfd = pidfd_of(subject.pid, 0);
	assert_true(subject.pidfd >= 0);
	lines = fdopen(output[0], "r");
	read_sockets(&subject, lines);
	fclose(lines);
	return subject;
}

void subject_finish(struct subject *subject)
{
	int status;

	close(subject->input);
	assert_int_equal(waitpid(subject->pid, &status, 0), subject->pid);
	assert_int_equal(status, 0);
	close(subject->pidfd);
}

/* A descriptor of our own for the program's socket. */
static int grab(const struct subject *subject, const char *name)
{
	for (unsigned i = 0; i < subject->n_sockets; i++)
		if (strcmp(subject->sockets[i].name, name) == 0) {
			int fd = pidfd_duplicate(subject->pidfd, subject->sockets[i].fd);

			assert_true(fd >= 0);
			return fd;
		}
	fail_msg("the program has no socket %s", name);
	return -1;
}

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

void subject_expect(const struct subject *subject, const char *name, const struct values *want)
{
	_cleanup_close_ int fd = grab(subject, name);
	struct values got = {
		option(fd, SOL_SOCKET, SO_KEEPALIVE),
		option(fd, IPPROTO_TCP, TCP_KEEPIDLE),
		option(fd, IPPROTO_TCP, TCP_KEEPINTVL),
		option(fd, IPPROTO_TCP, TCP_KEEPCNT),
	};

	if (memcmp(&got, want, sizeof(got)) != 0)
		fail_msg("%s: on %d, %d/%d/%d instead of on %d, %d/%d/%d", name, got.on, got.time_s,
			 got.intvl_s, got.probes, want->on, want->time_s, want->intvl_s,
			 want->probes);
}
