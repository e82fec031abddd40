/* SPDX-License-Identifier: MIT */
/*
 * A set that changes under the walk: processes that open, close, fork, pass on and exit, thousands
 * of sockets a second, with some in the midst that stay. Those must be told completely, rightly and
 * with their owners each time; of the others, nobody may be named who never held one.
 *
 * sock_diag alone cannot promise "completely": when its answer is full in the midst of a bucket of
 * the kernel's hash table, it goes on from the same place in the bucket, by number
 * (inet_diag_dump_icsk()). Another socket that leaves the bucket in between makes it pass over one,
 * one that enters it makes it tell one twice; nothing in the answer says so. In a table of the
 * usual size that was once in some 10,000 walks here; told "crowded", the test makes one of 16
 * buckets, in which it is each walk, and in which BPF (Linux 6.17) still has to tell each socket
 * once.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "lab/lab.h"
#include "sockets/snapshot.h"
#include "unit/private.h"
#include "unit/unit.h"

#define STEADY    40 /* connections; each has two ends */
#define ENDS      (2 * STEADY + 1)
#define CHURNERS  3
#define ROUND_MS  1500
#define ROUNDS    5    /* at least, however slow */
#define BUSY      1000 /* sockets made during a round, at least */
#define CHURN_S   5    /* TCP_KEEPIDLE of all that comes and goes */
#define STEADY_S  100  /* of the first that stays; each has another */
#define BATCH     16
#define BUCKETS   "16" /* of a crowded table */
#define PROGRAM_S "steady"
#define PROGRAM_C "churner"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

struct end {
	uint64_t cookie;
	int fd, time_s;
	uint16_t local_port, peer_port;
};

/* Shared by all processes of the test. */
static struct shared {
	struct end ends[ENDS];
	int pids[2]; /* who holds them: two processes, by the same numbers */
	_Atomic uint64_t made;
} * shared;

static bool crowded;

static pid_t started[CHURNERS + 1];
static size_t n_started;

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------------------- in the children
 */

static void set(int fd, int level, int name, int value)
{
	must(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
}

static int listen_at(struct sockaddr_in *ret, int time_s)
{
	socklen_t len = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret = (struct sockaddr_in){.sin_family = AF_INET};
	ret->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(fd, (struct sockaddr *)ret, sizeof(*ret)) == 0);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, time_s);
	must(listen(fd, BATCH) == 0);
	must(getsockname(fd, (struct sockaddr *)ret, &len) == 0);
	return fd;
}

static void connect_pair(int listener, const struct sockaddr_in *to, int time_s, int pair[2])
{
	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set(pair[0], IPPROTO_TCP, TCP_KEEPIDLE, time_s);
	must(connect(pair[0], (const struct sockaddr *)to, sizeof(*to)) == 0);
	pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	must(pair[1] >= 0);
}

static void remember(struct end *end, int fd, int time_s)
{
	struct sockaddr_in local, peer = {0};
	socklen_t len = sizeof(local), cookie_len = sizeof(end->cookie);

	end->fd = fd;
	end->time_s = time_s;
	must(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &end->cookie, &cookie_len) == 0);
	must(getsockname(fd, (struct sockaddr *)&local, &len) == 0);
	len = sizeof(peer);
	getpeername(fd, (struct sockaddr *)&peer, &len);
	end->local_port = ntohs(local.sin_port);
	end->peer_port = ntohs(peer.sin_port);
}

