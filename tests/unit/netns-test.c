/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <tcpkeep.h>

#include "base/cleanup.h"
#include "private.h"
#include "unit.h"

/* A process in a network namespace of its own, until released. */
struct holder {
	pid_t pid;
	int release; /* closing it ends the process */
	ino_t inode;
};

static ino_t inode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static struct holder start_holder(void)
{
	struct holder holder;
	int ready[2], release[2];
	char path[64], byte;

	must(pipe2(ready, O_CLOEXEC) == 0 && pipe2(release, O_CLOEXEC) == 0);
	fflush(NULL);
	holder.pid = fork();
	if (holder.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(release[1]);
		must(unshare(CLONE_NEWNET) == 0 && write(ready[1], "r", 1) == 1);
		_exit(read(release[0], &byte, 1) != 0);
	}
	close(release[0]);
	must(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	close(ready[1]);
	holder.release = release[1];
	snprintf(path, sizeof(path), "/proc/%d/ns/net", holder.pid);
	holder.inode = inode_of(path);
	must(holder.inode);
	return holder;
}

static void end_holder(struct holder *holder)
{
	close(holder->release);
	must(waitpid(holder->pid, NULL, 0) == holder->pid);
}

/* As `ip netns attach` does it. */
static void name_netns(const char *name, pid_t pid)
{
	char path[64], from[64];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	snprintf(from, sizeof(from), "/proc/%d/ns/net", pid);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	must(fd >= 0);
	close(fd);
	must(mount(from, path, NULL, MS_BIND, NULL) == 0);
}

/* ------------------------------------------------------------------------------- opening */

static void by_name_path_and_process(void **state)
{
	struct holder holder = start_holder();
	struct stat st;
	char path[64];
	int fd;

	(void)state;
	name_netns("blue", holder.pid);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", holder.pid);
	for (int i = 0; i < 3; i++) {
		fd = i == 0   ? tcpkeep_netns_open("blue", NULL)
		     : i == 1 ? tcpkeep_netns_open(path, NULL)
			      : tcpkeep_netns_open_pid(holder.pid, NULL);
		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_ino, holder.inode);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		close(fd);
	}
	end_holder(&holder);
	umount2("/run/netns/blue", MNT_DETACH);
	unlink("/run/netns/blue");
}

static void assert_open(const char *name, int result, const char *message)
{
	struct tcpkeep_error error;

	assert_int_equal(tcpkeep_netns_open(name, &error), result);
	assert_string_equal(error.message, message);
}

