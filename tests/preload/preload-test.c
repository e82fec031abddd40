/* SPDX-License-Identifier: MIT */
/* The preload library in real programs on the real kernel. Everything once more under valgrind. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "lab/lab.h"
#include "subject.h"
#include "unit/unit.h"

#define OURS     "TCPKEEP=time=61 intvl=11 probes=7"
#define ENFORCED OURS " mode=enforce"
/* As tcpkeep run starts it: the number of the process stands for the sign. */
#define ROOTED OURS " root=@"

/* small_library: the same with a table of 512 descriptors instead of 65536. */
static const char *program, *early_program, *library, *small_library;
static bool has_valgrind;

/* ------------------------------------------------------------------------------ the scenarios */

static const struct scenario {
	const char *title;
	const char *variables[5];
	const char *args[6];
	struct {
		const char *name;
		struct values values;
	} sockets[5];
	bool small;        /* with the library whose table is small */
	bool early;        /* linked to the library with the early constructor */
	bool not_valgrind; /* it gives the kernel bad memory on purpose, or is too much for it */
} scenarios[] = {
	{"connect IPv4",
	 {OURS},
	 {"connect4"},
	 {{"client", SET}, {"listener", SET}, {"accepted", SET}}},
	{"connect IPv6",
	 {OURS},
	 {"connect6"},
	 {{"client", SET}, {"listener", SET}, {"accepted", SET}}},
	{"SOCK_NONBLOCK | SOCK_CLOEXEC",
	 {OURS},
	 {"types"},
	 {{"client", SET}, {"listener", SET}, {"accepted", SET}}},
	{"MPTCP", {OURS}, {"mptcp"}, {{"client", SET}, {"listener", SET}, {"accepted", SET}}},
	{"accept", {OURS}, {"accept"}, {{"accepted", SET}}},
	{"MSG_FASTOPEN by sendto",
	 {OURS},
	 {"fastopen", "sendto"},
	 {{"client", SET}},
	 .not_valgrind = true},
	{"MSG_FASTOPEN by sendmsg",
	 {OURS},
	 {"fastopen", "sendmsg"},
	 {{"client", SET}},
	 .not_valgrind = true},

	{"own values before connect",
	 {OURS},
	 {"own", "before"},
	 {{"client", {1, 99, 11, 3}}, {"listener", SET}}},
	{"own values after connect", {OURS}, {"own", "after"}, {{"client", {1, 61, 98, 7}}}},
	{"the program says off", {OURS}, {"own", "off"}, {{"client", UNTOUCHED}}},
	{"off and on again", {OURS}, {"own", "off-on"}, {{"client", {1, 61, 11, 3}}}},
	{"off after connect", {OURS}, {"own", "on-off"}, {{"client", {0, 61, 11, 7}}}},
	{"connected twice", {OURS}, {"own", "again"}, {{"client", {1, 97, 11, 7}}}},
	{"listener off",
	 {OURS},
	 {"listener-off"},
	 {{"accepted", UNTOUCHED}, {"listener", UNTOUCHED}}},

	{"UDP, RAW, UNIX",
	 {OURS},
	 {"others"},
	 {{"udp", NOT_TCP(-EOPNOTSUPP)},
	  {"unix", NOT_TCP(-EOPNOTSUPP)},
	  {"unix-accepted", NOT_TCP(-EOPNOTSUPP)}}},
	{"the program's own symbols", {"DD_TCP_KEEPALIVE_TIME=5"}, {"symbols"}, {{NULL}}},
	{"UDP, RAW, UNIX, enforced", {ENFORCED}, {"others"}, {{"udp", NOT_TCP(-EOPNOTSUPP)}}},
	{"numbers used again",
	 {OURS},
	 {"reused"},
	 {{"client", SET}, {"client-too", SET}, {"udp", NOT_TCP(-EOPNOTSUPP)}}},
	{"choices on copies",
	 {OURS},
	 {"copied"},
	 {{"off", UNTOUCHED}, {"equal", {1, 7200, 11, 7}}, {"fresh", SET}}},
	{"choices and children",
	 {ROOTED},
	 {"child"},
	 {{"off", UNTOUCHED}, {"equal", {1, 7200, 11, 7}}}},
	{"choices, vfork in another thread",
	 {OURS},
	 {"vfork-race"},
	 {{NULL}},
	 .not_valgrind = true},
	{"descriptors beyond the table",
	 {OURS},
	 {"high"},
	 {{"client", SET}, {"accepted", SET}},
	 .small = true},

	{"fork in a threaded program", {OURS}, {"fork", "61", "11", "7", "400"}, {{NULL}}},
	{"vfork and exec",
	 {OURS},
	 {"vfork", "61", "11", "7"},
	 {{"fresh", SET},
	  {"chosen", {1, 99, 11, 7}},
	  {"off", UNTOUCHED},
	  {"accepted", SET},
	  {"accepted-too", SET}}},
	{"posix_spawn", {OURS}, {"spawn", "61", "11", "7"}, {{NULL}}},
	{"8 threads, 100,000 connections",
	 {OURS},
	 {"threads", "61", "11", "7", "100000"},
	 {{NULL}},
	 .not_valgrind = true},
	{"8 threads", {OURS}, {"threads", "61", "11", "7", "400"}, {{NULL}}},

	{"enforce",
	 {ENFORCED},
	 {"enforce", "tcp", "faults"},
	 {{"client", SET}, {"accepted", SET}, {"listener", SET}},
	 .not_valgrind = true},
	{"enforce, good calls",
	 {ENFORCED},
	 {"enforce", "tcp", "none"},
	 {{"client", SET}, {"accepted", SET}, {"listener", SET}}},
	{"enforce MPTCP",
	 {ENFORCED},
	 {"enforce", "mptcp", "faults"},
	 {{"client", SET}, {"accepted", SET}, {"listener", SET}},
	 .not_valgrind = true},
	{"enforce off",
	 {"TCPKEEP=off mode=enforce"},
	 {"own", "off-on"},
	 {{"client", {0, 7200, 75, 3}}}},
	{"enforce over own values", {ENFORCED}, {"own", "before"}, {{"client", SET}}},

	{"another constructor calls socket() first",
	 {OURS},
	 {"early"},
	 {{"listener", SET}},
	 .early = true},
	{"early constructor, predecessor's variables",
	 {"DD_TCP_KEEPALIVE_TIME=5"},
	 {"early"},
	 {{"listener", {1, 5, 75, 9}}},
	 .early = true},

	{"libkeepalive's variables",
	 {"KEEPIDLE=5", "KEEPINTVL=6", "KEEPCNT=7"},
	 {"connect4"},
	 {{"client", {1, 5, 6, 7}}, {"accepted", {1, 5, 6, 7}}}},
	{"libdontdie's variables",
	 {"DD_TCP_KEEPALIVE_TIME=5", "DD_TCP_KEEPALIVE_INTVL=6", "DD_TCP_KEEPALIVE_PROBES=7"},
	 {"connect4"},
	 {{"client", {1, 5, 6, 7}}}},
	{"no variable: on, the sysctls' values",
	 {NULL},
	 {"connect4"},
	 {{"client", {1, 7200, 75, 9}}}},
	{"KEEPALIVE=off", {"KEEPALIVE=off", "KEEPIDLE=5"}, {"connect4"}, {{"client", UNTOUCHED}}},
	{"DD_USE_KEEPALIVE=0", {"DD_USE_KEEPALIVE=0"}, {"connect4"}, {{"client", UNTOUCHED}}},
	{"ours before theirs",
	 {OURS, "KEEPIDLE=5", "DD_USE_KEEPALIVE=0"},
	 {"connect4"},
	 {{"client", SET}}},
	{"bad values are ignored alone",
	 {"KEEPIDLE=abc", "KEEPINTVL=12x", "KEEPCNT=7"},
	 {"connect4"},
	 {{"client", {1, 7200, 75, 7}}}},
	{"bad words are ignored alone",
	 {"TCPKEEP=time=abc intvl=11 nonsense mode=odd"},
	 {"connect4"},
	 {{"client", {1, 7200, 11, 9}}}},
	{"TCPKEEP=off", {"TCPKEEP=off"}, {"connect4"}, {{"client", UNTOUCHED}}},
	{"the environment read again",
	 {"DD_EVAL_ENVIRONMENT_ONCE=0", "DD_TCP_KEEPALIVE_TIME=5"},
	 {"reread"},
	 {{"first", {1, 5, 75, 9}}, {"second", {1, 33, 75, 9}}, {"third", UNTOUCHED}}},
};

