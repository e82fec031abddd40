/* SPDX-License-Identifier: MIT */
/* Socket options on real sockets, in private network namespaces. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "lab/lab.h"
#include "unit/unit.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int netns = -1;

static const struct tcpkeep_settings usual = TCPKEEP_SETTINGS(60, 10, 6);

/* A connection over the namespace's loopback: client, accepted and, if wanted, the listener. */
struct connection {
	int client, accepted, listener;
};

static void connection_close(struct connection *c)
{
	close(c->client);
	close(c->accepted);
	close(c->listener);
}

static struct connection connection_make(int family, int protocol)
{
	struct sockaddr_storage address = {.ss_family = (sa_family_t)family};
	socklen_t len =
		family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	struct connection c;

	if (family == AF_INET)
		((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_loopback;
	c.listener = lab_socket(netns, family, SOCK_STREAM, protocol);
	c.client = lab_socket(netns, family, SOCK_STREAM, protocol);
	assert_true(c.listener >= 0 && c.client >= 0);
	assert_int_equal(bind(c.listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(c.listener, 8), 0);
	assert_int_equal(getsockname(c.listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(connect(c.client, (struct sockaddr *)&address, len), 0);
	c.accepted = accept4(c.listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(c.accepted >= 0);
	return c;
}

static void assert_holds(int fd, const struct tcpkeep_settings *want)
{
	int on, time_s, intvl_s, probes;
	socklen_t len = sizeof(int);

	/* Through getsockopt() itself, not through the function under test. */
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &time_s, &len), 0);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &intvl_s, &len), 0);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, &len), 0);
	assert_int_equal(on, want->on);
	assert_int_equal(time_s, want->time_s);
	assert_int_equal(intvl_s, want->intvl_s);
	assert_int_equal(probes, want->probes);
}

static void check_apply(int fd)
{
	struct tcpkeep_applied applied;

	assert_int_equal(tcpkeep_socket_apply(fd, &usual, 0, &applied), 4);
	assert_int_equal(applied.written, TCPKEEP_ON | TCPKEEP_THREE);
	assert_holds(fd, &usual);
	/* The second time all holds: nothing is written. */
	assert_int_equal(tcpkeep_socket_apply(fd, &usual, 0, &applied), 0);
	assert_int_equal(applied.written, 0);
	assert_int_equal(applied.held, TCPKEEP_ON | TCPKEEP_THREE);
}

static void settings_hold_on_every_kind_of_tcp_socket(void **state)
{
	static const struct {
		int family, protocol;
	} kinds[] = {
		{AF_INET, IPPROTO_TCP},
		{AF_INET6, IPPROTO_TCP},
		{AF_INET, IPPROTO_MPTCP},
		{AF_INET6, IPPROTO_MPTCP},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct connection c = connection_make(kinds[i].family, kinds[i].protocol);
		int fresh = lab_socket(netns, kinds[i].family, SOCK_STREAM, kinds[i].protocol);

		check_apply(fresh);
		check_apply(c.client);
		check_apply(c.accepted);
		check_apply(c.listener);
		close(fresh);
		connection_close(&c);
	}
}

static void accepted_sockets_inherit(void **state)
{
	struct connection c = connection_make(AF_INET, IPPROTO_TCP);
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	_cleanup_close_ int client = lab_socket(netns, AF_INET, SOCK_STREAM, 0);
	_cleanup_close_ int accepted = -1;

	(void)state;
	assert_int_equal(tcpkeep_socket_apply(c.listener, &usual, 0, NULL), 4);
	assert_int_equal(getsockname(c.listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, len), 0);
	accepted = accept4(c.listener, NULL, NULL, SOCK_CLOEXEC);
	assert_holds(accepted, &usual);
	connection_close(&c);
}

static void origins_are_told_as_far_as_they_can_be_known(void **state)
{
	_cleanup_close_ int own = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_close_ int foreign = lab_socket(netns, AF_INET, SOCK_STREAM, 0);
	struct tcpkeep_settings set = {TCPKEEP_TIME, false, 61, 0, 0, 0};
	struct tcpkeep_effective effective;

	(void)state;
	assert_int_equal(tcpkeep_socket_apply(own, &set, 0, NULL), 1);
	assert_int_equal(tcpkeep_socket_read(own, &effective), 0);
	assert_int_equal(effective.settings.fields, TCPKEEP_ALL);
	assert_int_equal(effective.settings.time_s, 61);
	assert_int_equal(effective.time_origin, TCPKEEP_ORIGIN_SOCKET);
	assert_int_equal(effective.intvl_origin, TCPKEEP_ORIGIN_EITHER);
	assert_int_equal(tcpkeep_socket_read(foreign, &effective), 0);
	assert_int_equal(effective.time_origin, TCPKEEP_ORIGIN_UNKNOWN);
}

static int read_in_netns(void *userdata)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return tcpkeep_socket_read(fd, userdata);
}