static void bad_names_get_words(void **state)
{
	int fd;

	(void)state;
	name_netns("berlin", getpid());
	assert_open("berlim", -ENOENT,
		    "there is no network namespace 'berlim' in /run/netns; did you mean 'berlin'?");
	assert_open(
		"1234567", -ENOENT,
		"there is no network namespace '1234567' in /run/netns; for that of a process write "
		"/proc/1234567/ns/net");
	assert_open(
		"\033[31mx", -ENOENT,
		"there is no network namespace '\\x1b[31mx' in /run/netns; 'tcpkeep sysctl --all-netns' "
		"shows all");
	assert_open(
		"", -EINVAL,
		"'' is no network namespace; name one of 'ip netns list', or a path like /proc/PID/ns/net");
	assert_open("..", -EINVAL,
		    "'..' is no network namespace; name one of 'ip netns list', or a path like "
		    "/proc/PID/ns/net");
	/* What blocks, and what has another kind of namespace in it. */
	assert_int_equal(mkfifo("/run/netns/fifo", 0600), 0);
	assert_int_equal(tcpkeep_netns_open("fifo", NULL), -EINVAL);
	fd = open("/run/netns/plain", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(tcpkeep_netns_open("plain", NULL), -EINVAL);
	assert_int_equal(tcpkeep_netns_open("/proc/self/ns/mnt", NULL), -EINVAL);
	assert_int_equal(tcpkeep_netns_open("/dev/zero", NULL), -EINVAL);
	unlink("/run/netns/fifo");
	unlink("/run/netns/plain");
	umount2("/run/netns/berlin", MNT_DETACH);
	unlink("/run/netns/berlin");
}

static void bad_processes_get_words(void **state)
{
	struct tcpkeep_error error;
	siginfo_t info;
	char words[128];
	pid_t pid;

	(void)state;
	assert_int_equal(tcpkeep_netns_open_pid(0, &error), -EINVAL);
	assert_int_equal(tcpkeep_netns_open_pid(-5, &error), -EINVAL);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(0);
	/* Ended and not yet reaped. */
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(tcpkeep_netns_open_pid(pid, &error), -ESRCH);
	snprintf(words, sizeof(words),
		 "process %d has ended (it waits for its parent) and has no network namespace",
		 pid);
	assert_string_equal(error.message, words);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(tcpkeep_netns_open_pid(pid, &error), -ESRCH);
	snprintf(words, sizeof(words), "there is no process %d", pid);
	assert_string_equal(error.message, words);
}

static void open_as_nobody(struct finding *f)
{
	pid_t parent = getppid();

	must(setresuid(65534, 65534, 65534) == 0);
	f->result = tcpkeep_netns_open_pid(parent, &f->error);
}

static void open_in_another_pid_namespace(struct finding *f)
{
	struct finding inner = {0};
	int fds[2];
	pid_t pid;

	must(pipe(fds) == 0 && unshare(CLONE_NEWPID) == 0);
	pid = fork();
	if (pid == 0) {
		/* /proc still is the outer one: number 1 there is not this process. */
		inner.result = tcpkeep_netns_open_pid(getpid(), &inner.error);
		must(write(fds[1], &inner, sizeof(inner)) == sizeof(inner));
		_exit(0);
	}
	must(read(fds[0], f, sizeof(*f)) == sizeof(*f));
	must(waitpid(pid, NULL, 0) == pid);
}

static void walls_are_told_apart(void **state)
{
	struct finding finding;

	(void)state;
	finding = in_child(open_in_another_pid_namespace);
	assert_int_equal(finding.result, -EXDEV);
	assert_non_null(strstr(finding.error.message, "/proc belongs to another PID namespace"));
	finding = in_child(open_as_nobody);
	if (finding.result == -71)
		skip(); /* a user namespace with one uid has no nobody */
	assert_int_equal(finding.result, -EACCES);
	assert_non_null(strstr(finding.error.message, "(CAP_SYS_PTRACE) only; run as root"));
}

/* ----------------------------------------------------------------------------- all of them */

struct seen {
	unsigned calls;
	uint64_t last_inode;
	bool own_first, ascending, pids_ascending;
	ino_t wanted[2]; /* with a process; with a name alone */
	pid_t pid;
	bool found[2];
	int end_with;
};

static int look(const struct tcpkeep_netns *netns, void *userdata)
{
	struct tcpkeep_sysctls sysctls;
	struct seen *seen = userdata;
	struct stat st;

	if (seen->calls++ == 0)
		seen->own_first = netns->own;
	else
		seen->ascending &= !netns->own && netns->inode > seen->last_inode;
	if (!netns->own)
		seen->last_inode = netns->inode;
	for (size_t i = 1; i < netns->n_pids; i++)
		seen->pids_ascending &= netns->pids[i - 1] < netns->pids[i];
	if (netns->inode == seen->wanted[0])
		seen->found[0] = netns->n_pids == 1 && netns->pids[0] == seen->pid &&
				 !netns->name && fstat(netns->fd, &st) == 0 &&
				 st.st_ino == netns->inode;
	if (netns->inode == seen->wanted[1])
		seen->found[1] = netns->n_pids == 0 && netns->name &&
				 strcmp(netns->name, "red") == 0 &&
				 tcpkeep_sysctls_read(netns->fd, &sysctls, NULL) == 0;
	return seen->end_with;
}

static void each_is_seen_with_what_holds_it(void **state)
{
	struct holder holder = start_holder(), gone = start_holder();
	struct seen seen = {.ascending = true, .pids_ascending = true, .pid = holder.pid};
	size_t hidden = 12345;

	(void)state;
	seen.wanted[0] = holder.inode;
	seen.wanted[1] = gone.inode;
	name_netns("red", gone.pid);
	name_netns("red-too", gone.pid);
	end_holder(&gone); /* its namespace lives on by the name */

	assert_int_equal(tcpkeep_netns_foreach(look, &seen, &hidden), 0);
	assert_true(seen.calls >= 3);
	assert_true(seen.own_first);
	assert_true(seen.ascending);
	assert_true(seen.pids_ascending);
	assert_true(seen.found[0]);
	assert_true(seen.found[1]);
	assert_true(hidden != 12345);

	seen = (struct seen){.end_with = 7};
	assert_int_equal(tcpkeep_netns_foreach(look, &seen, NULL), 7);
	assert_int_equal(seen.calls, 1);
	end_holder(&holder);
	for (int i = 0; i < 2; i++) {
		umount2(i ? "/run/netns/red" : "/run/netns/red-too", MNT_DETACH);
		unlink(i ? "/run/netns/red" : "/run/netns/red-too");
	}
}

/* The caller's thread may be where no process is. */
static void the_callers_own_is_never_left_out(void **state)
{
	int before = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct seen seen = {.end_with = 1};

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(tcpkeep_netns_foreach(look, &seen, NULL), 1);
	assert_true(seen.own_first);
	assert_int_equal(setns(before, CLONE_NEWNET), 0);
	close(before);
}

/* Processes that come and go during the walk are left out or seen, and never an error. */
static void vanishing_processes_do_no_harm(void **state)
{
	pid_t churner;

	(void)state;
	fflush(NULL);
	churner = fork();
	if (churner == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			pid_t pid = fork();

			if (pid == 0)
				_exit(unshare(CLONE_NEWNET) != 0);
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
	}
	for (int i = 0; i < 50; i++) {
		struct seen seen = {0};

		assert_int_equal(tcpkeep_netns_foreach(look, &seen, NULL), 0);
		assert_true(seen.own_first);
	}
	kill(churner, SIGKILL);
	waitpid(churner, NULL, 0);
}

static void count_hidden(struct finding *f)
{
	struct seen seen = {0};
	size_t hidden = 0;

	must(setresuid(65534, 65534, 65534) == 0);
	f->result = tcpkeep_netns_foreach(look, &seen, &hidden);
	f->sysctls.time_s = (int)hidden;
	f->sysctls.intvl_s = (int)seen.calls;
}

static void what_may_not_be_seen_is_counted(void **state)
{
	struct finding finding = in_child(count_hidden);

	(void)state;
	if (finding.result == -71)
		skip();
	assert_int_equal(finding.result, 0);
	assert_true(finding.sysctls.time_s >= 1);  /* this test's own process, for one */
	assert_true(finding.sysctls.intvl_s >= 1); /* its own namespace */
}

static void walk_without_procfs(struct finding *f)
{
	struct seen seen = {0};

	must(mount("x", "/proc", "tmpfs", 0, NULL) == 0);
	f->result = tcpkeep_netns_foreach(look, &seen, NULL);
}

static void without_procfs_there_is_no_walk(void **state)
{
	(void)state;
	assert_int_equal(in_child(walk_without_procfs).result, -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_name_path_and_process),
		cmocka_unit_test(bad_names_get_words),
		cmocka_unit_test(bad_processes_get_words),
		cmocka_unit_test(walls_are_told_apart),
		cmocka_unit_test(each_is_seen_with_what_holds_it),
		cmocka_unit_test(the_callers_own_is_never_left_out),
		cmocka_unit_test(vanishing_processes_do_no_harm),
		cmocka_unit_test(what_may_not_be_seen_is_counted),
		cmocka_unit_test(without_procfs_there_is_no_walk),
	};

	enter_private_place();
	if (mount("x", "/run", "tmpfs", 0, "mode=755") < 0 || mkdir("/run/netns", 0755) < 0) {
		perror("/run/netns");
		return 1;
	}
	return run_unit_tests("netns", tests);
}