static void run_scenario(const struct scenario *scenario, bool valgrind)
{
	const char *argv[8] = {scenario->early ? early_program : program};
	struct subject subject;

	memcpy(argv + 1, scenario->args, sizeof(scenario->args));
	subject = subject_start(scenario->small ? small_library : library, valgrind,
				scenario->variables, argv);
	for (size_t i = 0; i < ARRAY_SIZE(scenario->sockets); i++)
		if (scenario->sockets[i].name)
			subject_expect(&subject, scenario->sockets[i].name,
				       &scenario->sockets[i].values);
	subject_finish(&subject);
}

static void test_scenario(void **state)
{
	run_scenario(*state, false);
}

static void test_scenario_under_valgrind(void **state)
{
	if (!has_valgrind)
		skip();
	run_scenario(*state, true);
}

/* -------------------------------------------------------------------------------- inherited */

/* Made by us, before and without the library. */
struct handed_down {
	int listener, queued[2], client, connected;
	struct sockaddr_in address;
};

static struct handed_down hand_down(void)
{
	struct handed_down h = {.address = {.sin_family = AF_INET}};
	socklen_t len = sizeof(h.address);

	h.listener = socket(AF_INET, SOCK_STREAM, 0);
	h.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(h.listener, (struct sockaddr *)&h.address, len), 0);
	assert_int_equal(listen(h.listener, 8), 0);
	assert_int_equal(getsockname(h.listener, (struct sockaddr *)&h.address, &len), 0);
	h.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(h.client, (struct sockaddr *)&h.address, len), 0);
	h.connected = accept(h.listener, NULL, NULL);
	assert_true(h.connected >= 0);
	for (int i = 0; i < 2; i++) {
		h.queued[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(h.queued[i], (struct sockaddr *)&h.address, len), 0);
	}
	return h;
}

