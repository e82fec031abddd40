/* SPDX-License-Identifier: MIT */
/* sock_diag as rows: the whole held against ss(8), and the surroundings of a walk. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "connections.h"
#include "lab/lab.h"
#include "sockets/diag.h"
#include "unit/unit.h"

/* ------------------------------------------------------------------------- held against ss(8) */

static const char *const ss_states[] = {
	[ESTABLISHED] = "ESTAB",     [SYN_SENT] = "SYN-SENT",   [FIN_WAIT1] = "FIN-WAIT-1",
	[FIN_WAIT2] = "FIN-WAIT-2",  [TIME_WAIT] = "TIME-WAIT", [CLOSE_WAIT] = "CLOSE-WAIT",
	[LAST_ACK] = "LAST-ACK",     [LISTEN] = "LISTEN",       [CLOSING] = "CLOSING",
	[NEW_SYN_RECV] = "SYN-RECV",
};

static const char *const ss_timers[] = {
	[ROW_TIMER_RETRANSMIT] = "timer:(on,",       [ROW_TIMER_WINDOW_PROBE] = "timer:(persist,",
	[ROW_TIMER_KEEPALIVE] = "timer:(keepalive,", [ROW_TIMER_TIME_WAIT] = "timer:(timewait,",
	[ROW_TIMER_SYN_ACK] = "timer:(on,",
};

static void ss_address(const struct socket_row *row, const uint32_t address[4], unsigned port,
		       char *buf, size_t size)
{
	char ip[INET6_ADDRSTRLEN], number[12] = "*";

	if (row->family == AF_INET)
		inet_ntop(AF_INET, &address[3], ip, sizeof(ip));
	else
		inet_ntop(AF_INET6, address, ip, sizeof(ip));
	if (port)
		snprintf(number, sizeof(number), "%u", port);
	snprintf(buf, size, row->family == AF_INET ? "%s:%s" : "[%s]:%s", ip, number);
}

/* The number behind a word of the line, or 0. */
static unsigned long long ss_number(const char *line, const char *key, int base)
{
	const char *at = strstr(line, key);
	unsigned long long number;
	char *end;

	if (!at)
		return 0;
	at += strlen(key);
	number = strtoull(at, &end, base);
	assert_true(end > at);
	return number;
}

static void check_ss_line(const char *line, const struct socket_row *row)
{
	const char *timer = ss_timers[row->timer];

	assert_int_equal(strncmp(line, ss_states[row->state], strlen(ss_states[row->state])), 0);
	if (timer)
		assert_non_null(strstr(line, timer));
	else
		assert_null(strstr(line, "timer:("));
	assert_int_equal(row->inode, ss_number(line, " ino:", 10));
	if (row->cookie && !(row->flags & ROW_MPTCP))
		assert_int_equal(row->cookie, ss_number(line, " sk:", 16));
	if (row->state == LISTEN)
		return;
	assert_int_equal(row->unsent, ss_number(line, " notsent:", 10));
}

static size_t check_ss(FILE *ss, const struct rows *rows)
{
	static char line[4096];
	size_t n = 0;

	while (fgets(line, sizeof(line), ss)) {
		char local[80], peer[80], want_local[80], want_peer[80];
		const struct socket_row *found = NULL;

		assert_int_equal(sscanf(line, "%*s %*s %*s %79s %79s", local, peer), 2);
		for (size_t i = 0; i < rows->n; i++) {
			const struct socket_row *row = &rows->row[i];

			ss_address(row, row->local, row->local_port, want_local,
				   sizeof(want_local));
			ss_address(row, row->peer, row->peer_port, want_peer, sizeof(want_peer));
			if (strcmp(local, want_local) == 0 &&
			    (row->state == LISTEN || strcmp(peer, want_peer) == 0))
				found = row;
		}
		assert_non_null(found);
		check_ss_line(line, found);
		n++;
	}
	return n;
}

