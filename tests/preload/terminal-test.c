/* SPDX-License-Identifier: MIT */
/*
 * Terminal, job control, signals, exit status: the same with tcpkeep in between as without. A
 * process plays the shell on a pseudo-terminal; each sequence runs with the bare program, under
 * each method and with --report.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/macro.h"
#include "unit/unit.h"

/* How the program is started. */
static const struct mode {
	const char *name;
	const char *args[6];
} modes[] = {
	{"bare", {NULL}},
	{"preload", {"run", "--method", "preload", "--"}},
	{"preload --report", {"run", "--method", "preload", "--report", "--"}},
	{"seccomp", {"run", "--method", "seccomp", "--"}},
	{"seccomp --report", {"run", "--method", "seccomp", "--report", "--"}},
	{"bpf", {"run", "--method", "bpf", "--"}},
	{"bpf --report", {"run", "--method", "bpf", "--report", "--"}},
};

#define DEADLINE_S 20

static char scratch[] = "/tmp/tcpkeep-terminal-XXXXXX";

/* What fails in a child is said and ends it: cmocka knows nothing of it. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "# %s:%d: %s (errno %d)\n", __FILE__, __LINE__,            \
				#condition, errno);                                                \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

_Noreturn static void execute(const struct mode *mode, const char *const *argv)
{
	const char *all[16];
	size_t n = 0;

	if (mode->args[0])
		all[n++] = getenv("TCPKEEP");
	for (size_t i = 0; mode->args[i]; i++)
		all[n++] = mode->args[i];
	while (*argv)
		all[n++] = *argv++;
	all[n] = NULL;
	execvp(all[0], (char **)all);
	_exit(127);
}

/* --------------------------------------------------------------------------------- the shell */

struct terminal {
	int master;
	char seen[8192]; /* what came out of it */
	size_t n;
};

static void type(const struct terminal *terminal, const char *text)
{
	MUST(write(terminal->master, text, strlen(text)) == (ssize_t)strlen(text));
}

/* Waits until text has come out, and forgets what came before and with it. */
static void await(struct terminal *terminal, const char *text)
{
	char *found;

	while (!(found = strstr(terminal->seen, text))) {
		struct pollfd fd = {terminal->master, POLLIN, 0};
		ssize_t got;

		MUST(poll(&fd, 1, DEADLINE_S * 1000) == 1);
		MUST(terminal->n < sizeof(terminal->seen) - 1);
		got = read(terminal->master, terminal->seen + terminal->n,
			   sizeof(terminal->seen) - 1 - terminal->n);
		MUST(got > 0);
		terminal->n += (size_t)got;
		terminal->seen[terminal->n] = '\0';
	}
	found += strlen(text);
	terminal->n -= (size_t)(found - terminal->seen);
	memmove(terminal->seen, found, terminal->n + 1);
}

/* A session with the terminal as its own, in which this process is the shell. */
static void become_shell(struct terminal *terminal)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	int slave;

	alarm(DEADLINE_S);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	*terminal = (struct terminal){.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
	MUST(terminal->master >= 0 && grantpt(terminal->master) == 0 &&
	     unlockpt(terminal->master) == 0);
	MUST(setsid() >= 0);
	slave = open(ptsname(terminal->master), O_RDWR);
	MUST(slave >= 0 && ioctl(slave, TIOCSCTTY, 0) == 0);
	MUST(dup2(slave, STDIN_FILENO) == 0 && dup2(slave, STDOUT_FILENO) == 1);
	sigaction(SIGTTOU, &ignore, NULL);
}

static pid_t start_job(const struct mode *mode, const char *const *argv, bool foreground)
{
	pid_t job = fork();

	MUST(job >= 0);
	if (job == 0) {
		struct sigaction by_default = {.sa_handler = SIG_DFL};

		setpgid(0, 0);
		if (foreground)
			tcsetpgrp(STDIN_FILENO, getpid());
		sigaction(SIGTTOU, &by_default, NULL);
		/* Who started the tests in the background of a script has both ignored. */
		sigaction(SIGINT, &by_default, NULL);
		sigaction(SIGQUIT, &by_default, NULL);
		dup2(STDOUT_FILENO, STDERR_FILENO);
		execute(mode, argv);
	}
	setpgid(job, job);
	MUST(!foreground || tcsetpgrp(STDIN_FILENO, job) == 0);
	return job;
}