static void run_steady(int ready)
{
	struct sockaddr_in address;
	int listener = listen_at(&address, STEADY_S);
	size_t n = 0;
	pid_t second;

	remember(&shared->ends[n++], listener, STEADY_S);
	for (int i = 1; i <= STEADY; i++) {
		int pair[2];

		connect_pair(listener, &address, STEADY_S + i, pair);
		/* What is accepted has inherited the listener's. */
		remember(&shared->ends[n++], pair[0], STEADY_S + i);
		remember(&shared->ends[n++], pair[1], STEADY_S);
	}
	shared->pids[0] = getpid();
	second = fork();
	must(second >= 0);
	if (second > 0) {
		shared->pids[1] = second;
		must(write(ready, "x", 1) == 1);
	} else {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	for (;;)
		pause();
}

/* A reset leaves no TIME_WAIT, of which there would soon be too many. */
static void end_hard(int fd)
{
	const struct linger at_once = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

/* To the other end of a socketpair, and out of there again, under another number. */
static int pass_on(int channel[2], int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec data = {&(char){'x'}, 1};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	must(sendmsg(channel[0], &message, 0) == 1);
	close(fd);
	must(recvmsg(channel[1], &message, MSG_CMSG_CLOEXEC) == 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/* The first closes, the second has a child that holds them a moment longer, the third passes on. */
static void churn_once(int kind, int listener, const struct sockaddr_in *address, int channel[2])
{
	int pairs[BATCH][2];

	for (size_t i = 0; i < BATCH; i++)
		connect_pair(listener, address, CHURN_S, pairs[i]);
	atomic_fetch_add(&shared->made, (uint64_t)2 * BATCH);
	if (kind == 1 && fork() == 0) {
		sched_yield();
		_exit(0);
	}
	for (size_t i = 0; i < BATCH; i++) {
		if (kind == 2)
			pairs[i][0] = pass_on(channel, pairs[i][0]);
		end_hard(pairs[i][0]);
		end_hard(pairs[i][1]);
	}
}

static void run_churner(int ready, int kind)
{
	int channel[2];

	signal(SIGCHLD, SIG_IGN);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) == 0);
	must(write(ready, "x", 1) == 1);
	for (;;) {
		/* Even the listener does not last. */
		struct sockaddr_in address;
		int listener = listen_at(&address, CHURN_S);

		for (int i = 0; i < 8; i++)
			churn_once(kind, listener, &address, channel);
		close(listener);
	}
}

/* ----------------------------------------------------------------------------- start and end */

/* kind: of a churner; -1: those that stay. */
static void start(const char *name, int kind)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		if (kind < 0)
			run_steady(ready[1]);
		run_churner(ready[1], kind);
		_exit(1);
	}
	started[n_started++] = pid;
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

/* A namespace whose connections are in a small hash table of its own: it is made from one that says
 * so. 0, or -1 where there is no such thing (before Linux 6.1). */
static int enter_crowded(void)
{
	static const char sysctl[] = "/proc/sys/net/ipv4/tcp_child_ehash_entries";
	_cleanup_close_ int fd = open(sysctl, O_WRONLY | O_CLOEXEC), netns = -1;

	if (fd < 0 || write(fd, BUCKETS, sizeof(BUCKETS) - 1) < 0)
		return -1;
	netns = lab_netns_new(NULL);
	return netns < 0 ? -1 : setns(netns, CLONE_NEWNET);
}

static int start_all(void **state)
{
	struct tcpkeep_error error = {0};
	_cleanup_close_ int netns = -1;

	(void)state;
	netns = lab_enter(&error) < 0 ? -1 : lab_netns_new(&error);
	if (netns < 0 || setns(netns, CLONE_NEWNET) < 0) {
		print_error("# %s\n", error.message);
		return -1;
	}
	if (crowded && enter_crowded() < 0)
		crowded = false;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_true(shared != MAP_FAILED);
	start(PROGRAM_S, -1);
	for (int i = 0; i < CHURNERS; i++)
		start(PROGRAM_C, i);
	return 0;
}

static int end_started(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_started; i++) {
		/* Whoever has ended by itself has failed. */
		assert_int_equal(waitpid(started[i], NULL, WNOHANG), 0);
		kill(started[i], SIGKILL);
		waitpid(started[i], NULL, 0);
	}
	munmap(shared, sizeof(*shared));
	return 0;
}

/* ----------------------------------------------------------------------------------- looking */

struct look {
	enum snapshot_source source;
	unsigned seen[ENDS], missed[ENDS]; /* missed: in how many walks, one after the other */
	size_t churned, owned, odd;        /* odd: walks in which one was not told, or told twice */
};

static struct end *find_end(uint64_t cookie)
{
	for (size_t i = 0; i < ENDS; i++)
		if (shared->ends[i].cookie == cookie)
			return &shared->ends[i];
	return NULL;
}