static void ss_tells_the_same(void **state)
{
	static char name[] = "ss", options[] = "-HOtanoie";
	static char *const argv[] = {name, options, NULL};
	struct connection c[6];
	int listeners[3], pipe_fds[2], pidfd = -1, status;
	struct rows rows;
	FILE *ss;
	pid_t pid;

	(void)state;
	for (int i = 0; i < 6; i++) {
		c[i] = connection_make((enum kind)(i % 3), IPPROTO_TCP, i & 1);
		set_int(c[i].ours, SOL_SOCKET, SO_KEEPALIVE, i < 3);
	}
	for (int i = 0; i < 3; i++)
		listeners[i] = listener_make((enum kind)i, true, IPPROTO_TCP, 5);
	shutdown(c[0].theirs, SHUT_WR);
	shutdown(c[1].ours, SHUT_WR);
	wait_for_state(c[0].ours, CLOSE_WAIT);
	wait_for_state(c[1].ours, FIN_WAIT2);

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid = lab_spawn(here, argv, NULL, (int[]){-1, pipe_fds[1], -1}, &pidfd, NULL);
	if (pid == -ENOENT)
		skip();
	assert_true(pid > 0);
	close(pipe_fds[1]);
	rows_walk(&rows);
	ss = fdopen(pipe_fds[0], "r");
	assert_int_equal(check_ss(ss, &rows), rows.n);
	assert_true(rows.n >= 9);
	fclose(ss);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(pidfd);
	for (int i = 0; i < 6; i++)
		connection_close(&c[i]);
	for (int i = 0; i < 3; i++)
		close(listeners[i]);
}

/* ------------------------------------------------------------------------------ surroundings */

static int stop_at_second(struct socket_row *row, void *userdata)
{
	int *n = userdata;

	(void)row;
	return ++*n == 2 ? 42 : 0;
}

static void the_callback_ends_the_walk(void **state)
{
	_cleanup_close_ int a = listener_make(KIND_V4, true, 0, 1);
	_cleanup_close_ int b = listener_make(KIND_V6, true, 0, 1);
	size_t interrupted = 99;
	int n = 0;

	(void)state;
	assert_true(a >= 0 && b >= 0);
	assert_int_equal(diag_walk(here, stop_at_second, &n, &interrupted, NULL), 42);
	assert_int_equal(n, 2);
	assert_int_equal(interrupted, 99); /* on success only */
}

static void what_is_no_namespace_is_refused_in_words(void **state)
{
	_cleanup_close_ int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct tcpkeep_error error = {0};
	struct rows rows = {.n = 0};
	size_t interrupted;

	(void)state;
	assert_int_equal(diag_walk(file, rows_collect, &rows, &interrupted, &error), -EINVAL);
	assert_non_null(strstr(error.message, "network namespace"));
	assert_int_equal(rows.n, 0);
}

/* Somebody without any privilege, in there. The exit status tells which check failed. */
static int look_as_nobody(void *userdata)
{
	const struct rows *want = userdata;
	static struct rows rows;
	size_t interrupted;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		rows.n = 0;
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(10);
		if (diag_walk(TCPKEEP_NETNS_OWN, rows_collect, &rows, &interrupted, NULL) < 0)
			_exit(11);
		if (rows.n != want->n)
			_exit(12);
		for (size_t i = 0; i < rows.n; i++)
			if (rows.row[i].flags != want->row[i].flags ||
			    rows.row[i].cookie != want->row[i].cookie ||
			    rows.row[i].known != want->row[i].known)
				_exit(13);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static void nobody_sees_the_same(void **state)
{
	struct connection tcp = connection_make(KIND_V4, IPPROTO_TCP, true);
	struct connection mptcp = connection_make(KIND_V6, IPPROTO_MPTCP, false);
	struct rows rows;

	(void)state;
	if (getuid() != 0)
		skip();
	set_int(tcp.ours, SOL_SOCKET, SO_KEEPALIVE, 1);
	rows_walk(&rows);
	assert_int_equal(lab_in_netns(here, look_as_nobody, &rows), 0);
	connection_close(&tcp);
	connection_close(&mptcp);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ss_tells_the_same),
		cmocka_unit_test(the_callback_ends_the_walk),
		cmocka_unit_test(what_is_no_namespace_is_refused_in_words),
		cmocka_unit_test(nobody_sees_the_same),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("diag-ss", tests, networks_make, NULL);
}
