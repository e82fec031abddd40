/* SPDX-License-Identifier: MIT */
/* The three variables on the kernel that runs, and each thing that can bar the way to them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <tcpkeep.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "private.h"
#include "unit.h"

#define IPV4   "/proc/sys/net/ipv4/"
#define NOBODY 65534

static const struct tcpkeep_sysctls defaults = TCPKEEP_SYSCTLS_DEFAULT;

static void put(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd >= 0);
	must(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static int set(int netns, const char *text, struct tcpkeep_error *error)
{
	struct tcpkeep_settings settings;

	must(tcpkeep_settings_parse(text, TCPKEEP_SCOPE_SYSCTL, &settings, NULL) == 0);
	return tcpkeep_sysctls_write(netns, &settings, NULL, error);
}

static void assert_sysctls(int netns, int time_s, int intvl_s, int probes)
{
	struct tcpkeep_sysctls now;

	assert_int_equal(tcpkeep_sysctls_read(netns, &now, NULL), 0);
	assert_int_equal(now.time_s, time_s);
	assert_int_equal(now.intvl_s, intvl_s);
	assert_int_equal(now.probes, probes);
}

static int reset(void **state)
{
	(void)state;
	return set(TCPKEEP_NETNS_OWN, "time=7200 intvl=75 probes=9", NULL);
}

/* ---------------------------------------------------------------------------- what works */

static void they_are_written_and_read(void **state)
{
	struct tcpkeep_settings settings = {TCPKEEP_TIME | TCPKEEP_PROBES, false, 61, 0, 4, 0};
	struct tcpkeep_sysctls before;

	(void)state;
	assert_sysctls(TCPKEEP_NETNS_OWN, 7200, 75, 9);
	assert_int_equal(tcpkeep_sysctls_write(TCPKEEP_NETNS_OWN, &settings, &before, NULL), 0);
	assert_memory_equal(&before, &defaults, sizeof(before));
	assert_sysctls(TCPKEEP_NETNS_OWN, 61, 75, 4);
	assert_int_equal(set(TCPKEEP_NETNS_OWN, "time=2147483 intvl=2147483 probes=255", NULL), 0);
	assert_sysctls(TCPKEEP_NETNS_OWN, 2147483, 2147483, 255);
}

static void what_the_kernel_takes_and_kills_with_is_refused(void **state)
{
	static const struct {
		struct tcpkeep_settings settings;
		int r;
	} bad[] = {
		{{TCPKEEP_TIME, .time_s = 0}, -ERANGE},
		{{TCPKEEP_TIME, .time_s = -1}, -ERANGE},
		{{TCPKEEP_INTVL, .intvl_s = 0}, -ERANGE},
		{{TCPKEEP_PROBES, .probes = 0}, -ERANGE},
		{{TCPKEEP_PROBES, .probes = 256}, -ERANGE},
		{{TCPKEEP_TIME, .time_s = TCPKEEP_SYSCTL_MAX_S + 1}, -ERANGE},
		{{TCPKEEP_ON, .on = true}, -EINVAL},
		{{0}, -EINVAL},
	};
	struct tcpkeep_error error;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		error.message[0] = '\0';
		assert_int_equal(
			tcpkeep_sysctls_write(TCPKEEP_NETNS_OWN, &bad[i].settings, NULL, &error),
			bad[i].r);
		assert_true(error.message[0] != '\0');
		assert_sysctls(TCPKEEP_NETNS_OWN, 7200, 75, 9);
	}
}

static void what_stands_there_is_read_as_it_is(void **state)
{
	(void)state;
	put(IPV4 "tcp_keepalive_time", "-1");
	put(IPV4 "tcp_keepalive_intvl", "0");
	put(IPV4 "tcp_keepalive_probes", "0");
	assert_sysctls(TCPKEEP_NETNS_OWN, -1, 0, 0);
}

