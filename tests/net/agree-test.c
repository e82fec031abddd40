/* SPDX-License-Identifier: MIT */
/*
 * The three sources of a snapshot, socket by socket: what two of them can see, they see alike. The
 * set holds every state, family, direction and kind of owner; it lives in a network of its own.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "connections.h"
#include "lab/lab.h"
#include "sockets/snapshot.h"
#include "unit/unit.h"

#define SEEN_MAX   128
#define OWNERS_MAX 4

/* The walks follow each other: clocks go on between them. */
#define CLOCK_MS 400

struct seen_row {
	struct socket_row socket;
	struct tcpkeep_effective effective;
	struct socket_owner owners[OWNERS_MAX];
	size_t n_owners;
};

struct seen {
	struct seen_row rows[SEEN_MAX];
	size_t n;
	struct snapshot_report report;
};

static int see(const struct snapshot_row *row, void *userdata)
{
	struct seen *seen = userdata;
	struct seen_row *copy = &seen->rows[seen->n++];

	assert_true(seen->n <= SEEN_MAX);
	copy->socket = row->socket;
	copy->effective = row->effective;
	copy->n_owners = row->n_owners;
	assert_true(row->n_owners <= OWNERS_MAX);
	if (row->n_owners > 0)
		memcpy(copy->owners, row->owners, row->n_owners * sizeof(*row->owners));
	return 0;
}

static void look(enum snapshot_source source, struct seen *ret)
{
	const struct snapshot_options options = {.source = source, .owners = true, .netns = here};
	struct tcpkeep_error error = {0};

	*ret = (struct seen){0};
	if (snapshot_run(&options, see, ret, &ret->report, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(ret->report.source, source);
}

static bool same_socket(const struct socket_row *a, const struct socket_row *b)
{
	return a->local_port == b->local_port && a->peer_port == b->peer_port &&
	       memcmp(a->local, b->local, sizeof(a->local)) == 0 &&
	       memcmp(a->peer, b->peer, sizeof(a->peer)) == 0;
}

static const struct seen_row *find(const struct seen *seen, const struct socket_row *row)
{
	for (size_t i = 0; i < seen->n; i++)
		if (same_socket(&seen->rows[i].socket, row))
			return &seen->rows[i];
	return NULL;
}

static void assert_near(int64_t a, int64_t b)
{
	if (llabs(a - b) > CLOCK_MS)
		fail_msg("%lld and %lld", (long long)a, (long long)b);
}

static void compare_sockets(const struct socket_row *a, const struct socket_row *b)
{
	uint8_t known = a->known & b->known;
	uint8_t flags = (uint8_t) ~(known & ROW_KNOWN_KEEPALIVE ? 0 : ROW_KEEPALIVE);

	assert_int_equal(a->family, b->family);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->direction, b->direction);
	assert_int_equal(a->flags & flags, b->flags & flags);
	assert_int_equal(a->inode, b->inode);
	assert_int_equal(a->uid, b->uid);
	assert_true(a->cookie == b->cookie);
	assert_int_equal(a->unacked, b->unacked);
	assert_int_equal(a->unsent, b->unsent);
	if (known & ROW_KNOWN_CGROUP)
		assert_true(a->cgroup == b->cgroup);
	if (known & ROW_KNOWN_SILENCE)
		assert_near(a->silence_ms, b->silence_ms);
	if (known & ROW_KNOWN_TIMER) {
		assert_int_equal(a->timer, b->timer);
		assert_near(a->timer_ms, b->timer_ms);
		assert_int_equal(a->probes_out, b->probes_out);
		assert_int_equal(a->retransmits, b->retransmits);
	}
}

static void compare_settings(const struct tcpkeep_effective *a, const struct tcpkeep_effective *b)
{
	struct tcpkeep_settings x = a->settings, y = b->settings;
	uint32_t fields = x.fields & y.fields;

	x.fields = y.fields = fields;
	assert_true(tcpkeep_settings_equal(&x, &y));
	/* getsockopt() cannot always tell where a value comes from; it must not tell otherwise. */
	if (fields & TCPKEEP_TIME && a->time_origin != TCPKEEP_ORIGIN_EITHER &&
	    b->time_origin != TCPKEEP_ORIGIN_EITHER)
		assert_int_equal(a->time_origin, b->time_origin);
}

static void compare(const struct seen *a, const struct seen *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct seen_row *x = &a->rows[i], *y = find(b, &x->socket);

		if (!y)
			fail_msg("port %u in state %u is seen by one source only",
				 x->socket.local_port, x->socket.state);
		compare_sockets(&x->socket, &y->socket);
		compare_settings(&x->effective, &y->effective);
		assert_int_equal(x->n_owners, y->n_owners);
		for (size_t j = 0; j < x->n_owners; j++) {
			assert_int_equal(x->owners[j].pid, y->owners[j].pid);
			assert_int_equal(x->owners[j].fd, y->owners[j].fd);
			assert_string_equal(x->owners[j].program, y->owners[j].program);
		}
	}
}

