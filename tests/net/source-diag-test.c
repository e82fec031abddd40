/* SPDX-License-Identifier: MIT */
/* The sources without BPF: who owns what, settings through somebody else's descriptors, and never a
 * wrong socket. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "connections.h"
#include "holder.h"
#include "lab/lab.h"
#include "sockets/proc-owners.h"
#include "sockets/source-diag.h"
#include "unit/unit.h"

#define HOSTILE "\033[31m\nx\377" /* a process may call itself so */

/* --------------------------------------------------------------------------------- one look */

#define OWNERS_MAX 64

struct look {
	uint64_t cookie; /* which socket */
	int fd;
	struct socket_row row;
	struct socket_owner owners[OWNERS_MAX];
	size_t n_owners, rows, matched;
	struct source_diag_counts counts;
};

static int on_row(struct snapshot_row *row, void *userdata)
{
	struct look *look = userdata;

	look->rows++;
	if (row->socket.cookie != look->cookie)
		return 0;
	look->matched++;
	look->row = row->socket;
	look->n_owners = row->n_owners;
	assert_true(row->n_owners <= OWNERS_MAX);
	if (row->n_owners > 0)
		memcpy(look->owners, row->owners, row->n_owners * sizeof(*row->owners));
	return 0;
}

static struct owners *owners_now(void)
{
	struct owners *owners;
	size_t hidden; /* a sandbox may hide some from root as well */

	assert_int_equal(owners_new(&owners), 0);
	assert_int_equal(proc_owners_read(owners, &hidden, NULL), 0);
	return owners;
}

static void look_with(struct owners *owners, bool settings, const struct selector *selector,
		      struct look *look)
{
	_cleanup_(getfd_cleanup) struct getfd *getfd = NULL;
	struct source_diag source = {selector, NULL, here, owners, NULL};
	struct tcpkeep_error error = {0};

	if (settings)
		assert_int_equal(getfd_new(&getfd, &error), 0);
	source.getfd = getfd;
	*look = (struct look){.cookie = look->cookie};
	assert_int_equal(source_diag_run(&source, on_row, look, &look->counts, &error), 0);
}

static void look_at(int fd, struct look *ret)
{
	_cleanup_(owners_cleanup) struct owners *owners = owners_now();

	ret->cookie = cookie_of(fd);
	look_with(owners, true, NULL, ret);
	assert_int_equal(ret->matched, 1);
}

static void check_settings(int fd, const struct socket_row *row, bool mptcp)
{
	assert_true(row->known & ROW_KNOWN_KEEPALIVE && row->known & ROW_KNOWN_SETTINGS);
	assert_int_equal(row->known & ROW_KNOWN_ORIGIN, 0);
	assert_int_equal(!!(row->flags & ROW_KEEPALIVE), !!get_int(fd, SOL_SOCKET, SO_KEEPALIVE));
	assert_int_equal(row->time_s, get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE));
	assert_int_equal(row->intvl_s, get_int(fd, IPPROTO_TCP, TCP_KEEPINTVL));
	assert_int_equal(row->probes, get_int(fd, IPPROTO_TCP, TCP_KEEPCNT));
	assert_int_equal(!!(row->known & ROW_KNOWN_USER_TIMEOUT), !mptcp);
	if (!mptcp)
		assert_int_equal(row->user_timeout_ms, get_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
}

static void set_settings(int fd, int time_s, int user_timeout_ms)
{
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, time_s);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 33);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 7);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (user_timeout_ms)
		set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout_ms);
}

/* ----------------------------------------------------------------------------------- owners */

static void several_owners_of_one_socket(void **state)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
	int twice = fcntl(c.ours, F_DUPFD_CLOEXEC, c.ours + 100);
	struct holder holder = holder_start(HOSTILE, NULL, NULL);
	struct look look;
	char name[16] = "";

	(void)state;
	prctl(PR_GET_NAME, name);
	look_at(c.ours, &look);
	assert_int_equal(look.n_owners, 4);
	for (size_t i = 0; i < 4; i++) {
		bool other = look.owners[i].pid == holder.pid;

		assert_int_equal(look.owners[i].pid,
				 (i < 2) == (getpid() < holder.pid) ? getpid() : holder.pid);
		assert_int_equal(look.owners[i].fd, i & 1 ? twice : c.ours);
		assert_string_equal(look.owners[i].program, other ? HOSTILE : name);
	}
	close(twice);
	holder_end(&holder);
	look_at(c.ours, &look);
	assert_int_equal(look.n_owners, 1);
	connection_close(&c);
}