static void check_steady(const struct look *look, const struct snapshot_row *row,
			 const struct end *end)
{
	assert_int_equal(row->socket.local_port, end->local_port);
	assert_int_equal(row->socket.peer_port, end->peer_port);
	assert_int_equal(row->socket.state, end->peer_port ? TCP_ESTABLISHED : TCP_LISTEN);
	if (look->source != SNAPSHOT_DIAG) {
		assert_true(row->effective.settings.fields & TCPKEEP_TIME);
		assert_int_equal(row->effective.settings.time_s, end->time_s);
	}
	assert_int_equal(row->n_owners, 2);
	for (size_t i = 0; i < 2; i++) {
		bool first = row->owners[i].pid == shared->pids[0];

		assert_true(first || row->owners[i].pid == shared->pids[1]);
		assert_int_equal(row->owners[i].fd, end->fd);
		assert_string_equal(row->owners[i].program, PROGRAM_S);
	}
	assert_true(row->owners[0].pid < row->owners[1].pid);
}

static void check_churned(struct look *look, const struct snapshot_row *row)
{
	look->churned++;
	look->owned += row->n_owners > 0;
	for (size_t i = 0; i < row->n_owners; i++)
		if (strcmp(row->owners[i].program, PROGRAM_C) != 0)
			fail_msg("port %u: said to be held by %s:%d", row->socket.local_port,
				 row->owners[i].program, row->owners[i].pid);
	if (row->effective.settings.fields & TCPKEEP_TIME)
		assert_int_equal(row->effective.settings.time_s, CHURN_S);
}

static int take(const struct snapshot_row *row, void *userdata)
{
	struct look *look = userdata;
	struct end *end = row->socket.cookie ? find_end(row->socket.cookie) : NULL;

	if (end) {
		look->seen[end - shared->ends]++;
		check_steady(look, row, end);
	} else {
		check_churned(look, row);
	}
	return 0;
}

static void fail_end(size_t i, unsigned times)
{
	fail_msg("port %u to %u is told %u times", shared->ends[i].local_port,
		 shared->ends[i].peer_port, times);
}

/* BPF: each once. sock_diag: what is passed over is so by chance, and not the next time. */
static void judge_walk(struct look *look)
{
	bool odd = false;

	for (size_t i = 0; i < ENDS; i++) {
		look->missed[i] = look->seen[i] == 0 ? look->missed[i] + 1 : 0;
		odd |= look->seen[i] != 1;
		if (look->seen[i] == 1)
			continue;
		if (look->source == SNAPSHOT_BPF || look->missed[i] > 1 || look->seen[i] > 2)
			fail_end(i, look->seen[i]);
		print_message("# port %u is told %u times\n", shared->ends[i].local_port,
			      look->seen[i]);
	}
	look->odd += odd;
}

static void look_once(enum snapshot_source source, struct look *look)
{
	const struct snapshot_options options = {
		.source = source, .owners = true, .netns = TCPKEEP_NETNS_OWN};
	struct snapshot_report report;
	struct tcpkeep_error error = {0};

	memset(look->seen, 0, sizeof(look->seen));
	if (snapshot_run(&options, take, look, &report, &error) < 0)
		fail_msg("%s", error.message);
	judge_walk(look);
}

static void look_for_a_round(enum snapshot_source source)
{
	const uint64_t begin = now_ms(), made = atomic_load(&shared->made);
	struct look look = {.source = source};
	unsigned rounds = 0;

	while (rounds < ROUNDS || now_ms() < begin + ROUND_MS ||
	       atomic_load(&shared->made) < made + BUSY) {
		look_once(source, &look);
		rounds++;
	}
	print_message("# %u walks in %llu ms, %llu sockets made meanwhile, %zu of them seen, "
		      "%zu with an owner\n",
		      rounds, (unsigned long long)(now_ms() - begin),
		      (unsigned long long)(atomic_load(&shared->made) - made), look.churned,
		      look.owned);
	/* Some 500 times as often as was seen. */
	assert_true(look.odd <= 1 + rounds / 20);
	assert_true(look.churned > 0);
	/* procfs is read before the sockets: what lives for milliseconds has rarely an owner by
	 * then. */
	if (source == SNAPSHOT_BPF)
		assert_true(look.owned > 0);
}

static int ignore(const struct snapshot_row *row, void *userdata)
{
	(void)row;
	(void)userdata;
	return 0;
}