static void let_go(struct handed_down *h)
{
	close(h->listener);
	close(h->connected);
	close(h->client);
	close(h->queued[0]);
	close(h->queued[1]);
}

static void set_option(int fd, int level, int name, int value)
{
	assert_int_equal(setsockopt(fd, level, name, &value, sizeof(value)), 0);
}

static void check_inherited(bool valgrind, bool by_shell)
{
	static const char *const variables[] = {ROOTED, NULL};
	static const struct values set = SET;
	struct handed_down h = hand_down();
	char listener[16], connected[16];
	const char *direct[] = {program, "inherited", listener, connected, NULL};
	/* A shell in between has set the listener already; those in its queue are as they were. */
	const char *shell[] = {"sh",    "-c",     "exec \"$0\" inherited \"$1\" \"$2\"",
			       program, listener, connected,
			       NULL};
	struct subject subject;

	snprintf(listener, sizeof(listener), "%d", h.listener);
	snprintf(connected, sizeof(connected), "%d", h.connected);
	subject = subject_start(library, valgrind, variables, by_shell ? shell : direct);
	subject_expect(&subject, "connected", &set);
	subject_expect(&subject, "first", &set);
	subject_expect(&subject, "second", &set);
	subject_expect(&subject, "third", &set);
	subject_expect(&subject, "listener", &set);
	subject_finish(&subject);
	let_go(&h);
}

static void test_inherited(void **state)
{
	(void)state;
	check_inherited(false, false);
	check_inherited(false, true);
	if (has_valgrind)
		check_inherited(true, false);
}

/* Below the first program: what is handed down is left as it is, what comes from it is ours. */
static void check_not_first(const char *variable, bool listener_was_set, const struct values *want)
{
	static const struct values set = SET;
	const char *const variables[] = {variable, NULL};
	struct handed_down h = hand_down();
	char listener[16], connected[16];
	const char *argv[] = {program, "inherited", listener, connected, NULL};
	struct subject subject;

	if (listener_was_set) {
		/* After its queue has filled: those in it are as they were. */
		set_option(h.listener, IPPROTO_TCP, TCP_KEEPIDLE, set.time_s);
		set_option(h.listener, IPPROTO_TCP, TCP_KEEPINTVL, set.intvl_s);
		set_option(h.listener, IPPROTO_TCP, TCP_KEEPCNT, set.probes);
		set_option(h.listener, SOL_SOCKET, SO_KEEPALIVE, set.on);
	}
	snprintf(listener, sizeof(listener), "%d", h.listener);
	snprintf(connected, sizeof(connected), "%d", h.connected);
	subject = subject_start(library, false, variables, argv);
	subject_expect(&subject, "connected", want);
	subject_expect(&subject, "first", &set);
	subject_expect(&subject, "second", &set);
	subject_expect(&subject, "third", &set);
	subject_expect(&subject, "listener", &set);
	subject_finish(&subject);
	let_go(&h);
}