static int await_job(pid_t job)
{
	int status;

	MUST(waitpid(job, &status, WUNTRACED) == job);
	return status;
}

static void resume_job(pid_t job)
{
	MUST(tcsetpgrp(STDIN_FILENO, job) == 0);
	MUST(kill(-job, SIGCONT) == 0);
}

static void play_stop_and_go(const struct mode *mode)
{
	static const char *const argv[] = {"cat", NULL};
	struct terminal terminal;
	int status;
	pid_t job;

	become_shell(&terminal);
	job = start_job(mode, argv, true);
	type(&terminal, "hello\n");
	await(&terminal, "hello\r\nhello\r\n"); /* the echo and cat's own */
	for (int i = 0; i < 3; i++) {
		type(&terminal, "\x1a");
		status = await_job(job);
		MUST(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
		MUST(tcsetpgrp(STDIN_FILENO, getpid()) == 0);
		resume_job(job);
		type(&terminal, "again\n");
		await(&terminal, "again\r\nagain\r\n");
	}
	type(&terminal, "\x04");
	status = await_job(job);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* In the background a program that reads the terminal is stopped, and goes on in the foreground. */
static void play_background(const struct mode *mode)
{
	static const char *const argv[] = {"sh", "-c", "read line; echo got $line", NULL};
	struct terminal terminal;
	int status;
	pid_t job;

	become_shell(&terminal);
	job = start_job(mode, argv, false);
	status = await_job(job);
	MUST(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
	resume_job(job);
	type(&terminal, "it\n");
	await(&terminal, "got it\r\n");
	status = await_job(job);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A whole group is stopped and continued from outside. */
static void play_group_stop(const struct mode *mode)
{
	static const char *const argv[] = {"cat", NULL};
	struct terminal terminal;
	int status;
	pid_t job;

	become_shell(&terminal);
	job = start_job(mode, argv, true);
	type(&terminal, "hello\n");
	await(&terminal, "hello\r\nhello\r\n");
	for (int i = 0; i < 3; i++) {
		MUST(kill(-job, SIGSTOP) == 0);
		status = await_job(job);
		MUST(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
		resume_job(job);
		type(&terminal, "again\n");
		await(&terminal, "again\r\nagain\r\n");
	}
	type(&terminal, "\x04");
	status = await_job(job);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool reports(const struct mode *mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(mode->args) && mode->args[i]; i++)
		if (strcmp(mode->args[i], "--report") == 0)
			return true;
	return false;
}

static void play_key(const struct mode *mode, const char *key, const char *then, int signal_number)
{
	static const char *const argv[] = {"cat", NULL};
	struct terminal terminal;
	int status;
	pid_t job;

	become_shell(&terminal);
	job = start_job(mode, argv, true);
	type(&terminal, "hello\n");
	await(&terminal, "hello\r\nhello\r\n");
	type(&terminal, key);
	status = await_job(job);
	MUST(WIFSIGNALED(status) && WTERMSIG(status) == signal_number);
	/* The report begins a line of its own. */
	if (reports(mode))
		await(&terminal, then);
}

static void play_interrupt(const struct mode *mode)
{
	play_key(mode, "\x03", "^C\r\ntcpkeep: run: no TCP socket", SIGINT);
}

static void play_quit(const struct mode *mode)
{
	play_key(mode, "\x1c", "^\\\r\ntcpkeep: run: no TCP socket", SIGQUIT);
}

/* A handler sees one SIGINT for one key, and the program decides what becomes of it. */
static void play_one_interrupt(const struct mode *mode)
{
	static const char *const argv[] = {
		"bash", "-c",
		"n=0; trap 'n=$((n + 1))' INT; echo here; read a; read b; echo \"count $n\"; exit 5",
		NULL};
	struct terminal terminal;
	int status;
	pid_t job;

	become_shell(&terminal);
	job = start_job(mode, argv, true);
	await(&terminal, "here\r\n");
	type(&terminal, "\x03");
	await(&terminal, "^C");
	type(&terminal, "a\nb\nc\n");
	await(&terminal, "count 1\r\n");
	status = await_job(job);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 5);
}

/* ------------------------------------------------------------------------ without a terminal */

/* The program's output comes through a pipe; *ret_output is its reading end. */
static pid_t start_piped(const struct mode *mode, const char *const *argv, int *ret_output)
{
	int fds[2];
	pid_t pid;

	MUST(pipe2(fds, O_CLOEXEC) == 0);
	alarm(DEADLINE_S);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		execute(mode, argv);
	}
	close(fds[1]);
	*ret_output = fds[0];
	return pid;
}

static void await_line(int output, const char *want)
{
	char line[128];
	size_t n = 0;

	do
		MUST(n < sizeof(line) - 1 && read(output, line + n, 1) == 1);
	while (line[n++] != '\n');
	line[n - 1] = '\0';
	if (strcmp(line, want) != 0) {
		fprintf(stderr, "# '%s' instead of '%s'\n", line, want);
		_exit(1);
	}
}

static void play_forwarded(const struct mode *mode)
{
	const char *const argv[] = {getenv("SHIM_PROGRAM"), "signals", NULL};
	static const int signals[] = {SIGUSR1, SIGWINCH, SIGHUP, SIGUSR1, SIGALRM, SIGINT};
	union sigval value = {.sival_int = 4711};
	char line[32];
	int output, status;
	pid_t pid;

	pid = start_piped(mode, argv, &output);
	await_line(output, "ready");
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		MUST(kill(pid, signals[i]) == 0);
		snprintf(line, sizeof(line), "%d 0", signals[i]);
		await_line(output, line);
	}
	MUST(sigqueue(pid, SIGRTMIN + 3, value) == 0);
	snprintf(line, sizeof(line), "%d 4711", SIGRTMIN + 3);
	await_line(output, line);
	MUST(kill(pid, SIGTERM) == 0);
	MUST(waitpid(pid, &status, 0) == pid);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 9);
}

/* The line is cut: the kernel tells the session's leader, and the program hears of it wherever it
 * is. */
static void play_hangup(const struct mode *mode)
{
	const char *const argv[] = {getenv("SHIM_PROGRAM"), "signals-apart", NULL};
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	int fds[2], status;
	char line[16];
	pid_t pid;

	alarm(DEADLINE_S);
	MUST(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	MUST(pipe2(fds, O_CLOEXEC) == 0);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		int slave;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		MUST(setsid() >= 0);
		slave = open(ptsname(master), O_RDWR);
		MUST(slave >= 0 && ioctl(slave, TIOCSCTTY, 0) == 0);
		dup2(slave, STDIN_FILENO);
		dup2(fds[1], STDOUT_FILENO);
		execute(mode, argv);
	}
	close(fds[1]);
	await_line(fds[0], "ready");
	close(master);
	snprintf(line, sizeof(line), "%d 0", SIGHUP);
	await_line(fds[0], line);
	MUST(kill(pid, SIGTERM) == 0);
	MUST(waitpid(pid, &status, 0) == pid);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 9);
}

