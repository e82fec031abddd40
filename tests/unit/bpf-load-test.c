/* SPDX-License-Identifier: MIT */
/*
 * Both ways to bring the walks into the kernel. The linker's --wrap puts a kernel before 5.17 in
 * front of the light one on demand: then source-bpf.c takes the full one, as it would there.
 * Besides that, what a walk in the kernel is asked for at most, and descriptors that are not
 * /proc/PID/fd's.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "lab/lab.h"
#include "private.h"
#include "sockets/bpf-load.h"
#include "sockets/proc-owners.h"
#include "sockets/snapshot.h"
#include "sockets/source-bpf.h"
#include "unit.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

#define PAIRS    6
#define SOCKETS  (2 * PAIRS + 1)
#define ROWS_MAX 64
#define HZ       1000 /* of no account: it is the same for all that is compared */

int __real_bpf_load_light(const struct bpf_config *config, struct bpf_programs *ret);
int __wrap_bpf_load_light(const struct bpf_config *config, struct bpf_programs *ret);

static bool refuse_light;
static size_t light_loads;

int __wrap_bpf_load_light(const struct bpf_config *config, struct bpf_programs *ret)
{
	/* What a kernel says to a command of bpf(2) or to types that it does not know. */
	if (refuse_light)
		return -EINVAL;
	light_loads++;
	return __real_bpf_load_light(config, ret);
}

/* --------------------------------------------------------------------------------- the sockets */

static int fds[SOCKETS]; /* pairs, then their listener */
static uint16_t port;
static int netns = -1;

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

static void set(int fd, int level, int name, int value)
{
	assert_int_equal(setsockopt(fd, level, name, &value, sizeof(value)), 0);
}

static int make_sockets(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct tcpkeep_error error = {0};
	socklen_t len = sizeof(address);
	int listener;

	(void)state;
	netns = lab_enter(&error) < 0 ? -1 : lab_netns_new(&error);
	if (netns < 0 || setns(netns, CLONE_NEWNET) < 0) {
		print_error("# %s\n", error.message);
		return -1;
	}
	fds[SOCKETS - 1] = listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, PAIRS), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	port = ntohs(address.sin_port);
	for (int i = 0; i < PAIRS; i++) {
		int fd = fds[2 * i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 100 + i);
		set(fd, SOL_SOCKET, SO_KEEPALIVE, i & 1);
		assert_int_equal(connect(fd, (struct sockaddr *)&address, len), 0);
		fds[2 * i + 1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(fds[2 * i + 1] >= 0);
	}
	return 0;
}

static int close_sockets(void **state)
{
	(void)state;
	for (int i = 0; i < SOCKETS; i++)
		close(fds[i]);
	close(netns);
	return 0;
}

/* --------------------------------------------------------------------------------- the walks */

struct walk {
	struct socket_row rows[ROWS_MAX];
	size_t n;
};

static int collect(const struct socket_row *rows, size_t n, void *userdata)
{
	struct walk *walk = userdata;

	assert_true(walk->n + n <= ROWS_MAX);
	memcpy(&walk->rows[walk->n], rows, n * sizeof(*rows));
	walk->n += n;
	return 0;
}

static void open_source(bool full, const struct selector *selector, bool with_owners,
			struct source_bpf **ret)
{
	struct tcpkeep_error error = {0};
	size_t loads = light_loads;
	int r;

	refuse_light = full;
	r = source_bpf_open(selector, with_owners, HZ, ret, &error);
	refuse_light = false;
	if (r == -EPERM || (r == -EOPNOTSUPP && !full)) {
		print_message("# %s\n", error.message);
		skip();
	}
	if (r < 0)
		fail_msg("%s: %s", full ? "full" : "light", error.message);
	/* A light load that failed by itself would be tested as a full one. */
	assert_int_equal(light_loads - loads, !full);
}

static void walk_with(bool full, const struct selector *selector, struct walk *ret)
{
	struct tcpkeep_error error = {0};
	struct source_bpf *source;

	ret->n = 0;
	open_source(full, selector, false, &source);
	if (source_bpf_rows(source, TCPKEEP_NETNS_OWN, collect, ret, &error) < 0)
		fail_msg("%s", error.message);
	source_bpf_close(&source);
}

static const struct socket_row *find(const struct walk *walk, uint64_t cookie)
{
	const struct socket_row *found = NULL;

	for (size_t i = 0; i < walk->n; i++)
		if (walk->rows[i].cookie == cookie) {
			assert_null(found);
			found = &walk->rows[i];
		}
	return found;
}