static ino_t own_inode(void)
{
	struct stat st;

	must(stat("/proc/thread-self/ns/net", &st) == 0);
	return st.st_ino;
}

static int new_netns(void)
{
	int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), fd;

	must(own >= 0 && unshare(CLONE_NEWNET) == 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && setns(own, CLONE_NEWNET) == 0);
	close(own);
	return fd;
}

static void another_namespace_is_reached_and_the_caller_stays(void **state)
{
	_cleanup_close_ int other = new_netns();
	ino_t before = own_inode();
	sigset_t signals, signals_after;

	(void)state;
	sigprocmask(SIG_BLOCK, NULL, &signals);
	assert_sysctls(other, 7200, 75, 9);
	assert_int_equal(set(other, "time=30 intvl=5 probes=3", NULL), 0);
	assert_sysctls(other, 30, 5, 3);
	assert_sysctls(TCPKEEP_NETNS_OWN, 7200, 75, 9);
	assert_int_equal(own_inode(), before);
	sigprocmask(SIG_BLOCK, NULL, &signals_after);
	for (int i = 1; i < NSIG; i++)
		assert_int_equal(sigismember(&signals, i), sigismember(&signals_after, i));
}

static void a_descriptor_of_something_else_is_refused(void **state)
{
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct tcpkeep_sysctls sysctls;
	struct tcpkeep_error error;

	(void)state;
	assert_int_equal(tcpkeep_sysctls_read(null, &sysctls, &error), -EINVAL);
	assert_string_equal(error.message, "the descriptor is not that of a network namespace");
	assert_int_equal(tcpkeep_sysctls_read(12345, &sysctls, &error), -EBADF);
}

/* ----------------------------------------------------------------------- what bars the way */

static void expect(struct finding finding, int result, const char *words)
{
	if (finding.result != result || !strstr(finding.error.message, words))
		print_message("# got %d: %s\n", finding.result, finding.error.message);
	assert_int_equal(finding.result, result);
	assert_non_null(strstr(finding.error.message, words));
}

static void read_own(struct finding *f)
{
	f->result = tcpkeep_sysctls_read(TCPKEEP_NETNS_OWN, &f->sysctls, &f->error);
}

static void without_procfs(struct finding *f)
{
	must(mount("x", "/proc", "tmpfs", 0, NULL) == 0);
	read_own(f);
}

static void with_counterfeit_procfs(struct finding *f)
{
	int fd;

	must(mount("x", "/proc", "tmpfs", 0, NULL) == 0);
	must(mkdir("/proc/sys", 0755) == 0 && mkdir("/proc/sys/net", 0755) == 0 &&
	     mkdir(IPV4, 0755) == 0);
	fd = open(IPV4 "tcp_keepalive_time", O_CREAT | O_WRONLY, 0644);
	must(fd >= 0 && write(fd, "5\n", 2) == 2);
	read_own(f);
}

static void with_pids_only(struct finding *f)
{
	must(mount("proc", "/proc", "proc", 0, "subset=pid") == 0);
	read_own(f);
}

static void without_ipv4(struct finding *f)
{
	must(mount("/proc/sys/kernel", "/proc/sys/net", NULL, MS_BIND, NULL) == 0);
	read_own(f);
}

static void with_masked_ipv4(struct finding *f)
{
	must(mount("x", "/proc/sys/net/ipv4", "tmpfs", 0, NULL) == 0);
	read_own(f);
}

static void with_a_file_on_top(struct finding *f)
{
	must(mount("/dev/null", IPV4 "tcp_keepalive_intvl", NULL, MS_BIND, NULL) == 0);
	read_own(f);
}