/* What no socket can have of its own can only come from the sysctl. */
static void a_value_out_of_a_sockets_range_is_the_sysctls(void **state)
{
	_cleanup_close_ int other = lab_netns_new(NULL);
	struct tcpkeep_effective effective;

	(void)state;
	assert_int_equal(lab_sysctl(other, "net/ipv4/tcp_keepalive_time", "40000", NULL), 0);
	assert_int_equal(lab_in_netns(other, read_in_netns, &effective), 0);
	assert_int_equal(effective.settings.time_s, 40000);
	assert_int_equal(effective.time_origin, TCPKEEP_ORIGIN_SYSCTL);
	assert_int_equal(effective.probes_origin, TCPKEEP_ORIGIN_EITHER);
}

static void what_is_not_tcp_is_refused_and_untouched(void **state)
{
	static const struct {
		int family, type, protocol;
	} kinds[] = {
		{AF_INET, SOCK_DGRAM, 0},         {AF_UNIX, SOCK_STREAM, 0},
		{AF_INET, SOCK_RAW, IPPROTO_TCP}, {AF_INET6, SOCK_RAW, IPPROTO_TCP},
		{AF_NETLINK, SOCK_RAW, 6},        {AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE},
	};
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct tcpkeep_effective effective;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_close_ int fd =
			lab_socket(netns, kinds[i].family, kinds[i].type, kinds[i].protocol);
		socklen_t len = sizeof(int);
		int on;

		assert_true(fd >= 0);
		assert_int_equal(tcpkeep_socket_apply(fd, &usual, 0, NULL), -EPROTOTYPE);
		assert_int_equal(tcpkeep_socket_read(fd, &effective), -EPROTOTYPE);
		assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
		assert_int_equal(on, 0);
	}
	assert_int_equal(tcpkeep_socket_apply(null, &usual, 0, NULL), -ENOTSOCK);
	assert_int_equal(tcpkeep_socket_apply(-1, &usual, 0, NULL), -EBADF);
}

static void bad_settings_are_refused_before_the_first_write(void **state)
{
	_cleanup_close_ int fd = lab_socket(netns, AF_INET, SOCK_STREAM, 0);
	struct tcpkeep_settings bad = TCPKEEP_SETTINGS(60, 10, 128);
	const struct tcpkeep_settings untouched = {TCPKEEP_ALL, false, 7200, 75, 9, 0};

	(void)state;
	assert_int_equal(tcpkeep_socket_apply(fd, &bad, 0, NULL), -ERANGE);
	assert_int_equal(tcpkeep_socket_apply(fd, &usual, 1U << 7, NULL), -EINVAL);
	assert_holds(fd, &untouched);
}

/* Before its first subflow an MPTCP socket takes what it will drop: the library validates itself.
 */
static void mptcp_refuses_the_user_timeout_whole(void **state)
{
	_cleanup_close_ int fd = lab_socket(netns, AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	struct tcpkeep_settings settings = TCPKEEP_SETTINGS(60, 10, 6);
	const struct tcpkeep_settings untouched = {TCPKEEP_ALL, false, 7200, 75, 9, 0};
	struct tcpkeep_applied applied;

	(void)state;
	settings.fields |= TCPKEEP_USER_TIMEOUT;
	settings.user_timeout_ms = 120000;
	assert_int_equal(tcpkeep_socket_apply(fd, &settings, 0, &applied), -EOPNOTSUPP);
	assert_int_equal(applied.failed, TCPKEEP_USER_TIMEOUT);
	assert_int_equal(applied.written, 0);
	assert_holds(fd, &untouched);
}

/* From here on setsockopt(TCP_KEEPCNT) fails in this process with EPERM. */
static void forbid_keepcnt(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 5),
		/* The low half of the argument: first on little, second on big endian. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1]) +
							   (__BYTE_ORDER == __BIG_ENDIAN ? 4 : 0)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2]) +
							   (__BYTE_ORDER == __BIG_ENDIAN ? 4 : 0)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TCP_KEEPCNT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ARRAY_SIZE(filter), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(99);
}

/* The process that the filter is in cannot be let go on with the tests: a child tells by its exit
 * status. */
static int apply_without_keepcnt(int fd)
{
	struct tcpkeep_applied applied;
	int r;

	forbid_keepcnt();
	r = tcpkeep_socket_apply(fd, &usual, 0, &applied);
	if (r != -EPERM)
		return 1;
	if (applied.failed != TCPKEEP_PROBES || applied.written != 0)
		return 2;
	if (applied.restored != (TCPKEEP_TIME | TCPKEEP_INTVL))
		return 3;
	return 0;
}

static void a_failure_half_way_puts_back_what_was_there(void **state)
{
	const struct tcpkeep_settings before = {TCPKEEP_ALL, true, 333, 44, 5, 0};
	struct connection c = connection_make(AF_INET, IPPROTO_TCP);
	struct tcpkeep_settings set = before;
	int status;
	pid_t pid;

	(void)state;
	set.fields = TCPKEEP_ON | TCPKEEP_THREE;
	assert_int_equal(tcpkeep_socket_apply(c.client, &set, 0, NULL), 4);
	pid = fork();
	if (pid == 0)
		_exit(apply_without_keepcnt(c.client));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_holds(c.client, &before);
	connection_close(&c);
}

/* TcpExt: TCPKeepAlive of the namespace: keepalive probes that were sent. */
static int read_probes_sent(void *userdata)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/thread-self/net/netstat", "re");
	char names[8192], values[8192], *more_names, *more_values, *name, *value;

	if (!file || !fgets(names, sizeof(names), file) || !fgets(values, sizeof(values), file))
		return -EIO;
	name = strtok_r(names, " \n", &more_names);
	value = strtok_r(values, " \n", &more_values);
	while (name && value && strcmp(name, "TCPKeepAlive") != 0) {
		name = strtok_r(NULL, " \n", &more_names);
		value = strtok_r(NULL, " \n", &more_values);
	}
	if (!name || !value)
		return -ENOENT;
	*(unsigned long *)userdata = strtoul(value, NULL, 10);
	return 0;
}

