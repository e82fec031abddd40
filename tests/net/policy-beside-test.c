/* SPDX-License-Identifier: MIT */
/* Beside others: their programs on the cgroup, another tcpkeep's pins, a cgroup that goes, no
 * privilege. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy-world.h"
#include "policy/policy-load.h"
#include "policy/policy-pins.h"
#include "unit/unit.h"

#define RULE "rule 'it' { time = 61 }"

static int load_foreign(void)
{
	const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "foreign", "GPL", program, 2, NULL);
}

static int open_cgroup(void)
{
	return open(world.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

struct seen {
	unsigned policies, foreign;
	bool inherited, readable, detached;
	unsigned layout;
};

static int look(const struct policy_kernel_status *status, void *userdata)
{
	struct seen *seen = userdata;

	seen->policies++;
	seen->readable = status->readable;
	seen->detached = status->detached;
	seen->layout = status->layout;
	for (size_t i = 0; i < status->n_others; i++)
		if (strcmp(status->others[i].name, "foreign") == 0) {
			seen->foreign++;
			seen->inherited = status->others[i].inherited;
			assert_int_equal(status->others[i].hook, POLICY_HOOK_SOCK_OPS);
		}
	return 0;
}

static struct seen status(void)
{
	struct seen seen = {0};
	struct tcpkeep_error error = {0};
	int r = policy_kernel_status(world.cgroup, look, &seen, &error);

	if (r < 0)
		fail_msg("status: %d %s", r, error.message);
	assert_int_equal(r, seen.policies);
	return seen;
}

static void another_program(void **state)
{
	int foreign = load_foreign(), cgroup = open_cgroup(), link;

	(void)state;
	link = bpf_link_create(foreign, cgroup, BPF_CGROUP_SOCK_OPS, NULL);
	assert_true(link >= 0);
	world_apply(RULE);
	assert_int_equal(world_connect(&(struct world_subject){0}).client.time_s, 61);
	assert_int_equal(status().foreign, 1);
	assert_false(status().inherited);
	world_remove();
	/* The other one is where it was. */
	assert_true(bpf_link_detach(link) == 0);
	close(link);
	close(foreign);
	close(cgroup);
}

static void one_that_wants_the_cgroup_for_itself(void **state)
{
	int foreign = load_foreign(), cgroup = open_cgroup();
	struct tcpkeep_error error = {0};

	(void)state;
	assert_int_equal(bpf_prog_attach(foreign, cgroup, BPF_CGROUP_SOCK_OPS, 0), 0);
	assert_int_equal(world_try_apply(RULE, NULL, &error), -EBUSY);
	assert_non_null(strstr(error.message, "foreign"));
	assert_int_equal(world_pins(), 0);
	assert_int_equal(bpf_prog_detach2(foreign, cgroup, BPF_CGROUP_SOCK_OPS), 0);
	world_apply(RULE);
	world_remove();
	close(foreign);
	close(cgroup);
}

static void an_older_tcpkeeps_policy_is_replaced(void **state)
{
	struct policy_apply_report report;

	(void)state;
	world_apply(RULE);
	world_pretend(POLICY_LAYOUT, 1);
	assert_int_equal(world_try_apply("rule 'new' { time = 62 }", &report, NULL), 0);
	assert_true(report.replaced);
	assert_true(report.upgraded);
	assert_int_equal(world_pins(), 2);
	assert_int_equal(world_connect(&(struct world_subject){0}).client.time_s, 62);
	world_pretend(0, 1);
	assert_false(status().readable);
	assert_int_equal(world_try_apply("rule 'new' { time = 63 }", &report, NULL), 0);
	assert_true(report.upgraded);
	assert_int_equal(world_connect(&(struct world_subject){0}).client.time_s, 63);
	world_remove();
}

static void a_newer_tcpkeeps_policy_stays(void **state)
{
	struct tcpkeep_error error = {0};

	(void)state;
	world_apply(RULE);
	world_pretend(POLICY_LAYOUT + 1, 1);
	assert_int_equal(world_try_apply("rule 'new' { time = 62 }", NULL, &error), -EEXIST);
	assert_non_null(strstr(error.message, "newer"));
	assert_int_equal(world_connect(&(struct world_subject){0}).client.time_s, 61);
	assert_int_equal(status().policies, 1);
	assert_false(status().readable);
	assert_int_equal(status().layout, POLICY_LAYOUT + 1);
	assert_int_equal(policy_kernel_remove(world.cgroup, false, NULL, NULL, NULL), 1);
	assert_int_equal(world_pins(), 0);
	assert_int_equal(world_connect(&(struct world_subject){0}).client.on, 0);
}

