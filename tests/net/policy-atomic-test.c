/* SPDX-License-Identifier: MIT */
/* The old policy or the new, never a part: under load, through kill -9 at every step, two at once.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "policy-world.h"
#include "unit/unit.h"

#define RULE_A "rule 'a' { time = 61 intvl = 11 probes = 7 }"
#define RULE_B "rule 'b' { program = 'tk-*' time = 62 intvl = 12 probes = 8 mode = enforce }"

#define SWAPS 200

/* Beyond what any of the commands takes; a run that is not killed ends the loop. */
#define STEPS_MAX 200

enum which {
	NONE,
	A,
	B,
	MIXED,
};

static enum which which(const struct world_end *end)
{
	if (end->on == 0 && end->time_s == 7200 && end->intvl_s == 75 && end->probes == 9)
		return NONE;
	if (end->on == 1 && end->time_s == 61 && end->intvl_s == 11 && end->probes == 7)
		return A;
	if (end->on == 1 && end->time_s == 62 && end->intvl_s == 12 && end->probes == 8)
		return B;
	return MIXED;
}

/* What is in force, by what a connection is given. */
static enum which in_force(void)
{
	struct world_pair pair = world_connect(&(struct world_subject){.program = "tk-check"});

	assert_int_equal(pair.r, 0);
	assert_int_equal(which(&pair.client), which(&pair.server));
	return which(&pair.client);
}

struct churn {
	volatile bool stop;
	unsigned long ends[MIXED + 1];
};

static void churn(struct churn *churn)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!churn->stop) {
		struct world_pair pair =
			world_connect(&(struct world_subject){.program = "tk-churn"});

		if (pair.r < 0)
			continue;
		churn->ends[which(&pair.client)]++;
		churn->ends[which(&pair.server)]++;
	}
	_exit(0);
}

static void under_load(void **state)
{
	struct churn *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	(void)state;
	assert_true(shared != MAP_FAILED);
	world_apply(RULE_A);
	pid = fork();
	if (pid == 0)
		churn(shared);
	for (unsigned i = 0; i < SWAPS || shared->ends[A] + shared->ends[B] < 500; i++)
		world_apply(i & 1 ? RULE_A : RULE_B);
	shared->stop = true;
	assert_int_equal(world_wait(pid), 0);
	print_message("# %lu ends as A, %lu as B, %lu as neither, %lu as both\n", shared->ends[A],
		      shared->ends[B], shared->ends[NONE], shared->ends[MIXED]);
	assert_int_equal(shared->ends[NONE], 0);
	assert_int_equal(shared->ends[MIXED], 0);
	assert_true(shared->ends[A] > 0 && shared->ends[B] > 0);
	world_remove();
	munmap(shared, sizeof(*shared));
}

static char files[2][64];

static void write_files(void)
{
	static const char *const texts[] = {RULE_A, RULE_B};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int fd;

		snprintf(files[i], sizeof(files[i]), "/tmp/tcpkeep-policy-XXXXXX");
		fd = mkstemp(files[i]);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
		close(fd);
	}
}

static void set_own(int client, int listener)
{
	int value = 99;

	(void)listener;
	setsockopt(client, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof(value));
}

/* Enforced, by the hook that does it, or not. */
static void assert_hooks(enum which now)
{
	struct world_pair pair =
		world_connect(&(struct world_subject){.program = "tk-check", .after = set_own});

	assert_int_equal(pair.r, 0);
	assert_int_equal(pair.client.time_s, now == B ? 62 : 99);
}

struct killing {
	const char *verb, *file, *before;
	enum which old, new;
	unsigned olds, news;
};

/* The state is one of two; what is told is what is so, and the next command finds nothing in its
 * way. True: it was killed. */
static bool kill_at(struct killing *killing, const char *call, unsigned n)
{
	enum which now;
	bool killed;

	if (killing->before)
		world_apply(killing->before);
	killed = world_run_killed(killing->verb, killing->file, call, n);
	now = in_force();
	if (now != killing->old && now != killing->new)
		fail_msg("%s killed at %s() %u: state %d", killing->verb, call, n, now);
	assert_hooks(now);
	if (!killed) {
		assert_int_equal(now, killing->new);
		return false;
	}
	killing->olds += now == killing->old;
	killing->news += now == killing->new;
	if (now == NONE)
		assert_int_equal(policy_kernel_status(world.cgroup, NULL, NULL, NULL), 0);
	else
		assert_int_equal(world_count(now == A ? "a" : "b").failed, 0);
	/* Some go on from here, some from nothing. */
	if (killing->before && killing->new != NONE)
		return true;
	world_remove();
	assert_int_equal(world_pins(), 0);
	assert_int_equal(in_force(), NONE);
	return true;
}

/* strace counts each call by itself. */
static void kill_each_step(struct killing killing)
{
	static const char *const calls[] = {"bpf", "mkdir", "rename", "unlink", "rmdir"};
	unsigned steps = 0;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		unsigned n = 1;

		while (n < STEPS_MAX && kill_at(&killing, calls[i], n))
			n++;
		assert_true(n < STEPS_MAX);
		steps += n - 1;
		world_remove();
	}
	print_message("# %s: %u steps; %u times the old state, %u times the new\n", killing.verb,
		      steps, killing.olds, killing.news);
	assert_true(killing.olds > 0 && killing.news > 0);
}

static void killed_in_the_first_apply(void **state)
{
	(void)state;
	if (!world_can_kill())
		skip();
	kill_each_step((struct killing){"apply", files[0], NULL, NONE, A});
}

static void killed_in_the_next_apply(void **state)
{
	(void)state;
	if (!world_can_kill())
		skip();
	kill_each_step((struct killing){"apply", files[1], RULE_A, A, B});
}

static void killed_on_the_way_back(void **state)
{
	(void)state;
	if (!world_can_kill())
		skip();
	kill_each_step((struct killing){"apply", files[0], RULE_B, B, A});
}

static void killed_in_remove(void **state)
{
	(void)state;
	if (!world_can_kill())
		skip();
	kill_each_step((struct killing){"remove", NULL, RULE_B, B, NONE});
}

static int count_one(const struct policy_kernel_status *status, void *userdata)
{
	(void)userdata;
	assert_true(status->readable);
	assert_false(status->detached);
	assert_string_equal(status->cgroup, world.cgroup);
	return 0;
}

static void two_at_once(void **state)
{
	pid_t pids[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (pids[i] != 0)
			continue;
		for (unsigned n = 0; n < 10; n++) {
			if (world_try_apply(i & 1 ? RULE_A : RULE_B, NULL, NULL) != 0)
				_exit(1);
			if (i == 3 &&
			    policy_kernel_remove(world.cgroup, false, NULL, NULL, NULL) < 0)
				_exit(2);
		}
		_exit(0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		assert_int_equal(world_wait(pids[i]), 0);
	world_apply(RULE_A);
	assert_int_equal(policy_kernel_status(NULL, count_one, NULL, NULL), 1);
	assert_int_equal(world_pins(), 2);
	assert_int_equal(in_force(), A);
	world_remove();
	assert_int_equal(world_pins(), 0);
	assert_int_equal(in_force(), NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(under_load),
		cmocka_unit_test(killed_in_the_first_apply),
		cmocka_unit_test(killed_in_the_next_apply),
		cmocka_unit_test(killed_on_the_way_back),
		cmocka_unit_test(killed_in_remove),
		cmocka_unit_test(two_at_once),
	};
	int r;

	if (!world_make())
		return 0;
	write_files();
	r = run_unit_tests("policy-atomic", tests);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlink(files[i]);
	world_leave();
	return r;
}