static unsigned long probes_sent(void)
{
	unsigned long n = 0;

	assert_int_equal(lab_in_netns(netns, read_probes_sent, &n), 0);
	return n;
}

/* Idle time is what is tested: nothing can be waited for but the clock. */
static void let_idle_ms(int ms)
{
	_cleanup_close_ int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct itimerspec spec = {.it_value = {ms / 1000, ms % 1000 * 1000000L}};
	uint64_t expirations;

	assert_int_equal(timerfd_settime(timer, 0, &spec, NULL), 0);
	assert_int_equal(read(timer, &expirations, sizeof(expirations)), sizeof(expirations));
}

static void a_long_idle_socket_is_not_probed_unless_asked(void **state)
{
	struct connection c = connection_make(AF_INET, IPPROTO_TCP);
	const struct tcpkeep_settings before = TCPKEEP_SETTINGS(100, 10, 6);
	const struct tcpkeep_settings after = TCPKEEP_SETTINGS(1, 10, 6);
	unsigned long sent;

	(void)state;
	assert_int_equal(tcpkeep_socket_apply(c.client, &before, 0, NULL), 4);
	assert_int_equal(tcpkeep_socket_apply(c.accepted, &before, 0, NULL), 4);
	let_idle_ms(1100);
	sent = probes_sent();
	assert_int_equal(tcpkeep_socket_apply(c.client, &after, 0, NULL), 1);
	assert_holds(c.client, &after);
	let_idle_ms(300);
	assert_int_equal(probes_sent(), sent);
	assert_int_equal(tcpkeep_socket_apply(c.accepted, &after, TCPKEEP_APPLY_PROBE_NOW, NULL),
			 1);
	let_idle_ms(300);
	assert_int_equal(probes_sent(), sent + 1);
	connection_close(&c);
}

static void turning_off_cancels_without_a_probe(void **state)
{
	struct connection c = connection_make(AF_INET, IPPROTO_TCP);
	struct tcpkeep_settings off = {TCPKEEP_ON | TCPKEEP_TIME, false, 1, 0, 0, 0};
	unsigned long sent;

	(void)state;
	assert_int_equal(tcpkeep_socket_apply(c.client, &usual, 0, NULL), 4);
	let_idle_ms(1100);
	sent = probes_sent();
	assert_int_equal(tcpkeep_socket_apply(c.client, &off, TCPKEEP_APPLY_PROBE_NOW, NULL), 2);
	let_idle_ms(300);
	assert_int_equal(probes_sent(), sent);
	connection_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_hold_on_every_kind_of_tcp_socket),
		cmocka_unit_test(accepted_sockets_inherit),
		cmocka_unit_test(origins_are_told_as_far_as_they_can_be_known),
		cmocka_unit_test(a_value_out_of_a_sockets_range_is_the_sysctls),
		cmocka_unit_test(what_is_not_tcp_is_refused_and_untouched),
		cmocka_unit_test(bad_settings_are_refused_before_the_first_write),
		cmocka_unit_test(mptcp_refuses_the_user_timeout_whole),
		cmocka_unit_test(a_failure_half_way_puts_back_what_was_there),
		cmocka_unit_test(a_long_idle_socket_is_not_probed_unless_asked),
		cmocka_unit_test(turning_off_cancels_without_a_probe),
	};
	struct tcpkeep_error error;

	if (lab_enter(&error) < 0 || (netns = lab_netns_new(&error)) < 0) {
		printf("1..0 # SKIP %s\n", error.message);
		return 0;
	}
	return run_unit_tests("socket", tests);
}