/* Death by signal is passed on. A core, where one is dumped, is the program's: tcpkeep dumps no
 * second one. */
static void play_deaths(const struct mode *mode)
{
	static const int signals[] = {SIGTERM, SIGKILL, SIGSEGV, SIGABRT, SIGPIPE, SIGUSR2};
	bool waits = mode->args[0] && strcmp(mode->args[3], "--report") == 0;
	struct rlimit limit;
	char command[64];
	const char *const argv[] = {"sh", "-c", command, NULL};
	int output, status;
	pid_t pid;

	/* Cores are wanted here, somewhere else. */
	MUST(getrlimit(RLIMIT_CORE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	MUST(setrlimit(RLIMIT_CORE, &limit) == 0 && chdir(scratch) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		snprintf(command, sizeof(command), "kill -%d $$", signals[i]);
		pid = start_piped(mode, argv, &output);
		MUST(waitpid(pid, &status, 0) == pid);
		MUST(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
		if (waits)
			MUST(!WCOREDUMP(status));
		close(output);
	}
}

static void play_exit_status(const struct mode *mode)
{
	static const int statuses[] = {0, 1, 4, 77, 126, 127, 255};
	char command[64];
	const char *const argv[] = {"sh", "-c", command, NULL};
	int output, status;
	pid_t pid;

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		snprintf(command, sizeof(command), "exit %d", statuses[i]);
		pid = start_piped(mode, argv, &output);
		MUST(waitpid(pid, &status, 0) == pid);
		MUST(WIFEXITED(status) && WEXITSTATUS(status) == statuses[i]);
		close(output);
	}
}

/* A program that stops itself stops the job, and kill -CONT brings it back. */
static void play_self_stop(const struct mode *mode)
{
	static const char *const argv[] = {"sh", "-c",
					   "echo here; kill -STOP $$; echo back; exit 3", NULL};
	int output, status;
	pid_t pid;

	pid = start_piped(mode, argv, &output);
	await_line(output, "here");
	MUST(waitpid(pid, &status, WUNTRACED) == pid);
	MUST(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	MUST(kill(pid, SIGCONT) == 0);
	await_line(output, "back");
	MUST(waitpid(pid, &status, 0) == pid);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

/* kill -9 takes the program along: its end of the pipe closes. */
static void play_killed(const struct mode *mode)
{
	static const char *const argv[] = {"sh", "-c", "echo here; exec cat /dev/zero >&2", NULL};
	int output, status, null = open("/dev/null", O_WRONLY);
	char end;
	pid_t pid;

	MUST(null >= 0 && dup2(null, STDERR_FILENO) >= 0);
	pid = start_piped(mode, argv, &output);
	await_line(output, "here");
	MUST(kill(pid, SIGKILL) == 0);
	MUST(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	MUST(read(output, &end, 1) == 0);
}

/* ------------------------------------------------------------------------------------- main */

static const struct play {
	const char *title;
	void (*play)(const struct mode *mode);
} plays[] = {
	{"^Z, fg, ^D", play_stop_and_go},
	{"background and foreground", play_background},
	{"kill -STOP and -CONT of the group", play_group_stop},
	{"^C", play_interrupt},
	{"^\\", play_quit},
	{"^C arrives once", play_one_interrupt},
	{"signals are forwarded", play_forwarded},
	{"hangup of the terminal", play_hangup},
	{"death by signal", play_deaths},
	{"exit status", play_exit_status},
	{"a program that stops itself", play_self_stop},
	{"kill -9", play_killed},
};

struct test {
	const struct play *play;
	const struct mode *mode;
	char title[96];
};

static void test_play(void **state)
{
	const struct test *test = *state;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		test->play->play(test->mode);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int make_scratch(void **state)
{
	(void)state;
	return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
	char line[64];

	(void)state;
	snprintf(line, sizeof(line), "rm -rf '%s'", scratch);
	return system(line);
}

int main(void)
{
	static struct test all[ARRAY_SIZE(plays) * ARRAY_SIZE(modes)];
	static struct CMUnitTest tests[ARRAY_SIZE(all)];
	size_t n = 0;

	if (!getenv("TCPKEEP")) {
		fprintf(stderr, "terminal-test: run it by meson, which sets its environment\n");
		return EXIT_FAILURE;
	}
	for (size_t p = 0; p < ARRAY_SIZE(plays); p++)
		for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
			/* Root's. */
			if (strncmp(modes[m].name, "bpf", 3) == 0 && geteuid() != 0)
				continue;
			all[n] = (struct test){&plays[p], &modes[m], ""};
			snprintf(all[n].title, sizeof(all[n].title), "%s: %s", modes[m].name,
				 plays[p].title);
			tests[n] =
				(struct CMUnitTest){all[n].title, test_play, NULL, NULL, &all[n]};
			n++;
		}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return _cmocka_run_group_tests("terminal", tests, n, make_scratch, remove_scratch);
}