static void test_inherited_below(void **state)
{
	static const struct values set = SET, untouched = UNTOUCHED;

	(void)state;
	check_not_first(OURS, false, &untouched);
	check_not_first(OURS, true, &untouched);
	check_not_first(OURS " root=1", false, &untouched);
	check_not_first(ENFORCED " root=1", false, &set);
}

/* A counter of /proc/net/netstat: names in one line, values in the next. */
static unsigned long long probes_sent(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/thread-self/net/netstat", "r");
	char names[8192], values[8192];

	assert_non_null(f);
	while (fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
		char *name_rest, *value_rest;
		char *name = strtok_r(names, " \n", &name_rest);
		char *value = strtok_r(values, " \n", &value_rest);

		for (; name && value; name = strtok_r(NULL, " \n", &name_rest),
				      value = strtok_r(NULL, " \n", &value_rest))
			if (strcmp(name, "TCPKeepAlive") == 0)
				return strtoull(value, NULL, 10);
	}
	fail_msg("no TCPKeepAlive in netstat");
	return 0;
}

/* Silent for longer than time=1 and on already: writing TCP_KEEPIDLE plainly would probe at once.
 */
static void test_idle_inherited_is_not_probed(void **state)
{
	static const char *const variables[] = {"TCPKEEP=time=1 intvl=9 probes=9 mode=enforce",
						NULL};
	static const struct values want = {1, 1, 9, 9};
	struct handed_down h = hand_down();
	char listener[16], connected[16];
	const char *argv[] = {program, "inherited", listener, connected, NULL};
	unsigned long long before;
	struct subject subject;
	struct tcp_info info;
	socklen_t len;
	int one = 1;

	(void)state;
	assert_int_equal(setsockopt(h.connected, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)), 0);
	do {
		len = sizeof(info);
		assert_int_equal(poll(NULL, 0, 20), 0);
		assert_int_equal(getsockopt(h.connected, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	} while (info.tcpi_last_data_recv < 1500 || info.tcpi_last_ack_recv < 1500);
	before = probes_sent();
	snprintf(listener, sizeof(listener), "%d", h.listener);
	snprintf(connected, sizeof(connected), "%d", h.connected);
	subject = subject_start(library, false, variables, argv);
	assert_int_equal(probes_sent(), before);
	subject_expect(&subject, "connected", &want);
	subject_finish(&subject);
	let_go(&h);
}

/* ------------------------------------------------------------------------------------- main */

static void enter_private_network(void)
{
	struct tcpkeep_error error;
	int netns = lab_enter(&error) < 0 ? -1 : lab_netns_new(&error);

	if (netns < 0 || setns(netns, CLONE_NEWNET) < 0) {
		printf("1..0 # SKIP no private network: %s\n", error.message);
		exit(0);
	}
	close(netns);
}

int main(void)
{
	static struct CMUnitTest tests[2 * ARRAY_SIZE(scenarios) + 3];
	static char titles[ARRAY_SIZE(scenarios)][96];
	size_t n = 0;

	program = getenv("SHIM_PROGRAM");
	early_program = getenv("SHIM_EARLY_PROGRAM");
	library = getenv("SHIM_LIBRARY");
	small_library = getenv("SHIM_SMALL_LIBRARY");
	if (!program || !early_program || !library || !small_library) {
		fprintf(stderr, "preload-test: run it by meson, which sets its environment\n");
		return EXIT_FAILURE;
	}
	has_valgrind = system("valgrind --version >/dev/null 2>&1") == 0;
	enter_private_network();
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		const struct scenario *scenario = &scenarios[i];

		tests[n++] = (struct CMUnitTest){scenario->title, test_scenario, NULL, NULL,
						 (void *)scenario};
		if (scenario->not_valgrind)
			continue;
		snprintf(titles[i], sizeof(titles[i]), "valgrind: %s", scenario->title);
		tests[n++] = (struct CMUnitTest){titles[i], test_scenario_under_valgrind, NULL,
						 NULL, (void *)scenario};
	}
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_inherited);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_inherited_below);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_idle_inherited_is_not_probed);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return _cmocka_run_group_tests("preload", tests, n, NULL, NULL);
}