static void nobody_owns_an_orphan(void **state)
{
	struct connection c = connection_make(KIND_V6, IPPROTO_TCP, false);
	struct look look = {.cookie = cookie_of(c.ours)};
	_cleanup_(owners_cleanup) struct owners *owners = owners_now();

	(void)state;
	link_cut();
	cleanup_close(&c.ours);
	c.ours = -1;
	look_with(owners, true, NULL, &look);
	assert_int_equal(look.matched, 1);
	assert_int_equal(look.n_owners, 0);
	assert_int_equal(look.row.flags & ROW_ORPHAN, ROW_ORPHAN);
	assert_int_equal(look.row.known & ROW_KNOWN_SETTINGS, 0);
	assert_int_equal(look.counts.denied, 0);
	link_mend();
	connection_close(&c);
}

/* Processes that come and go all the while: never an error, and what holds still is always seen. */
static void churn(void)
{
	for (;;) {
		pid_t pid = fork();

		if (pid == 0) {
			for (int i = 0; i < 20; i++)
				close(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

static void processes_that_vanish_are_no_error(void **state)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, true);
	pid_t pids[3];
	struct look look;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			churn();
		}
	}
	for (int i = 0; i < 20; i++) {
		look_at(c.ours, &look);
		assert_true(look.n_owners >= 4);
		check_settings(c.ours, &look.row, false);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	connection_close(&c);
}

/* --------------------------------------------------------------------------------- settings */

static size_t open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void settings_are_those_of_getsockopt(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		enum kind kind = (enum kind)(i % 3);
		int protocol = i < 3 ? IPPROTO_TCP : IPPROTO_MPTCP;
		struct connection c = connection_make(kind, protocol, i & 1);
		struct look look = {0};
		size_t before;

		set_settings(c.ours, 100 + i, protocol == IPPROTO_TCP ? 45000 : 0);
		before = open_descriptors();
		look_at(c.ours, &look);
		assert_int_equal(open_descriptors(), before);
		check_settings(c.ours, &look.row, protocol == IPPROTO_MPTCP);
		assert_int_equal(look.row.time_s, 100 + i);
		/* What only the settings tell: a timer in flight hides it no more. */
		link_cut();
		assert_int_equal(send(c.ours, "x", 1, 0), 1);
		look_at(c.ours, &look);
		assert_int_equal(look.row.timer, ROW_TIMER_RETRANSMIT);
		check_settings(c.ours, &look.row, protocol == IPPROTO_MPTCP);
		link_mend();
		connection_close(&c);
	}
}

static void listeners_and_sysctls(void **state)
{
	_cleanup_close_ int listener = listener_make(KIND_V6, true, IPPROTO_TCP, 1);
	struct look look;

	(void)state;
	look_at(listener, &look);
	check_settings(listener, &look.row, false);
	assert_int_equal(look.row.time_s, 7200);
	assert_int_equal(look.row.flags & ROW_KEEPALIVE, 0);
}

/* The program's close() must end the connection: no duplicate may outlive the look. */
static void the_duplicate_is_gone(void **state)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
	struct look look;

	(void)state;
	look_at(c.ours, &look);
	cleanup_close(&c.ours);
	c.ours = -1;
	wait_for_state(c.theirs, CLOSE_WAIT);
	connection_close(&c);
}

struct swap {
	int fd, with;
};

static void swap_in(void *userdata)
{
	const struct swap *swap = userdata;

	if (dup2(swap->with, swap->fd) < 0)
		_exit(1);
}

/*
 * Between the look at who owns what and the look at the settings, the owner opens another socket
 * under the same number. Its settings are not those of the first.
 */
