/* SPDX-License-Identifier: MIT */
/*
 * What a policy costs a connection: connect, accept and close over loopback, both ends in one
 * thread. Variants take turns of some milliseconds, round after round; each turn prints
 *
 *	VARIANT ROUND NANOSECONDS-PER-CONNECTION ENDS-THAT-ARE-SET
 *
 * and at last, for each policy, with the kernel's own accounting of BPF, of some turns the
 *quietest:
 *
 *	VARIANT calls CALLS-PER-100-CONNECTIONS
 *	VARIANT inside NANOSECONDS-PER-CONNECTION
 *
 * and, when there were any, how many sock_ops programs of others the machine had:
 *
 *	others loaded NUMBER
 *
 * A policy is attached for its own turn alone: with any sock_ops program on the machine, the kernel
 * asks every cgroup for its own.
 *
 * Usage: policy-bench CGROUP-DIRECTORY ROUNDS BATCHES [VARIANT=FILE]...
 *        policy-bench worker BATCHES own|plain
 * CGROUP-DIRECTORY is one that the caller made for this alone. FILE: a policy, "floor" (a program
 * that does nothing), "empty" (ours without a policy), "own" (the program sets the options itself),
 * a library to preload, nothing.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"
#include "policy/policy-fill.h"
#include "policy/policy-hooks.h"

#define VARIANTS_MAX 32
#define PORT         5432

/* What all who set something set. */
#define TIME   60
#define INTVL  10
#define PROBES 6

/* Connections; of each turn the fastest batch counts: others share the machine. */
#define BATCH 50
/* Turns. */
#define ACCOUNTED 15

static void fail(const char *what)
{
	fprintf(stderr, "policy-bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void set_own(int fd)
{
	const int on = 1, time_s = TIME, intvl_s = INTVL, probes = PROBES;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &time_s, sizeof(time_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &intvl_s, sizeof(intvl_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

struct pair {
	int client, accepted;
};

static struct pair open_pair(int listener, const struct sockaddr_in *address, bool own)
{
	struct pair pair = {.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

	if (pair.client < 0)
		fail("socket");
	if (own)
		set_own(pair.client);
	if (connect(pair.client, (const struct sockaddr *)address, sizeof(*address)) < 0)
		fail("connect");
	pair.accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (pair.accepted < 0)
		fail("accept");
	if (own)
		set_own(pair.accepted);
	return pair;
}

static void close_pair(struct pair pair)
{
	close(pair.client);
	close(pair.accepted);
}

static bool has(int fd, int level, int option, int value)
{
	socklen_t len = sizeof(int);
	int is;

	return getsockopt(fd, level, option, &is, &len) == 0 && is == value;
}

static bool is_set(int fd)
{
	return has(fd, SOL_SOCKET, SO_KEEPALIVE, 1) && has(fd, IPPROTO_TCP, TCP_KEEPIDLE, TIME) &&
	       has(fd, IPPROTO_TCP, TCP_KEEPINTVL, INTVL) &&
	       has(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
}

/* One of its own for each turn: what was there before the policy has no tag. */
static int listen_anew(const struct sockaddr_in *address)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int one = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
	    listen(listener, 16) < 0)
		fail("listen");
	return listener;
}

/* A turn for each byte that is read: how long a connection took, how many ends of one are set. */
static int work(long batches, bool own)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(PORT),
	};
	char byte;

	while (read(STDIN_FILENO, &byte, 1) == 1) {
		int listener = listen_anew(&address);
		long long best = INT64_MAX;
		struct pair pair;
		int ends;

		for (long i = 0; i < batches; i++) {
			long long start = now_ns(), took;

			for (int j = 0; j < BATCH; j++)
				close_pair(open_pair(listener, &address, own));
			took = now_ns() - start;
			if (took < best)
				best = took;
		}
		pair = open_pair(listener, &address, own);
		ends = is_set(pair.client) + is_set(pair.accepted);
		close_pair(pair);
		close(listener);
		/* Only now: the next one's turn is to find the port free. */
		printf("%lld %d\n", best / BATCH, ends);
		fflush(stdout);
	}
	return 0;
}

struct variant {
	const char *name;
	FILE *to, *from;       /* its worker */
	struct policy_fds fds; /* its policy */
	bool has_policy;
};

static void move_into(const char *cgroup)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		fail(path);
	close(fd);
}

static void start_worker(struct variant *variant, const char *cgroup, const char *batches, bool own,
			 const char *preload)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		fail("pipe");
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		move_into(cgroup);
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		if (preload)
			setenv("LD_PRELOAD", preload, 1);
		execl("/proc/self/exe", "policy-bench", "worker", batches, own ? "own" : "plain",
		      NULL);
		fail("worker");
	}
	close(to[0]);
	close(from[1]);
	variant->to = fdopen(to[1], "w");
	variant->from = fdopen(from[0], "r");
}

/* What the kernel itself takes for calling a program that does nothing. */
static int load_nothing(void)
{
	const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "nothing", "GPL", program, 2, NULL);

	if (fd < 0)
		fail("BPF");
	return fd;
}