/* bpftool link detach: told, and put right by the next apply. */
static void somebody_detaches_it(void **state)
{
	struct policy_pins pins;
	struct policy_place *places;
	size_t n;
	int fd;

	(void)state;
	world_apply(RULE);
	assert_int_equal(policy_pins_open(false, &pins, NULL), 0);
	assert_int_equal(policy_pins_list(&pins, &places, &n), 0);
	fd = policy_place_get(&pins, &places[0], "sock_ops_link");
	assert_int_equal(bpf_link_detach(fd), 0);
	close(fd);
	free(places);
	policy_pins_close(&pins);
	assert_true(status().detached);
	world_apply(RULE);
	assert_false(status().detached);
	assert_int_equal(world_connect(&(struct world_subject){0}).client.time_s, 61);
	world_remove();
	assert_int_equal(world_pins(), 0);
}

static void a_cgroup_that_goes(void **state)
{
	struct policy_apply_options options = {0};
	struct policy_rule rule = {.name = "it", .settings = {TCPKEEP_ON, true}};
	struct policy policy = {.rules = &rule, .n_rules = 1};
	char directory[512], cgroup[512];

	(void)state;
	snprintf(directory, sizeof(directory), "%s/goes", world.directory);
	snprintf(cgroup, sizeof(cgroup), "%s/goes", world.cgroup);
	assert_int_equal(mkdir(directory, 0755), 0);
	options.cgroup = cgroup;
	assert_int_equal(policy_kernel_apply(&policy, &options, NULL, NULL), 0);
	assert_int_equal(world_pins(), 2);
	assert_int_equal(rmdir(directory), 0);
	/* The kernel detaches when the last of it has gone, which takes a moment. */
	for (int i = 0; i < 500 && world_pins() > 0; i++) {
		assert_true(policy_kernel_status(NULL, look, &(struct seen){0}, NULL) >= 0);
		usleep(10000);
	}
	assert_int_equal(world_pins(), 0);
	assert_int_equal(policy_kernel_apply(&policy, &options, NULL, NULL), -ENOENT);
}

static void without_the_privilege(void **state)
{
	int r;
	pid_t pid;

	(void)state;
	assert_int_equal(world_pins(), 0);
	pid = fork();
	if (pid == 0) {
		struct tcpkeep_error error = {0};

		if (setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		r = world_try_apply(RULE, NULL, &error);
		_exit(r == -EPERM && strstr(error.message, "tcpkeep run") ? 0 : 2);
	}
	assert_int_equal(world_wait(pid), 0);
	assert_int_equal(world_pins(), 0);
}

/* ------------------------------------------------------------------------- what is refused */

int __real_policy_load(uint64_t cgroup, const struct policy_action *one_rule,
		       struct policy_fds *ret);
int __wrap_policy_load(uint64_t cgroup, const struct policy_action *one_rule,
		       struct policy_fds *ret);

static int load_result; /* 0: as it comes */

int __wrap_policy_load(uint64_t cgroup, const struct policy_action *one_rule,
		       struct policy_fds *ret)
{
	return load_result ? load_result : __real_policy_load(cgroup, one_rule, ret);
}

static void the_verifiers_no_is_not_taken_for_a_lack_of_privilege(void **state)
{
	static const int refusals[] = {-EACCES, -EPERM};

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct tcpkeep_error error = {0};
		int r;

		load_result = refusals[i];
		r = world_try_apply("rule a { on }", NULL, &error);
		load_result = 0;
		assert_int_equal(r, -EOPNOTSUPP);
		assert_non_null(strstr(error.message, "not for lack of a capability"));
		assert_null(strstr(error.message, "CAP_BPF"));
		assert_int_equal(world_pins(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_verifiers_no_is_not_taken_for_a_lack_of_privilege),
		cmocka_unit_test(another_program),
		cmocka_unit_test(one_that_wants_the_cgroup_for_itself),
		cmocka_unit_test(an_older_tcpkeeps_policy_is_replaced),
		cmocka_unit_test(a_newer_tcpkeeps_policy_stays),
		cmocka_unit_test(somebody_detaches_it),
		cmocka_unit_test(a_cgroup_that_goes),
		cmocka_unit_test(without_the_privilege),
	};
	int r;

	if (!world_make())
		return 0;
	r = run_unit_tests("policy-beside", tests);
	world_leave();
	return r;
}
