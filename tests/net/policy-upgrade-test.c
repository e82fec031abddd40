/* SPDX-License-Identifier: MIT */
/* Another build of tcpkeep takes a policy over: the old or the new one is in force, whatever it is
 * killed at, and no connection meets both or none. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "policy-world.h"
#include "policy/policy-pins.h"
#include "unit/unit.h"

#define OLD_PORT 7001
#define NEW_PORT 7002

/* Each for connections of its own, so that both would be seen. */
#define OLD "rule 'old' { peer = ':7001' time = 61 }"
#define NEW                                                                                        \
	"rule 'new' { peer = ':7002' program = 'tk-*' time = 62 }\n"                               \
	"rule 'more' { peer = ':7003' time = 63 mode = enforce }"

/* Beyond what the command makes of any call. */
#define CALLS_MAX 200

/* Of the bpf() calls: each of those around the take-over, of the others every so many. Behind it
 * come but those that take the old one's pins away. */
#define CALLS_NEAR   36
#define CALLS_BEHIND 18
#define CALLS_FAR    9

static int time_of(uint16_t port)
{
	struct world_pair pair =
		world_connect(&(struct world_subject){.program = "tk-check", .port = port});

	assert_int_equal(pair.r, 0);
	return pair.client.on ? pair.client.time_s : 0;
}

/* True: the new one; fails when it is neither or both. */
static bool new_in_force(void)
{
	int old = time_of(OLD_PORT), new = time_of(NEW_PORT);

	if (!(old == 61 && new == 0) && !(old == 0 && new == 62))
		fail_msg("connections got %d of the old policy and %d of the new", old, new);
	return new == 62;
}

static void apply_old(void)
{
	world_remove();
	world_apply(OLD);
	world_pretend(POLICY_LAYOUT, 1);
}

static char file[] = "/tmp/tcpkeep-policy-XXXXXX";

static int take_status(const struct policy_kernel_status *status, void *userdata)
{
	*(struct policy_kernel_status *)userdata = *status;
	return 0;
}

/* Killed there: what is told is what is so, and does not change by telling; the next apply ends it.
 * True: it was killed, *ret_new tells what was in force. */
static bool kill_at(const char *call, unsigned n, bool *ret_new)
{
	struct policy_kernel_status status = {0};
	bool killed;

	apply_old();
	killed = world_run_killed("apply", file, call, n);
	*ret_new = new_in_force();
	assert_int_equal(policy_kernel_status(world.cgroup, take_status, &status, NULL), 1);
	assert_false(status.detached);
	assert_false(status.damaged);
	assert_int_equal(new_in_force(), *ret_new);
	world_apply(NEW);
	assert_true(new_in_force());
	assert_int_equal(time_of(7003), 63);
	assert_int_equal(world_pins(), 2);
	world_remove();
	assert_int_equal(world_pins(), 0);
	assert_int_equal(time_of(OLD_PORT), 0);
	return killed;
}

/* How many bpf() calls one apply makes: most of them load programs, long before anything changes.
 */
static unsigned count_calls(void)
{
	char command[512];
	unsigned n = 0;
	FILE *pipe;

	apply_old();
	snprintf(command, sizeof(command),
		 "ASAN_OPTIONS=detect_leaks=0 strace -f -o /dev/stdout -e trace=bpf '%s' policy "
		 "apply --cgroup '%s' %s | grep -c 'bpf('",
		 getenv("TCPKEEP"), world.cgroup, file);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%u", &n), 1);
	pclose(pipe);
	return n;
}

static void killed_at_each_call(void **state)
{
	static const char *const calls[] = {"rename", "unlink", "rmdir", "mkdir", "bpf"};
	unsigned olds = 0, news = 0, total;

	(void)state;
	if (!world_can_kill())
		skip();
	total = count_calls();
	assert_true(total > CALLS_NEAR && total < CALLS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		unsigned n = 1;
		bool new;

		for (; n < CALLS_MAX && kill_at(calls[i], n, &new); n++) {
			olds += !new;
			news += new;
			if (strcmp(calls[i], "bpf") == 0 &&
			    (n < total - CALLS_NEAR || n > total - CALLS_BEHIND))
				n += CALLS_FAR;
		}
		assert_true(new);
		assert_true(n > 1 && n < CALLS_MAX);
	}
	print_message("# %u times the old policy, %u times the new\n", olds, news);
	assert_true(olds > 10 && news > 5);
}

struct churn {
	volatile bool stop;
	unsigned long old, new, both, none;
};

/* Both ends of the port have one rule in the old policy and one in the new. */
static void churn(struct churn *churn)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!churn->stop) {
		struct world_pair pair = world_connect(&(struct world_subject){.port = OLD_PORT});
		const struct world_end *end = &pair.client;

		if (pair.r < 0)
			continue;
		if (end->time_s == 61 && end->intvl_s == 11)
			churn->old++;
		else if (end->time_s == 71 && end->probes == 3 && end->intvl_s == 75)
			churn->new ++;
		else if (end->on == 0)
			churn->none++;
		else
			churn->both++;
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
	world_apply("rule 'a' { peer = ':7001' time = 61 intvl = 11 }");
	pid = fork();
	if (pid == 0)
		churn(shared);
	for (unsigned i = 0; i < 40 || shared->old < 50 || shared->new < 50; i++) {
		struct policy_apply_report report;

		world_pretend(POLICY_LAYOUT, 1);
		assert_int_equal(
			world_try_apply(i & 1 ? "rule 'a' { peer = ':7001' time = 61 intvl = 11 }"
					      : "rule 'b' { peer = ':7001' time = 71 probes = 3 }",
					&report, NULL),
			0);
		assert_true(report.upgraded);
	}
	shared->stop = true;
	assert_int_equal(world_wait(pid), 0);
	print_message("# %lu connections by the one, %lu by the other, %lu by none, %lu by both\n",
		      shared->old, shared->new, shared->none, shared->both);
	assert_int_equal(shared->none, 0);
	assert_int_equal(shared->both, 0);
	world_remove();
	munmap(shared, sizeof(*shared));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(under_load),
		cmocka_unit_test(killed_at_each_call),
	};
	int fd, r;

	if (!world_make())
		return 0;
	fd = mkstemp(file);
	if (fd < 0 || write(fd, NEW, strlen(NEW)) != (ssize_t)strlen(NEW))
		return 1;
	close(fd);
	r = run_unit_tests("policy-upgrade", tests);
	unlink(file);
	world_leave();
	return r;
}