static void load_policy(struct variant *variant, const char *path, uint64_t cgroup)
{
	struct tcpkeep_error error = {0};
	struct policy policy;
	struct policy_set *set;
	size_t listeners;

	variant->has_policy = true;
	if (strcmp(path, "floor") == 0) {
		variant->fds.sock_ops = load_nothing();
		return;
	}
	if (strcmp(path, "empty") == 0) {
		if (policy_load(cgroup, &variant->fds) < 0)
			fail("load");
		return;
	}
	if (policy_read(path, NULL, NULL, &policy, &error) < 0 ||
	    policy_image(&policy, 0, &set, NULL, &error) < 0 ||
	    policy_load(cgroup, &variant->fds) < 0 ||
	    (set->needs & POLICY_NEEDS_PROGRAM && policy_tag(&variant->fds, &listeners) < 0) ||
	    policy_swap(&variant->fds, set, NULL, NULL) < 0 ||
	    (set->needs & POLICY_NEEDS_PROGRAM && policy_tag_asked(&variant->fds) < 0)) {
		fprintf(stderr, "policy-bench: %s: %s\n", path, error.message);
		exit(1);
	}
	policy_free(&policy);
	free(set);
}

static void turn(struct variant *variant, int cgroup, int round)
{
	struct tcpkeep_error error = {0};
	char line[64];

	if (variant->has_policy &&
	    policy_hook_attach(&variant->fds, POLICY_HOOK_SOCK_OPS, cgroup, &error) < 0) {
		fprintf(stderr, "policy-bench: %s\n", error.message);
		exit(1);
	}
	if (fputc('1', variant->to) == EOF || fflush(variant->to) == EOF ||
	    !fgets(line, sizeof(line), variant->from))
		fail(variant->name);
	if (variant->has_policy) {
		close(variant->fds.sock_ops_link);
		variant->fds.sock_ops_link = -1;
	}
	if (round >= 0)
		printf("%s %d %s", variant->name, round, line);
}

/* With one attached anywhere, what has no policy pays for a part of it, too. */
static unsigned count_sock_ops(void)
{
	__u32 id = 0;
	unsigned n = 0;

	while (bpf_prog_get_next_id(id, &id) == 0) {
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0)
			continue;
		n += bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
		     info.type == BPF_PROG_TYPE_SOCK_OPS;
		close(fd);
	}
	return n;
}

/* Forwards and backwards in turn, so that none always follows the same one. */
static void run_rounds(struct variant *variants, int n, int cgroup, int rounds)
{
	unsigned ours = 0, most = 0;

	for (int i = 0; i < n; i++)
		ours += variants[i].has_policy;
	for (int round = -1; round < rounds; round++) {
		unsigned programs = count_sock_ops();

		for (int i = 0; i < n; i++)
			turn(&variants[round & 1 ? n - 1 - i : i], cgroup, round);
		if (programs > most)
			most = programs;
	}
	if (most > ours)
		printf("others loaded %u\n", most - ours);
}

struct account {
	__u64 calls, ns;
};

static struct account account_of(int program)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(program, &info, &len) < 0)
		fail("BPF");
	return (struct account){info.run_cnt, info.run_time_ns};
}

/* Accounting costs, too: only now, and of that "floor" has the same. */
static void account(struct variant *variant, int cgroup, long batches)
{
	__u64 connections = (__u64)batches * BATCH;
	struct account least = {.ns = UINT64_MAX};

	for (int i = 0; i < ACCOUNTED; i++) {
		struct account before = account_of(variant->fds.sock_ops), after;

		turn(variant, cgroup, -1);
		after = account_of(variant->fds.sock_ops);
		if (after.ns - before.ns < least.ns)
			least = (struct account){after.calls - before.calls, after.ns - before.ns};
	}
	printf("%s calls %llu\n", variant->name,
	       (unsigned long long)(least.calls * 100 / connections));
	printf("%s inside %llu\n", variant->name, (unsigned long long)(least.ns / connections));
}

static void account_all(struct variant *variants, int n, int cgroup, long batches)
{
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (stats < 0)
		fail("BPF statistics");
	for (int i = 0; i < n; i++)
		if (variants[i].has_policy)
			account(&variants[i], cgroup, batches);
	close(stats);
}

/* All on one processor, so that each turn has the same caches. */
static void pin(void)
{
	cpu_set_t set, all;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		return;
	for (int i = CPU_SETSIZE - 1; i >= 0; i--)
		if (CPU_ISSET(i, &all)) {
			CPU_ZERO(&set);
			CPU_SET(i, &set);
			sched_setaffinity(0, sizeof(set), &set);
			return;
		}
}

static long number(const char *text)
{
	int64_t value;

	if (number_parse(text, strlen(text), 1, 1000000000, &value) < 0)
		fail(text);
	return (long)value;
}

int main(int argc, char **argv)
{
	static struct variant variants[VARIANTS_MAX];
	int n = 0, cgroup;
	int rounds;
	struct stat st;

	if (argc == 4 && strcmp(argv[1], "worker") == 0 && prctl(PR_SET_NAME, "policy-worker") == 0)
		return work(number(argv[2]), strcmp(argv[3], "own") == 0);
	if (argc < 5)
		return 2;
	pin();
	rounds = (int)number(argv[2]);
	cgroup = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0 || fstat(cgroup, &st) < 0)
		fail(argv[1]);
	for (int i = 4; i < argc && n < VARIANTS_MAX; i++, n++) {
		char *value = strchr(argv[i], '=');
		bool own, preload;

		if (!value)
			return 2;
		*value++ = '\0';
		own = strcmp(value, "own") == 0;
		preload = strstr(value, ".so") != NULL;
		variants[n] = (struct variant){.name = argv[i], .fds = POLICY_FDS_NONE};
		start_worker(&variants[n], argv[1], argv[3], own, preload ? value : NULL);
		if (*value && !own && !preload)
			load_policy(&variants[n], value, st.st_ino);
	}
	run_rounds(variants, n, cgroup, rounds);
	account_all(variants, n, cgroup, number(argv[3]));
	for (int i = 0; i < n; i++)
		fclose(variants[i].to);
	while (wait(NULL) > 0)
		;
	return 0;
}