/* Two walks, one after the other, tell the same but for the time that has passed. */
static void the_full_one_tells_what_the_light_one_tells(void **state)
{
	static struct walk light, full;

	(void)state;
	walk_with(false, NULL, &light);
	walk_with(true, NULL, &full);
	assert_int_equal(light.n, SOCKETS);
	assert_int_equal(full.n, SOCKETS);
	for (size_t i = 0; i < SOCKETS; i++) {
		struct socket_row a = *find(&light, cookie_of(fds[i]));
		const struct socket_row *b = find(&full, a.cookie);

		assert_non_null(b);
		a.silence_ms = b->silence_ms;
		a.timer_ms = b->timer_ms;
		assert_memory_equal(&a, b, sizeof(a));
	}
}

static void both_tell_the_owners(void **state)
{
	struct owner_list list = {0};

	(void)state;
	for (int full = 0; full < 2; full++) {
		_cleanup_(owners_cleanup) struct owners *owners = NULL;
		struct source_bpf *source;

		open_source(full, NULL, true, &source);
		assert_int_equal(owners_new(&owners), 0);
		assert_int_equal(source_bpf_owners(source, owners, NULL), 0);
		source_bpf_close(&source);
		for (size_t i = 0; i < SOCKETS; i++) {
			size_t n;

			assert_int_equal(owners_find(owners, cookie_of(fds[i]), &list, &n), 0);
			assert_int_equal(n, 1);
			assert_int_equal(list.at[0].pid, getpid());
			assert_int_equal(list.at[0].fd, fds[i]);
			assert_string_equal(list.at[0].program, "bpf-load-test");
		}
	}
	owner_list_clear(&list);
}

/* --------------------------------------------------------------------------- the most selectors */

static void add_word(struct selector *selector, const char *word)
{
	struct tcpkeep_error error = {0};

	if (selector_parse_word(selector, word, strlen(word), &error) < 0)
		fail_msg("%s: %s", word, error.message);
}

/* n selectors, and as many values as fit: of the addresses the very last is the one that holds. */
static void fill_selector(struct selector *selector, unsigned n)
{
	static const char *const words[] = {
		"local=127.0.0.0/8", "peer!=192.0.2.1:443",        "state=established",
		"silent<1h",         "keepalive=on,off",           "direction=in,out",
		"user!=12345",       "peer!=[2001:db8::1]:1-2000",
	};
	char word[4096];
	size_t len;

	memset(selector, 0, sizeof(*selector));
	for (unsigned i = 0; i + 2 < n; i++)
		add_word(selector, words[i % ARRAY_SIZE(words)]);
	snprintf(word, sizeof(word), "peer=:%u", port);
	add_word(selector, word);
	len = (size_t)snprintf(word, sizeof(word), "local=");
	for (unsigned i = selector->program.n_values; i + 1 < MATCH_VALUES_MAX; i++)
		len += (size_t)snprintf(word + len, sizeof(word) - len, "10.0.%u.0/24:%u,", i, i);
	snprintf(word + len, sizeof(word) - len, "127.0.0.1");
	add_word(selector, word);
	assert_int_equal(selector->program.n_clauses, n);
	assert_int_equal(selector->program.n_values, MATCH_VALUES_MAX);
}

/* The same rows as user space picks by the same function. Each number of selectors is another
 * program to the verifier. */
static void as_many_selectors_as_there_can_be(void **state)
{
	_cleanup_free_ struct selector *selector = calloc(1, sizeof(*selector));
	static struct walk all, picked;

	(void)state;
	walk_with(false, NULL, &all);
	for (unsigned n = 2; n <= MATCH_CLAUSES_MAX; n += 7) {
		size_t wanted = 0;

		fill_selector(selector, n);
		for (size_t i = 0; i < all.n; i++)
			wanted += match_row(&selector->program, &all.rows[i]) != 0;
		assert_int_equal(wanted, PAIRS);
		for (int full = 0; full < 2; full++) {
			walk_with(full, selector, &picked);
			assert_int_equal(picked.n, wanted);
			for (size_t i = 0; i < picked.n; i++)
				assert_int_equal(picked.rows[i].peer_port, port);
		}
	}
}

static void one_more_is_refused(void **state)
{
	_cleanup_free_ struct selector *selector = calloc(1, sizeof(*selector));
	struct tcpkeep_error error = {0};
	static const char word[] = "peer=:1";

	(void)state;
	fill_selector(selector, MATCH_CLAUSES_MAX);
	assert_int_equal(selector_parse_word(selector, word, strlen(word), &error), -E2BIG);
	assert_non_null(strstr(error.message, "more than 16 selectors"));
	fill_selector(selector, 2);
	assert_int_equal(selector_parse_word(selector, word, strlen(word), &error), -E2BIG);
	assert_non_null(strstr(error.message, "more than 64 values"));
}

/* ------------------------------------------------------------------------------ long delays */

/* 93 days are more milliseconds than a row has room for: the longest that it can say, never a
 * remainder. */
