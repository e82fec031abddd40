/* SPDX-License-Identifier: MIT */
/* What a rule does to a socket: what the program set, before and after; enforcing; who is there
 * already. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "lab/lab.h"
#include "policy-world.h"
#include "policy/policy-pins.h"
#include "unit/unit.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define RULE(rest) "rule 'it' { time = 61 intvl = 11 probes = 7 " rest " }"

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static void check(const struct world_end *end, int on, int time_s, int intvl_s, int probes,
		  int user_timeout_ms)
{
	if (end->on != on || end->time_s != time_s || end->intvl_s != intvl_s ||
	    end->probes != probes || end->user_timeout_ms != user_timeout_ms)
		fail_msg("%d %d/%d/%d %d ms instead of %d %d/%d/%d %d ms", end->on, end->time_s,
			 end->intvl_s, end->probes, end->user_timeout_ms, on, time_s, intvl_s,
			 probes, user_timeout_ms);
}

static void turn_on_first(int client, int listener)
{
	set(client, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(client, IPPROTO_TCP, TCP_KEEPIDLE, 500);
	set(listener, SOL_SOCKET, SO_KEEPALIVE, 1);
}

static void only_a_value_first(int client, int listener)
{
	set(client, IPPROTO_TCP, TCP_KEEPIDLE, 500);
	set(listener, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

static void set_after(int client, int accepted)
{
	/* Success in any case. */
	if (set(client, IPPROTO_TCP, TCP_KEEPIDLE, 500) ||
	    set(accepted, SOL_SOCKET, SO_KEEPALIVE, 0) ||
	    set(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT, 999) ||
	    set(client, IPPROTO_TCP, TCP_NODELAY, 1))
		_exit(9);
}

static void the_programs_own_stays(void **state)
{
	struct world_pair pair;

	(void)state;
	world_apply(RULE("user-timeout = 2m"));
	pair = world_connect(&(struct world_subject){.before = turn_on_first});
	check(&pair.client, 1, 500, 75, 9, 0);
	check(&pair.server, 1, 7200, 75, 9, 0);
	assert_int_equal(world_count("it").own, 2);
	assert_int_equal(world_count("it").set, 0);
	pair = world_connect(&(struct world_subject){.before = only_a_value_first});
	check(&pair.client, 1, 500, 11, 7, 120000);
	check(&pair.server, 1, 61, 11, 3, 120000);
	pair = world_connect(&(struct world_subject){.after = set_after});
	check(&pair.client, 1, 500, 11, 7, 120000);
	check(&pair.server, 0, 61, 11, 7, 999);
}

static void enforced_holds(void **state)
{
	struct world_pair pair;

	(void)state;
	world_apply(RULE("user-timeout = 2m mode = enforce"));
	pair = world_connect(&(struct world_subject){.before = turn_on_first});
	check(&pair.client, 1, 61, 11, 7, 120000);
	check(&pair.server, 1, 61, 11, 7, 120000);
	pair = world_connect(&(struct world_subject){.after = set_after});
	check(&pair.client, 1, 61, 11, 7, 120000);
	check(&pair.server, 1, 61, 11, 7, 120000);
	/* What the rule does not name is the program's. */
	world_apply("rule 'it' { time = 61 mode = enforce }");
	pair = world_connect(&(struct world_subject){.after = set_after});
	check(&pair.client, 1, 61, 75, 9, 0);
	check(&pair.server, 1, 61, 75, 9, 999);
	world_apply("rule 'it' { off mode = enforce }");
	pair = world_connect(&(struct world_subject){.before = turn_on_first});
	assert_int_equal(pair.client.on, 0);
	assert_int_equal(pair.server.on, 0);
}