static bool has_source(enum snapshot_source source)
{
	const struct snapshot_options options = {.source = source, .netns = TCPKEEP_NETNS_OWN};
	struct snapshot_report report;
	struct tcpkeep_error error;

	return snapshot_run(&options, ignore, NULL, &report, &error) != -EOPNOTSUPP;
}

static void bpf_tells_what_stays(void **state)
{
	(void)state;
	if (!has_source(SNAPSHOT_BPF))
		skip();
	look_for_a_round(SNAPSHOT_BPF);
}

/* bpf_iter_tcp_resume() by cookies: 6.17; before that by number, like sock_diag. */
static bool resumes_by_cookie(void)
{
	struct utsname name;
	unsigned major = 0, minor = 0;

	assert_int_equal(uname(&name), 0);
	assert_int_equal(sscanf(name.release, "%u.%u", &major, &minor), 2);
	return major > 6 || (major == 6 && minor >= 17);
}

static void bpf_tells_each_once_in_a_crowded_table(void **state)
{
	(void)state;
	if (crowded) {
		_cleanup_fclose_ FILE *file = fopen("/proc/sys/net/ipv4/tcp_ehash_entries", "re");
		char line[32] = "";

		assert_non_null(file);
		assert_non_null(fgets(line, sizeof(line), file));
		assert_string_equal(line, BUCKETS "\n");
	}
	if (!crowded || !resumes_by_cookie() || !has_source(SNAPSHOT_BPF))
		skip();
	look_for_a_round(SNAPSHOT_BPF);
}

static void diag_fd_tells_what_stays(void **state)
{
	(void)state;
	if (!has_source(SNAPSHOT_DIAG_FD))
		skip();
	look_for_a_round(SNAPSHOT_DIAG_FD);
}

static void diag_tells_what_stays(void **state)
{
	(void)state;
	look_for_a_round(SNAPSHOT_DIAG);
}

/* ------------------------------------------------------------------------------ the command */

/* Its exit status; what it prints goes to out. */
static int run_list(int out, const char *source, const char *option, const char *value)
{
	const char *tcpkeep = getenv("TCPKEEP");
	int status;
	pid_t pid;

	assert_non_null(tcpkeep);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(out, STDOUT_FILENO);
		execl(tcpkeep, tcpkeep, "list", "--source", source, option, value, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Each socket that stays is in it once; sock_diag may be wrong about one. */
static void check_cookies(FILE *file, bool exact)
{
	unsigned seen[ENDS] = {0}, odd = 0;
	char line[256];

	while (fgets(line, sizeof(line), file)) {
		struct end *end = find_end(strtoull(line, NULL, 10));

		assert_non_null(strstr(line, "\r\n"));
		if (end)
			seen[end - shared->ends]++;
	}
	for (size_t i = 0; i < ENDS; i++)
		odd += seen[i] != 1;
	assert_true(odd <= (exact ? 0 : 1));
}

static void the_command_never_fails(void **state)
{
	static const char *const sources[] = {"bpf", "diag-fd", "diag"};
	static const char *const ways[][2] = {
		{"--json", NULL}, {"--sort", "owner,-silence"}, {"--summary", "program"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		_cleanup_fclose_ FILE *null = fopen("/dev/null", "we"), *file = tmpfile();

		if (!has_source((enum snapshot_source)(SNAPSHOT_BPF + i)))
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(ways); j++)
			assert_int_equal(run_list(fileno(null), sources[i], ways[j][0], ways[j][1]),
					 0);
		assert_int_equal(run_list(fileno(file), sources[i], "--csv", "-ocookie,owner"), 0);
		rewind(file);
		check_cookies(file, i == 0);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest crowded_tests[] = {
		cmocka_unit_test(bpf_tells_each_once_in_a_crowded_table),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bpf_tells_what_stays),
		cmocka_unit_test(diag_fd_tells_what_stays),
		cmocka_unit_test(diag_tells_what_stays),
		cmocka_unit_test(the_command_never_fails),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	crowded = argc > 1 && strcmp(argv[1], "crowded") == 0;
	if (crowded)
		return cmocka_run_group_tests_name("list-churn-crowded", crowded_tests, start_all,
						   end_started);
	return cmocka_run_group_tests_name("list-churn", tests, start_all, end_started);
}