/* ---------------------------------------------------------------------------------- the set */

static void give(int fd, int time_s, int intvl_s, int probes)
{
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, time_s);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, intvl_s);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
}

static void make_established(void)
{
	static const int protocols[] = {IPPROTO_TCP, IPPROTO_MPTCP};

	for (int kind = KIND_V4; kind <= KIND_MAPPED; kind++)
		for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
			for (int accepted = 0; accepted < 2; accepted++) {
				struct connection c =
					connection_make((enum kind)kind, protocols[i], accepted);

				if (accepted)
					give(c.ours, 61 + kind, 11, 7);
				if (accepted || kind == KIND_V6)
					set_int(c.ours, SOL_SOCKET, SO_KEEPALIVE, 1);
				if (protocols[i] == IPPROTO_TCP && kind == KIND_V4)
					set_int(c.ours, IPPROTO_TCP, TCP_USER_TIMEOUT, 77000);
			}
}

static void make_listeners(void)
{
	int listener = listener_make(KIND_V4, true, IPPROTO_TCP, 8);
	int six = listener_make(KIND_V6, true, IPPROTO_TCP, 8);

	give(listener, 300, 30, 3);
	set_int(listener, SOL_SOCKET, SO_KEEPALIVE, 1);
	/* Two that wait to be accepted. */
	connect_to(KIND_V4, false, IPPROTO_TCP, port_of(listener), 0);
	connect_to(KIND_V6, false, IPPROTO_TCP, port_of(six), 0);
}

static void make_connecting(void)
{
	int full = listener_make(KIND_V4, false, IPPROTO_TCP, 0);
	int deferring = listener_make(KIND_V6, true, IPPROTO_TCP, 8);

	connect_to(KIND_V4, true, IPPROTO_TCP, port_of(full), 0);
	connect_to(KIND_V4, true, IPPROTO_TCP, port_of(full), SOCK_NONBLOCK);
	set_int(deferring, IPPROTO_TCP, TCP_DEFER_ACCEPT, 60);
	connect_to(KIND_V6, false, IPPROTO_TCP, port_of(deferring), 0);
}

static void make_orphans(void)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);

	/* FIN_WAIT2 in keepalive's timer, FIN_WAIT2 as a minisocket, TIME_WAIT. */
	set_int(c.ours, IPPROTO_TCP, TCP_LINGER2, 110);
	shutdown(c.ours, SHUT_WR);
	wait_for_state(c.ours, FIN_WAIT2);
	close(c.ours);
	c = connection_make(KIND_V6, IPPROTO_TCP, false);
	shutdown(c.ours, SHUT_WR);
	wait_for_state(c.ours, FIN_WAIT2);
	close(c.ours);
	c = connection_make(KIND_MAPPED, IPPROTO_TCP, false);
	shutdown(c.ours, SHUT_WR);
	wait_for_state(c.ours, FIN_WAIT2);
	close(c.ours);
	close(c.theirs);
}

static void make_half_closed(void)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);

	set_int(c.ours, SOL_SOCKET, SO_KEEPALIVE, 1);
	shutdown(c.theirs, SHUT_WR);
	wait_for_state(c.ours, CLOSE_WAIT);
	c = connection_make(KIND_V6, IPPROTO_TCP, false);
	set_int(c.ours, SOL_SOCKET, SO_KEEPALIVE, 1);
	shutdown(c.ours, SHUT_WR);
	wait_for_state(c.ours, FIN_WAIT2);
}

/* Last: from here on nothing arrives any more. */
static void make_unanswered(void)
{
	struct connection flying = connection_make(KIND_V4, IPPROTO_TCP, false);
	struct connection closing = connection_make(KIND_V6, IPPROTO_TCP, false);
	struct connection lost = connection_make(KIND_MAPPED, IPPROTO_TCP, false);

	set_int(flying.ours, SOL_SOCKET, SO_KEEPALIVE, 1);
	link_cut();
	assert_int_equal(send(flying.ours, "data in flight", 14, 0), 14);
	shutdown(closing.ours, SHUT_WR);
	close(lost.ours);
}