/* One connection in this process, through changes of the policy. */
static void a_connection_keeps_its_rule(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(WORLD_PORT),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int status, ready[2], go[2];
	pid_t pid;
	char byte;

	(void)state;
	world_apply(RULE("mode = enforce"));
	assert_int_equal(pipe2(ready, O_CLOEXEC) | pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char path[512];
		int cgroup, listener, client;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(path, sizeof(path), "%s/cgroup.procs", world.directory);
		cgroup = open(path, O_WRONLY | O_CLOEXEC);
		if (write(cgroup, "0", 1) != 1)
			_exit(1);
		listener = socket(AF_INET, SOCK_STREAM, 0);
		client = socket(AF_INET, SOCK_STREAM, 0);
		set(listener, SOL_SOCKET, SO_REUSEADDR, 1);
		if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		    listen(listener, 8) < 0 ||
		    connect(client, (struct sockaddr *)&address, sizeof(address)) < 0)
			_exit(2);
		/* Enforced; then with another policy; then without one. */
		for (int i = 0; i < 3; i++) {
			if (write(ready[1], "", 1) != 1 || read(go[0], &byte, 1) != 1)
				_exit(3);
			if (set(client, IPPROTO_TCP, TCP_KEEPIDLE, 500) != 0 ||
			    world_read(client).time_s != (i < 2 ? 61 : 500))
				_exit(4 + i);
		}
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(write(go[1], "", 1), 1);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	world_apply("rule 'other' { peer = ':1' time = 100 }");
	assert_int_equal(write(go[1], "", 1), 1);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	world_remove();
	assert_int_equal(write(go[1], "", 1), 1);
	status = world_wait(pid);
	assert_int_equal(WEXITSTATUS(status), 0);
	close(ready[0]);
	close(ready[1]);
	close(go[0]);
	close(go[1]);
}

/* Values that no rules file lets through: the kernel refuses, and the socket is as it was. */
static void all_or_nothing(void **state)
{
	struct policy_rule rule = {
		.name = "it",
		.mode = POLICY_ENFORCE,
		.settings = {TCPKEEP_ON | TCPKEEP_THREE, true, 61, 11, 200, 0},
	};
	struct policy policy = {.rules = &rule, .n_rules = 1};
	struct policy_apply_options options = {.cgroup = world.cgroup};
	struct world_pair pair;

	(void)state;
	assert_int_equal(policy_kernel_apply(&policy, &options, NULL, NULL), 0);
	pair = world_connect(&(struct world_subject){.before = turn_on_first});
	check(&pair.client, 1, 500, 11, 9, 0);
	assert_int_equal(pair.server.on, 1);
	assert_int_equal(world_count("it").failed, 2);
	pair = world_connect(&(struct world_subject){0});
	assert_int_equal(pair.client.on, 0);
	assert_int_equal(pair.server.on, 0);
	assert_int_equal(world_count("it").failed, 4);
	assert_int_equal(world_count("it").set, 0);
}

/* Its SYN crosses itself: decided once, as outgoing. */
static void one_that_connects_to_itself(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(7000),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int status;
	pid_t pid;

	(void)state;
	world_apply(RULE("direction = out user-timeout = 2m"));
	pid = fork();
	if (pid == 0) {
		char path[512];
		struct world_end end;
		int cgroup, fd;

		snprintf(path, sizeof(path), "%s/cgroup.procs", world.directory);
		cgroup = open(path, O_WRONLY | O_CLOEXEC);
		if (write(cgroup, "0", 1) != 1)
			_exit(1);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			_exit(2);
		end = world_read(fd);
		_exit(end.on == 1 && end.time_s == 61 && end.user_timeout_ms == 120000 ? 0 : 3);
	}
	status = world_wait(pid);
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(world_count("it").matched, 1);
}