static void never_a_wrong_socket(void **state)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
	struct connection other = connection_make(KIND_V4, IPPROTO_TCP, false);
	struct swap swap = {c.ours, other.ours};
	struct holder holder = holder_start("holder", swap_in, &swap);
	struct look look = {.cookie = cookie_of(c.ours)};
	struct owners *owners;

	(void)state;
	set_settings(c.ours, 111, 0);
	set_settings(other.ours, 222, 0);
	/* The holder alone, as it was; and the one who asks holds it on, so that it lives. */
	owners_new(&owners);
	{
		struct stat st;

		assert_int_equal(fstat(c.ours, &st), 0);
		owners_add(owners, st.st_ino, holder.pid, c.ours);
	}
	look_with(owners, true, NULL, &look);
	assert_int_equal(look.row.time_s, 111);
	holder_order(&holder);
	look_with(owners, true, NULL, &look);
	assert_int_equal(look.matched, 1);
	assert_int_equal(look.row.known & ROW_KNOWN_SETTINGS, 0);
	assert_int_equal(look.row.time_s, 0);
	/* The owner is gone altogether. */
	holder_end(&holder);
	look_with(owners, true, NULL, &look);
	assert_int_equal(look.row.known & ROW_KNOWN_SETTINGS, 0);
	assert_int_equal(look.counts.denied, 0);
	owners_free(owners);
	connection_close(&c);
	connection_close(&other);
}

static void without_owners_nothing_is_guessed(void **state)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
	struct look look = {.cookie = cookie_of(c.ours)};

	(void)state;
	set_settings(c.ours, 111, 5000);
	look_with(NULL, false, NULL, &look);
	assert_int_equal(look.n_owners, 0);
	assert_int_equal(look.row.known & (ROW_KNOWN_SETTINGS | ROW_KNOWN_USER_TIMEOUT), 0);
	assert_int_equal(look.row.time_s | (int)look.row.user_timeout_ms, 0);
	connection_close(&c);
}

#define FEW 5

/* More owners than descriptors may be open: slower, and all the same. */
static void few_descriptors_are_enough(void **state)
{
	struct connection c[FEW];
	struct holder holders[FEW];
	struct owners *owners;
	struct rlimit before, few;
	struct look look[FEW];
	struct stat st;

	(void)state;
	assert_int_equal(owners_new(&owners), 0);
	for (int i = 0; i < FEW; i++) {
		c[i] = connection_make(KIND_V4, IPPROTO_TCP, false);
		set_settings(c[i].ours, 100 + i, 0);
		holders[i] = holder_start("holder", NULL, NULL);
		assert_int_equal(fstat(c[i].ours, &st), 0);
		owners_add(owners, st.st_ino, holders[i].pid, c[i].ours);
		look[i].cookie = cookie_of(c[i].ours);
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)holders[FEW - 1].answer +
		       4; /* the walk's, two, and one that is tried first */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (int i = 0; i < FEW; i++)
		look_with(owners, true, NULL, &look[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < FEW; i++) {
		assert_int_equal(look[i].row.time_s, 100 + i);
		holder_end(&holders[i]);
		connection_close(&c[i]);
	}
	owners_free(owners);
}

/* Not one descriptor to be had: it is counted, with the reason, and nothing is guessed. */
static void no_descriptors_are_told(void **state)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
	struct holder holder = holder_start("holder", NULL, NULL);
	_cleanup_(owners_cleanup) struct owners *owners = owners_now();
	_cleanup_(getfd_cleanup) struct getfd *getfd = NULL;
	struct look look = {.cookie = cookie_of(c.ours)};
	struct source_diag source = {NULL, NULL, here, owners, NULL};
	struct rlimit before, few;

	(void)state;
	assert_int_equal(getfd_new(&getfd, NULL), 0);
	source.getfd = getfd;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)holder.answer + 2; /* the walk's own */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(source_diag_run(&source, on_row, &look, &look.counts, NULL), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(look.matched, 1);
	assert_int_equal(look.row.known & ROW_KNOWN_SETTINGS, 0);
	assert_true(look.counts.starved >= 1);
	assert_int_equal(look.counts.starved_of, EMFILE);
	assert_int_equal(look.counts.denied, 0);
	holder_end(&holder);
	connection_close(&c);
}