/* A process that shares all of them. */
static pid_t start_second_owner(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

/* Nothing that happens by itself has happened from one look to the other. */
static bool stood_still(const struct seen *a, const struct seen *b)
{
	bool still = a->n == b->n;

	for (size_t i = 0; still && i < a->n; i++) {
		const struct socket_row *x = &a->rows[i].socket, *y = &b->rows[i].socket;

		still = same_socket(x, y) && x->state == y->state && x->timer == y->timer &&
			x->retransmits == y->retransmits && x->probes_out == y->probes_out;
	}
	return still;
}

static void the_sources_agree_socket_by_socket(void **state)
{
	static struct seen bpf, fds, diag, again;
	uint32_t states = 0;
	pid_t second;

	(void)state;
	make_established();
	make_listeners();
	make_connecting();
	make_half_closed();
	make_orphans();
	make_unanswered();
	second = start_second_owner();

	/* A retransmission, or the end of a TIME_WAIT, between two looks is no disagreement. */
	for (int tries = 0; tries < 20; tries++) {
		look(SNAPSHOT_BPF, &bpf);
		look(SNAPSHOT_DIAG_FD, &fds);
		look(SNAPSHOT_DIAG, &diag);
		look(SNAPSHOT_BPF, &again);
		if (stood_still(&bpf, &again))
			break;
	}
	kill(second, SIGKILL);
	waitpid(second, NULL, 0);

	for (size_t i = 0; i < bpf.n; i++)
		states |= 1U << bpf.rows[i].socket.state;
	assert_int_equal(states, 1U << ESTABLISHED | 1U << SYN_SENT | 1U << NEW_SYN_RECV |
					 1U << FIN_WAIT1 | 1U << FIN_WAIT2 | 1U << TIME_WAIT |
					 1U << CLOSE_WAIT | 1U << LISTEN);
	compare(&bpf, &fds);
	compare(&bpf, &diag);
	compare(&fds, &diag);

	/* What only the kernel can tell, and what nobody guesses. */
	for (size_t i = 0; i < bpf.n; i++) {
		bool full = bpf.rows[i].socket.cookie != 0;

		assert_int_equal(!!(bpf.rows[i].effective.settings.fields & TCPKEEP_TIME), full);
		assert_int_equal(diag.rows[i].effective.settings.fields & TCPKEEP_THREE, 0);
	}
	link_mend();
	look(SNAPSHOT_BPF, &again);
	assert_true(again.n > 0);
}

static int count(const struct snapshot_row *row, void *userdata)
{
	(void)row;
	++*(size_t *)userdata;
	return 0;
}

static size_t matched(enum snapshot_source source, const char *const words[])
{
	struct selector selector = {0};
	const struct snapshot_options options = {
		.source = source, .selector = &selector, .netns = here};
	struct snapshot_report report;
	struct tcpkeep_error error;
	size_t n = 0;

	for (; *words; words++)
		if (selector_parse_word(&selector, *words, strlen(*words), &error) < 0)
			fail_msg("%s", error.message);
	assert_int_equal(snapshot_run(&options, count, &n, &report, &error), 0);
	assert_int_equal(report.matched, n);
	return n;
}

/*
 * The kernel's filter and user space's, over the same sockets: a walk of the one stands between two
 * of the other. Where these differ, a socket has come or gone (a TIME_WAIT ends, a SYN is given up
 * by the kernel): that says nothing of the filters.
 */
static size_t matches_of_all(const char *const words[])
{
	size_t before = 0, after = 0, diag = 0;

	for (int tries = 0; tries < 10; tries++) {
		before = matched(SNAPSHOT_BPF, words);
		diag = matched(SNAPSHOT_DIAG_FD, words);
		after = matched(SNAPSHOT_BPF, words);
		if (before == after)
			break;
	}
	if (before != after || after != diag)
		fail_msg("'%s': %zu, then %zu by BPF, %zu by sock_diag between", words[0], before,
			 after, diag);
	return after;
}

static void selectors_choose_the_same_everywhere(void **state)
{
	static const char *const selections[][4] = {
		{"state=established"},
		{"state!=established,listen"},
		{"keepalive=on"},
		{"keepalive=off", "state=established"},
		{"direction=in"},
		{"local=::/0"},
		{"local=0.0.0.0/0", "direction!=in"},
		{"peer=:1-40000,:50000-65535"},
		{"silent<10m"},
		{"silent>10m"},
		{"user=root", "state=connected"},
		{"user!=root"},
	};
	size_t all = matched(SNAPSHOT_BPF, (const char *const[]){NULL}), some = 0;

	(void)state;
	assert_true(all > 10);
	for (size_t i = 0; i < ARRAY_SIZE(selections); i++) {
		size_t in_kernel = matches_of_all(selections[i]);

		some += in_kernel > 0 && in_kernel < all;
	}
	assert_true(some >= 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sources_agree_socket_by_socket),
		cmocka_unit_test(selectors_choose_the_same_everywhere),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("agree", tests, networks_make, NULL);
}