/* A server that listens before there is a policy; 'w' makes it accept one and tell its values. */
static pid_t start_server(const char *name, int *ret_to, int *ret_from)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(WORLD_PORT),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int to[2], from[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(to, O_CLOEXEC) | pipe2(from, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char path[512];
		int cgroup, listener;

		close(to[1]);
		close(from[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		snprintf(path, sizeof(path), "%s/cgroup.procs", world.directory);
		cgroup = open(path, O_WRONLY | O_CLOEXEC);
		if (write(cgroup, "0", 1) != 1)
			_exit(1);
		listener = socket(AF_INET, SOCK_STREAM, 0);
		set(listener, SOL_SOCKET, SO_REUSEADDR, 1);
		if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		    listen(listener, 8) < 0 || write(from[1], "", 1) != 1)
			_exit(2);
		while (read(to[0], &byte, 1) == 1) {
			int client = socket(AF_INET, SOCK_STREAM, 0), accepted;
			struct world_end end;

			connect(client, (struct sockaddr *)&address, sizeof(address));
			accepted = accept(listener, NULL, NULL);
			end = world_read(accepted);
			if (write(from[1], &end, sizeof(end)) != sizeof(end))
				_exit(3);
			close(client);
			close(accepted);
		}
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	assert_int_equal(read(from[0], &byte, 1), 1);
	*ret_to = to[1];
	*ret_from = from[0];
	return pid;
}

static struct world_end ask_server(int to, int from)
{
	struct world_end end;

	assert_int_equal(write(to, "w", 1), 1);
	assert_int_equal(read(from, &end, sizeof(end)), sizeof(end));
	return end;
}

/* Daemons run when a policy is applied: nobody restarts them. */
static void who_listens_already_is_known(void **state)
{
	struct policy_apply_report report;
	int to, from;
	pid_t pid;

	(void)state;
	world_remove();
	pid = start_server("tk-daemon", &to, &from);
	assert_int_equal(
		world_try_apply("rule 'it' { program = tk-daemon direction = in time = 61 }",
				&report, NULL),
		0);
	assert_int_equal(report.listeners, 1);
	assert_int_equal(ask_server(to, from).time_s, 61);
	/* Not asked for, its name is forgotten; asked for again, it is found again. */
	world_apply("rule 'it' { program = tk-other time = 62 }");
	assert_int_equal(ask_server(to, from).on, 0);
	world_apply("rule 'it' { program = 'tk-dae*' direction = in time = 63 }");
	assert_int_equal(ask_server(to, from).time_s, 63);
	world_apply("rule 'it' { program != tk-daemon time = 64 }");
	assert_int_equal(ask_server(to, from).on, 0);
	world_apply("rule 'it' { program != tk-other time = 65 }");
	assert_int_equal(ask_server(to, from).time_s, 65);
	close(to);
	assert_int_equal(world_wait(pid), 0);
	close(from);
}

/* How many connections `tcpkeep list` shows with these values, in the namespace of the caller. */
static int listed(const char *values)
{
	char command[512], line[256];
	int n = 0;
	FILE *list;

	snprintf(command, sizeof(command), "%s list -o keepalive state=established",
		 getenv("TCPKEEP"));
	list = popen(command, "re");
	while (list && fgets(line, sizeof(line), list))
		n += strncmp(line, values, strlen(values)) == 0;
	if (list)
		pclose(list);
	return n;
}

static void both_are_listed(int client, int accepted)
{
	(void)client;
	(void)accepted;
	if (listed("61/11/7") != 2)
		_exit(9);
}

static void listed_after_its_own_calls(int client, int accepted)
{
	(void)accepted;
	if (set(client, IPPROTO_TCP, TCP_KEEPIDLE, 500) || set(client, SOL_SOCKET, SO_KEEPALIVE, 0))
		_exit(9);
	if (listed("61/11/7") != 2)
		_exit(9);
}

/* The subflows have the values, enforced or not; the program's socket tells what the program wrote.
 */
static void mptcp(void **state)
{
	struct world_subject subject = {.protocol = IPPROTO_MPTCP, .after = both_are_listed};
	struct world_pair pair;
	int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	(void)state;
	if (fd < 0 || !getenv("TCPKEEP"))
		skip();
	close(fd);
	world_apply(RULE(""));
	pair = world_connect(&subject);
	assert_int_equal(pair.r, 0);
	assert_int_equal(pair.client.on, 0);
	assert_int_equal(world_count("it").set, 2);
	subject.before = turn_on_first;
	subject.after = NULL;
	assert_int_equal(world_connect(&subject).r, 0);
	assert_true(world_count("it").own > 0);
	world_apply(RULE("mode = enforce"));
	subject.after = listed_after_its_own_calls;
	assert_int_equal(world_connect(&subject).r, 0);
}

/* What `run` uses: no pins, and gone with its descriptors. */
static void attached_and_not_pinned(void **state)
{
	static const char *const texts[] = {
		"rule 'it' { time = 61 user-timeout = 2m mode = enforce }",
		"rule 'it' { program = 'tk-*' time = 61 user-timeout = 2m mode = enforce }",
	};
	int cgroup = open(world.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	world_remove();
	for (size_t i = 0; i < 2; i++) {
		const struct world_subject subject = {.program = "tk-x", .after = set_after};
		struct policy_kernel_rule count;
		struct policy_kernel *kernel;
		struct policy policy;
		struct world_pair pair;

		assert_int_equal(
			policy_read_text("text", texts[i], strlen(texts[i]), NULL, NULL, &policy),
			0);
		assert_int_equal(policy_kernel_attach(&policy, cgroup, &kernel, NULL), 0);
		policy_free(&policy);
		assert_int_equal(world_pins(), 0);
		pair = world_connect(&subject);
		check(&pair.client, 1, 61, 75, 9, 120000);
		check(&pair.server, 1, 61, 75, 9, 120000);
		assert_int_equal(policy_kernel_count(kernel, 0, &count), 0);
		assert_int_equal(count.set, 2);
		assert_string_equal(count.name, "it");
		policy_kernel_detach(&kernel);
		pair = world_connect(&subject);
		check(&pair.client, 0, 500, 75, 9, 0);
	}
	close(cgroup);
}

/* How often the pinned programs have run, while somebody has the kernel count. */
static uint64_t count_runs(void)
{
	static const char *const names[] = {"sock_ops", "setsockopt"};
	struct policy_pins pins;
	struct policy_place *places;
	uint64_t runs = 0;
	size_t n;

	assert_int_equal(policy_pins_open(false, &pins, NULL), 0);
	assert_int_equal(policy_pins_list(&pins, &places, &n), 0);
	assert_int_equal(n, 1);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);
		int fd = policy_place_get(&pins, &places[0], names[i]);

		assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
		runs += info.run_cnt;
		close(fd);
	}
	free(places);
	policy_pins_close(&pins);
	return runs;
}

#define ROUND_TRIPS 5000

/* Before any packet of the program's and behind the last one; in memory of both processes. */
static uint64_t *runs_of_packets;

static void send_packets(int client, int accepted)
{
	char byte = 0;

	runs_of_packets[0] = count_runs();
	for (unsigned i = 0; i < ROUND_TRIPS; i++)
		if (send(client, &byte, 1, 0) != 1 || recv(accepted, &byte, 1, 0) != 1 ||
		    send(accepted, &byte, 1, 0) != 1 || recv(client, &byte, 1, 0) != 1)
			_exit(1);
	runs_of_packets[1] = count_runs();
}

static void packets_cost_nothing(void **state)
{
	static const char *const rules[] = {
		RULE(""), RULE("program = 'tk-*' user-timeout = 2m mode = enforce")};

	(void)state;
	runs_of_packets = mmap(NULL, sizeof(*runs_of_packets) * 2, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(runs_of_packets != MAP_FAILED);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
		struct world_pair pair;

		assert_true(stats >= 0);
		world_apply(rules[i]);
		pair = world_connect(
			&(struct world_subject){.program = "tk-pack", .after = send_packets});
		check(&pair.client, 1, 61, 11, 7, i ? 120000 : 0);
		/* To connect costs some calls, which shows that they are counted. */
		assert_true(runs_of_packets[0] > 0 && runs_of_packets[0] < 100);
		assert_int_equal(runs_of_packets[1], runs_of_packets[0]);
		world_remove();
		close(stats);
	}
	munmap(runs_of_packets, sizeof(*runs_of_packets) * 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_programs_own_stays),
		cmocka_unit_test(enforced_holds),
		cmocka_unit_test(a_connection_keeps_its_rule),
		cmocka_unit_test(all_or_nothing),
		cmocka_unit_test(one_that_connects_to_itself),
		cmocka_unit_test(who_listens_already_is_known),
		cmocka_unit_test(attached_and_not_pinned),
		cmocka_unit_test(packets_cost_nothing),
		cmocka_unit_test(mptcp),
	};
	int r;

	if (!world_make())
		return 0;
	r = run_unit_tests("policy-modes", tests);
	world_leave();
	return r;
}