static void missing_parts_are_told_apart(void **state)
{
	(void)state;
	expect(in_child(without_procfs), -ENOENT, "procfs is not mounted at /proc; mount it");
	expect(in_child(with_counterfeit_procfs), -ENOENT,
	       "procfs is not mounted at /proc; mount it");
	expect(in_child(without_ipv4), -ENOENT,
	       "/proc/sys/net/ipv4 is missing; this kernel has no IPv4");
	expect(in_child(with_masked_ipv4), -ENOENT,
	       "missing in /proc/sys/net/ipv4; something is mounted");
	expect(in_child(with_a_file_on_top), -ENXIO,
	       "net.ipv4.tcp_keepalive_intvl: a file of another file system is mounted over");
}

static void a_procfs_of_processes_alone_is_named(void **state)
{
	struct finding finding = in_child(with_pids_only);

	(void)state;
	if (finding.result == -71)
		skip(); /* in a user namespace procfs may not be mounted so */
	expect(finding, -ENOENT, "/proc is mounted with subset=pid, which hides /proc/sys");
}

static void read_only(void)
{
	must(mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL) == 0);
	must(mount(NULL, "/proc/sys", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
}

static void write_read_only(struct finding *f)
{
	read_only();
	f->result = set(TCPKEEP_NETNS_OWN, "intvl=10", &f->error);
}

static void write_what_holds_read_only(struct finding *f)
{
	read_only();
	f->result = set(TCPKEEP_NETNS_OWN, "time=7200 intvl=75", &f->error);
}

static void write_as_nobody(struct finding *f)
{
	must(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	f->result = set(TCPKEEP_NETNS_OWN, "intvl=10", &f->error);
}

static void read_as_nobody(struct finding *f)
{
	must(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	read_own(f);
}

/* What rootless containers do: root inside is an ordinary user outside. */
static void become_root_of_another_user_namespace(void)
{
	must(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	must(prctl(PR_SET_DUMPABLE, 1) == 0);
	must(unshare(CLONE_NEWUSER) == 0);
	put("/proc/self/setgroups", "deny");
	put("/proc/self/uid_map", "0 65534 1");
	must(geteuid() == 0);
}

static void write_as_root_of_another_user_namespace(struct finding *f)
{
	become_root_of_another_user_namespace();
	f->result = set(TCPKEEP_NETNS_OWN, "intvl=10", &f->error);
}

static void enter_as_nobody(struct finding *f)
{
	int other = new_netns();

	must(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	f->result = tcpkeep_sysctls_read(other, &f->sysctls, &f->error);
}

static void enter_as_root_of_another_user_namespace(struct finding *f)
{
	int other = new_netns();

	become_root_of_another_user_namespace();
	f->result = tcpkeep_sysctls_read(other, &f->sysctls, &f->error);
}

static void refusals_are_told_apart(void **state)
{
	(void)state;
	expect(in_child(write_read_only), -EROFS,
	       "net.ipv4.tcp_keepalive_intvl: /proc/sys is mounted read-only");
	assert_int_equal(in_child(write_what_holds_read_only).result, 0);
	assert_sysctls(TCPKEEP_NETNS_OWN, 7200, 75, 9);
}

static void being_root_elsewhere_is_told_apart(void **state)
{
	struct finding finding;

	(void)state;
	finding = in_child(write_as_root_of_another_user_namespace);
	if (finding.result == -71)
		skip(); /* a user namespace with one uid has no nobody */
	expect(finding, -EACCES, "this network namespace belongs to another user namespace");
	expect(in_child(enter_as_root_of_another_user_namespace), -EPERM,
	       "the network namespace belongs to another user namespace");
	assert_sysctls(TCPKEEP_NETNS_OWN, 7200, 75, 9);
}

static void without_privilege_they_are_read_and_not_written(void **state)
{
	struct finding finding;

	(void)state;
	finding = in_child(read_as_nobody);
	if (finding.result == -71)
		skip(); /* a user namespace with one uid has no nobody */
	assert_int_equal(finding.result, 0);
	assert_memory_equal(&finding.sysctls, &defaults, sizeof(defaults));
	expect(in_child(write_as_nobody), -EACCES,
	       "needs root, or CAP_NET_ADMIN in this network namespace");
	expect(in_child(enter_as_nobody), -EPERM,
	       "entering another network namespace needs CAP_SYS_ADMIN");
}

/* ------------------------------------------------------------------------- all or nothing */

/* A real variable that takes 1 to 255 stands where intvl was: the kernel itself refuses in the
 * middle. */
static void second_write_fails(struct finding *f)
{
	must(mount(IPV4 "ip_default_ttl", IPV4 "tcp_keepalive_intvl", NULL, MS_BIND, NULL) == 0);
	f->result = set(TCPKEEP_NETNS_OWN, "time=9000 intvl=1000 probes=3", &f->error);
	must(tcpkeep_sysctls_read(TCPKEEP_NETNS_OWN, &f->sysctls, NULL) == 0);
}

/* probes stands where intvl was: what was written to the one is changed by the other. */
static void read_back_differs(struct finding *f)
{
	must(mount(IPV4 "tcp_keepalive_probes", IPV4 "tcp_keepalive_intvl", NULL, MS_BIND, NULL) ==
	     0);
	f->result = set(TCPKEEP_NETNS_OWN, "time=60 intvl=10 probes=6", &f->error);
	must(tcpkeep_sysctls_read(TCPKEEP_NETNS_OWN, &f->sysctls, NULL) == 0);
}

/* The third cannot be opened for writing: found before the first is written. */
static void third_is_read_only(struct finding *f)
{
	const char *third = IPV4 "tcp_keepalive_probes";

	must(mount(third, third, NULL, MS_BIND, NULL) == 0);
	must(mount(NULL, third, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
	f->result = set(TCPKEEP_NETNS_OWN, "time=60 intvl=10 probes=6", &f->error);
	must(tcpkeep_sysctls_read(TCPKEEP_NETNS_OWN, &f->sysctls, NULL) == 0);
}

static void a_failure_half_way_puts_back_what_was_there(void **state)
{
	struct finding finding;

	(void)state;
	finding = in_child(second_write_fails);
	expect(finding, -EINVAL, "net.ipv4.tcp_keepalive_intvl: the kernel refuses 1000");
	assert_int_equal(finding.sysctls.time_s, 7200);
	assert_int_equal(finding.sysctls.probes, 9);
	assert_sysctls(TCPKEEP_NETNS_OWN, 7200, 75, 9);

	finding = in_child(read_back_differs);
	expect(finding, -EIO, "net.ipv4.tcp_keepalive_intvl: 6 is read back instead of 10");
	assert_int_equal(finding.sysctls.time_s, 7200);
	assert_sysctls(TCPKEEP_NETNS_OWN, 7200, 75, 9);

	finding = in_child(third_is_read_only);
	expect(finding, -EROFS, "net.ipv4.tcp_keepalive_probes: ");
	assert_sysctls(TCPKEEP_NETNS_OWN, 7200, 75, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(they_are_written_and_read, reset),
		cmocka_unit_test_setup(what_the_kernel_takes_and_kills_with_is_refused, reset),
		cmocka_unit_test_setup(what_stands_there_is_read_as_it_is, reset),
		cmocka_unit_test_setup(another_namespace_is_reached_and_the_caller_stays, reset),
		cmocka_unit_test(a_descriptor_of_something_else_is_refused),
		cmocka_unit_test_setup(missing_parts_are_told_apart, reset),
		cmocka_unit_test_setup(a_procfs_of_processes_alone_is_named, reset),
		cmocka_unit_test_setup(refusals_are_told_apart, reset),
		cmocka_unit_test_setup(being_root_elsewhere_is_told_apart, reset),
		cmocka_unit_test_setup(without_privilege_they_are_read_and_not_written, reset),
		cmocka_unit_test_setup(a_failure_half_way_puts_back_what_was_there, reset),
	};

	enter_private_place();
	return run_unit_tests("sysctls", tests);
}