/* keepalive= looks at what only the settings tell: it must not be decided before. */
static void selectors_see_the_settings(void **state)
{
	static const char *const words[] = {"keepalive=on", "keepalive=off", "keepalive!=on"};
	static const size_t matched[] = {1, 0, 0};
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
	_cleanup_(owners_cleanup) struct owners *owners = owners_now();

	(void)state;
	set_settings(c.ours, 111, 0);
	link_cut();
	assert_int_equal(send(c.ours, "x", 1, 0), 1);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		_cleanup_free_ struct selector *selector = calloc(1, sizeof(*selector));
		struct look look = {.cookie = cookie_of(c.ours)};
		char port[32];

		snprintf(port, sizeof(port), "local=:%d", port_of(c.ours));
		assert_int_equal(selector_parse_word(selector, words[i], strlen(words[i]), NULL),
				 0);
		assert_int_equal(selector_parse_word(selector, port, strlen(port), NULL), 0);
		look_with(owners, true, selector, &look);
		assert_int_equal(look.rows, matched[i]);
		assert_true(look.counts.rows >= 1);
		/* Without settings it is unknown, and matches neither. */
		look_with(owners, false, selector, &look);
		assert_int_equal(look.rows, 0);
	}
	link_mend();
	connection_close(&c);
}

/* --------------------------------------------------------------------------- what is refused */

/* A system call that is refused from here on, for this process: what a sandbox does. */
static void refuse(unsigned call, unsigned error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ARRAY_SIZE(code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(10);
}

static void a_sandbox_is_told_in_words(void **state)
{
	static const unsigned errors[] = {ENOSYS, EPERM};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			struct tcpkeep_error error = {0};
			struct getfd *getfd;

			refuse(SYS_pidfd_getfd, errors[i]);
			if (getfd_new(&getfd, &error) != -EOPNOTSUPP)
				_exit(11);
			_exit(strstr(error.message, "sandbox") ? 0 : 12);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

/* Another user: root's descriptors are hidden and counted, and where they are known all the same,
 * denied. */
static int look_as_nobody(void *userdata)
{
	struct look *look = userdata;
	struct tcpkeep_error error = {0};
	struct owners *known, *own;
	struct getfd *getfd;
	size_t hidden = 0;
	struct source_diag source = {NULL, NULL, TCPKEEP_NETNS_OWN, NULL, NULL};

	close(look->fd); /* or it were ours as well */
	known = owners_now();
	if (setgid(65534) < 0 || setuid(65534) < 0 || owners_new(&own) < 0)
		return 10;
	if (proc_owners_read(own, &hidden, &error) < 0 || hidden == 0)
		return 11;
	if (getfd_new(&getfd, &error) < 0)
		return 12;
	source.owners = known;
	source.getfd = getfd;
	if (source_diag_run(&source, on_row, look, &look->counts, &error) < 0)
		return 13;
	if (look->matched != 1 || look->n_owners == 0 || look->row.known & ROW_KNOWN_SETTINGS)
		return 14;
	return look->counts.denied > 0 ? 0 : 15;
}

static int fork_and_look(void *userdata)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(look_as_nobody(userdata));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static void another_users_sockets_are_denied_and_counted(void **state)
{
	struct connection c = connection_make(KIND_V4, IPPROTO_TCP, false);
	struct holder holder = holder_start("root's", NULL, NULL);
	struct look look = {.cookie = cookie_of(c.ours), .fd = c.ours};

	(void)state;
	if (getuid() != 0)
		skip();
	assert_int_equal(lab_in_netns(here, fork_and_look, &look), 0);
	holder_end(&holder);
	connection_close(&c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_owners_of_one_socket),
		cmocka_unit_test(nobody_owns_an_orphan),
		cmocka_unit_test(processes_that_vanish_are_no_error),
		cmocka_unit_test(settings_are_those_of_getsockopt),
		cmocka_unit_test(listeners_and_sysctls),
		cmocka_unit_test(the_duplicate_is_gone),
		cmocka_unit_test(never_a_wrong_socket),
		cmocka_unit_test(without_owners_nothing_is_guessed),
		cmocka_unit_test(few_descriptors_are_enough),
		cmocka_unit_test(no_descriptors_are_told),
		cmocka_unit_test(selectors_see_the_settings),
		cmocka_unit_test(a_sandbox_is_told_in_words),
		cmocka_unit_test(another_users_sockets_are_denied_and_counted),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("source-diag", tests, networks_make, NULL);
}
