/* SPDX-License-Identifier: MIT */
/*
 * What a policy costs a connection: connect, accept and close over loopback, both ends in one
 * thread. Variants take turns of some milliseconds, round after round; each turn prints
 *
 *	VARIANT ROUND NANOSECONDS-PER-CONNECTION
 *
 * and at last, for each policy, with the kernel's own accounting of BPF, of some turns the
 *quietest:
 *
 *	VARIANT calls CALLS-PER-100-CONNECTIONS
 *	VARIANT inside NANOSECONDS-PER-CONNECTION
 *
 * A policy is attached for its own turn alone: with any sock_ops program on the machine, the kernel
 * asks every cgroup for its own.
 *
 * Usage: policy-bench CGROUP-DIRECTORY ROUNDS BATCHES [VARIANT=FILE]...
 *        policy-bench worker BATCHES own|plain
 * CGROUP-DIRECTORY is one that the caller made for this alone. FILE: a policy, "floor" (a program
 *that does nothing), "empty" (ours without a policy), "own" (the program sets the options itself),
 *a library to preload, nothing.
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
	const int on = 1, time_s = 60, intvl_s = 10, probes = 6;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &time_s, sizeof(time_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &intvl_s, sizeof(intvl_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

static void connection(int listener, const struct sockaddr_in *address, bool own)
{
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;

	if (client < 0)
		fail("socket");
	if (own)
		set_own(client);
	if (connect(client, (const struct sockaddr *)address, sizeof(*address)) < 0)
		fail("connect");
	accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (accepted < 0)
		fail("accept");
	if (own)
		set_own(accepted);
	close(client);
	close(accepted);
}

/* A turn for each byte that is read. */
static int work(long batches, bool own)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(PORT),
	};
	const int one = 1;
	int listener = -1;
	char byte;

	while (read(STDIN_FILENO, &byte, 1) == 1) {
		long long best = INT64_MAX;

		/* One of its own for each turn: what was there before the policy has no tag. */
		listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		    listen(listener, 16) < 0)
			fail("listen");
		for (long i = 0; i < batches; i++) {
			long long start = now_ns(), took;

			for (int j = 0; j < BATCH; j++)
				connection(listener, &address, own);
			took = now_ns() - start;
			if (took < best)
				best = took;
		}
		close(listener);
		printf("%lld\n", best / BATCH);
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
	long rounds;
	struct stat st;

	if (argc == 4 && strcmp(argv[1], "worker") == 0)
		return work(number(argv[2]), strcmp(argv[3], "own") == 0);
	if (argc < 5)
		return 2;
	pin();
	rounds = number(argv[2]);
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
	for (int round = -1; round < rounds; round++)
		for (int i = 0; i < n; i++)
			turn(&variants[(i + (round & 1 ? n - 1 - 2 * i : 0))], cgroup, round);
	account_all(variants, n, cgroup, number(argv[3]));
	for (int i = 0; i < n; i++)
		fclose(variants[i].to);
	while (wait(NULL) > 0)
		;
	return 0;
}