static void what_is_too_long_is_the_longest(void **state)
{
	static struct walk walk;
	struct tcpkeep_error error = {0};
	struct tcpkeep_kernel kernel;
	struct source_bpf *source;
	int fd = fds[1]; /* accepted: it has no value of its own */

	(void)state;
	tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel);
	if (INT32_MAX / kernel.hz < 8000000)
		skip(); /* the sysctl takes no more than fits */
	if (lab_sysctl(netns, "net/ipv4/tcp_keepalive_time", "8000000", &error) < 0)
		fail_msg("%s", error.message);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (source_bpf_open(NULL, false, kernel.hz, &source, &error) == -EPERM)
		skip();
	walk.n = 0;
	assert_int_equal(source_bpf_rows(source, TCPKEEP_NETNS_OWN, collect, &walk, &error), 0);
	source_bpf_close(&source);
	assert_int_equal(find(&walk, cookie_of(fd))->timer, ROW_TIMER_KEEPALIVE);
	assert_int_equal(find(&walk, cookie_of(fd))->timer_ms, INT32_MAX);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
}

/* --------------------------------------------------------------------- threads on their own */

static int ready[2];

static void *wait_for_ever(void *unused)
{
	(void)unused;
	must(write(ready[1], "", 1) == 1);
	for (;;)
		pause();
}

/* Under the leader's number for the first socket, this thread has the second. */
static void *go_own_way(void *unused)
{
	must(unshare(CLONE_FILES) == 0 && dup2(fds[1], fds[0]) == fds[0]);
	must(fcntl(fds[1], F_DUPFD_CLOEXEC, 500) >= 500);
	return wait_for_ever(unused);
}

static void run_threads(bool leader_stays)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 2; i++)
		must(pthread_create(&thread, NULL, leader_stays ? go_own_way : wait_for_ever,
				    NULL) == 0);
	if (!leader_stays)
		syscall(SYS_exit, 0);
	for (;;)
		pause();
}

static bool is_ended(int pid)
{
	char path[64], line[256] = "";
	_cleanup_fclose_ FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, pid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	return strstr(line, ") Z ");
}

static pid_t start_threads(bool leader_stays)
{
	char bytes[2];
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		run_threads(leader_stays);
	for (int i = 0; i < 2; i++)
		assert_int_equal(read(ready[0], &bytes[i], 1), 1);
	close(ready[0]);
	close(ready[1]);
	while (!leader_stays && !is_ended(pid))
		sched_yield(); /* meson's timeout is the deadline */
	return pid;
}

static size_t of_process(const struct owners *owners, uint64_t key, int pid, int *ret_fd)
{
	struct owner_list list = {0};
	size_t all, n = 0;

	assert_int_equal(owners_find(owners, key, &list, &all), 0);
	for (size_t i = 0; i < all; i++)
		if (list.at[i].pid == pid) {
			assert_string_equal(list.at[i].program, "bpf-load-test");
			*ret_fd = list.at[i].fd;
			n++;
		}
	owner_list_clear(&list);
	return n;
}

/* Each socket once, by the number that it has in /proc/PID/fd; procfs is read alike. */
static void check_threads(int pid)
{
	_cleanup_(owners_cleanup) struct owners *told = NULL, *in_proc = NULL;
	struct source_bpf *source;
	size_t hidden;

	open_source(false, NULL, true, &source);
	assert_int_equal(owners_new(&told), 0);
	assert_int_equal(owners_new(&in_proc), 0);
	assert_int_equal(source_bpf_owners(source, told, NULL), 0);
	assert_int_equal(proc_owners_read(in_proc, &hidden, NULL), 0);
	source_bpf_close(&source);
	for (size_t i = 0; i < SOCKETS; i++) {
		struct stat st;
		int fd = -1;

		assert_int_equal(of_process(told, cookie_of(fds[i]), pid, &fd), 1);
		assert_int_equal(fd, fds[i]);
		assert_int_equal(fstat(fds[i], &st), 0);
		assert_int_equal(of_process(in_proc, st.st_ino, pid, &fd), 1);
		assert_int_equal(fd, fds[i]);
	}
}

static void descriptors_of_a_thread_are_not_the_processes(void **state)
{
	pid_t pid = start_threads(true);

	(void)state;
	check_threads(pid);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void threads_without_a_leader_are_the_process(void **state)
{
	pid_t pid = start_threads(false);

	(void)state;
	check_threads(pid);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_full_one_tells_what_the_light_one_tells),
		cmocka_unit_test(both_tell_the_owners),
		cmocka_unit_test(as_many_selectors_as_there_can_be),
		cmocka_unit_test(one_more_is_refused),
		cmocka_unit_test(what_is_too_long_is_the_longest),
		cmocka_unit_test(descriptors_of_a_thread_are_not_the_processes),
		cmocka_unit_test(threads_without_a_leader_are_the_process),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("bpf-load", tests, make_sockets, close_sockets);
}
