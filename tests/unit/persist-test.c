/* SPDX-License-Identifier: MIT */
/* sysctl.d in a directory that stands for /: what is written, what is kept, what a boot would make
 * hold. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tcpkeep.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "unit.h"

#define OURS TCPKEEP_PERSIST_FILE

static char root[] = "/tmp/tcpkeep-persist-XXXXXX";

static const char *in_root(const char *path)
{
	static char joined[4][256];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(joined[next], sizeof(joined[next]), "%s%s", root, path);
	return joined[next];
}

static void put_n(const char *path, const char *text, size_t len)
{
	FILE *f = fopen(in_root(path), "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void put(const char *path, const char *text)
{
	put_n(path, text, strlen(text));
}

static void assert_content(const char *path, const char *text)
{
	_cleanup_free_ char *content = calloc(1, 65536);
	_cleanup_fclose_ FILE *f = fopen(in_root(path), "re");

	assert_non_null(f);
	fread(content, 1, 65535, f);
	assert_string_equal(content, text);
}

static int write_settings(const char *text, bool dry_run, struct tcpkeep_error *error)
{
	struct tcpkeep_settings settings;

	assert_int_equal(tcpkeep_settings_parse(text, TCPKEEP_SCOPE_SYSCTL, &settings, NULL), 0);
	return tcpkeep_persist_write(root, &settings, dry_run, error);
}

static int in_shell(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && %s", root, command);
	return system(line);
}

static int fresh(void **state)
{
	(void)state;
	return in_shell(
		"rm -rf ./etc ./run ./usr ./lib && mkdir -p etc/sysctl.d run/sysctl.d usr/lib/sysctl.d "
		"usr/local/lib/sysctl.d");
}

/* Nothing but what was put there: no temporary file is left. */
static void assert_files(unsigned n)
{
	DIR *dir = opendir(in_root("/etc/sysctl.d"));
	unsigned found = 0;

	assert_non_null(dir);
	while (readdir(dir))
		found++;
	closedir(dir);
	assert_int_equal(found, n + 2);
}

/* ------------------------------------------------------------------------------- writing */

#define HEAD                                                                                        \
	"# Kept by 'tcpkeep sysctl --persist': it sets the keys below and leaves every other line " \
	"alone.\n"

static void a_new_file_is_written(void **state)
{
	struct stat st;
	mode_t mask = umask(077);

	(void)state;
	assert_int_equal(write_settings("probes=5 time=600 intvl=30", false, NULL),
			 TCPKEEP_PERSIST_WRITTEN);
	umask(mask);
	assert_content(OURS,
		       HEAD "net.ipv4.tcp_keepalive_time = 600\nnet.ipv4.tcp_keepalive_intvl = 30\n"
			    "net.ipv4.tcp_keepalive_probes = 5\n");
	assert_int_equal(stat(in_root(OURS), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_files(1);
}

static void a_missing_directory_is_made(void **state)
{
	mode_t umask_before;
	struct stat st;

	(void)state;
	assert_int_equal(in_shell("rmdir etc/sysctl.d"), 0);
	assert_int_equal(write_settings("time=600", true, NULL), TCPKEEP_PERSIST_WRITTEN);
	assert_int_equal(access(in_root("/etc/sysctl.d"), F_OK), -1);
	/* Everybody may read it, however careful root's shell is. */
	umask_before = umask(077);
	assert_int_equal(write_settings("time=600", false, NULL), TCPKEEP_PERSIST_WRITTEN);
	umask(umask_before);
	assert_int_equal(stat(in_root("/etc/sysctl.d"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
	assert_content(OURS, HEAD "net.ipv4.tcp_keepalive_time = 600\n");
}

static void the_same_again_touches_nothing(void **state)
{
	static const char *const spellings[] = {
		"net.ipv4.tcp_keepalive_time = 600\n",
		"net.ipv4.tcp_keepalive_time=600",
		" - net/ipv4/tcp_keepalive_time\t=  600  \r\n",
		"/net//ipv4/./tcp_keepalive_time/=600\n",
		"net.ipv4.tcp_keepalive_time=5\nnet.ipv4.tcp_keepalive_time = 600\n",
		"net.ipv4.tcp_keepalive_time = 0600\n",
		"-net.ipv4.tcp_keepalive_time\nnet.ipv4.tcp_keepalive_time = 600\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
		struct stat before, after;

		put(OURS, spellings[i]);
		assert_int_equal(stat(in_root(OURS), &before), 0);
		assert_int_equal(write_settings("time=10m", false, NULL),
				 TCPKEEP_PERSIST_UNCHANGED);
		assert_int_equal(stat(in_root(OURS), &after), 0);
		assert_int_equal(before.st_ino, after.st_ino);
		assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
		assert_content(OURS, spellings[i]);
	}
}

static void foreign_lines_stay(void **state)
{
	static const struct {
		const char *before, *after;
	} cases[] = {
		{"# mine\n\nvm.swappiness = 10\n",
		 "# mine\n\nvm.swappiness = 10\nnet.ipv4.tcp_keepalive_time = 60\n"},
		{"vm.swappiness = 10", "vm.swappiness = 10\nnet.ipv4.tcp_keepalive_time = 60\n"},
		{"a=1\nnet.ipv4.tcp_keepalive_time = 600\nb=2\n",
		 "a=1\nnet.ipv4.tcp_keepalive_time = 60\nb=2\n"},
		{"a=1\r\nnet/ipv4/tcp_keepalive_time=600\r\nb=2\r\n",
		 "a=1\r\nnet.ipv4.tcp_keepalive_time = 60\r\nb=2\r\n"},
		{"-net.ipv4.tcp_keepalive_time=9\n", "-net.ipv4.tcp_keepalive_time = 60\n"},
		{"-net.ipv4.tcp_keepalive_time\n", "net.ipv4.tcp_keepalive_time = 60\n"},
		/* Of two, the later would win: one stays. */
		{"net.ipv4.tcp_keepalive_time=60\nx=1\nnet.ipv4.tcp_keepalive_time=9\n",
		 "net.ipv4.tcp_keepalive_time = 60\nx=1\n"},
		{"net.ipv4.tcp_keepalive_time=60\n-net.ipv4.tcp_keepalive_time\n",
		 "net.ipv4.tcp_keepalive_time = 60\n"},
		/* A pattern gives way to a key that is spelt out: it may stay. */
		{"net.ipv4.tcp_keepalive_* = 60\n",
		 "net.ipv4.tcp_keepalive_* = 60\nnet.ipv4.tcp_keepalive_time = 60\n"},
		{"#net.ipv4.tcp_keepalive_time = 60\n;net.ipv4.tcp_keepalive_time = 60\n",
		 "#net.ipv4.tcp_keepalive_time = 60\n;net.ipv4.tcp_keepalive_time = 60\n"
		 "net.ipv4.tcp_keepalive_time = 60\n"},
		{"net.ipv4.tcp_keepalive_time = 60 # or so\n",
		 "net.ipv4.tcp_keepalive_time = 60\n"},
		{"net.ipv4.tcp_keepalive_intvl = 5\n",
		 "net.ipv4.tcp_keepalive_intvl = 5\nnet.ipv4.tcp_keepalive_time = 60\n"},
		{"", "net.ipv4.tcp_keepalive_time = 60\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put(OURS, cases[i].before);
		assert_int_equal(write_settings("time=60", true, NULL), TCPKEEP_PERSIST_WRITTEN);
		assert_content(OURS, cases[i].before);
		assert_int_equal(write_settings("time=60", false, NULL), TCPKEEP_PERSIST_WRITTEN);
		assert_content(OURS, cases[i].after);
		assert_int_equal(write_settings("time=60", false, NULL), TCPKEEP_PERSIST_UNCHANGED);
		assert_files(1);
	}
}

static void mode_and_owner_stay(void **state)
{
	struct stat st;

	(void)state;
	put(OURS, "a=1\n");
	assert_int_equal(chmod(in_root(OURS), 0640), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(in_root(OURS), 12, 34), 0);
	assert_int_equal(write_settings("time=60", false, NULL), TCPKEEP_PERSIST_WRITTEN);
	assert_int_equal(stat(in_root(OURS), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	if (geteuid() == 0) {
		assert_int_equal(st.st_uid, 12);
		assert_int_equal(st.st_gid, 34);
	}
}

static void odd_files_are_refused_and_left_alone(void **state)
{
	static const struct {
		const char *command;
		int r;
		const char *words;
	} odd[] = {
		{"ln -s /dev/null etc/sysctl.d/90-tcpkeep.conf", -ELOOP, "is a symbolic link"},
		{"touch etc/victim && ln -s ../victim etc/sysctl.d/90-tcpkeep.conf", -ELOOP,
		 "is a symbolic link"},
		{"mkdir etc/sysctl.d/90-tcpkeep.conf", -EISDIR, "is a directory"},
		{"mkfifo etc/sysctl.d/90-tcpkeep.conf", -EINVAL, "is a fifo"},
		{"printf 'a=1\\0\\n' > etc/sysctl.d/90-tcpkeep.conf", -EILSEQ, "has NUL bytes"},
		{"truncate -s 1048577 etc/sysctl.d/90-tcpkeep.conf", -EFBIG, "larger than 1 MiB"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		struct tcpkeep_error error;
		struct stat before, after;

		fresh(NULL);
		assert_int_equal(in_shell(odd[i].command), 0);
		assert_int_equal(lstat(in_root(OURS), &before), 0);
		assert_int_equal(write_settings("time=60", false, &error), odd[i].r);
		assert_non_null(strstr(error.message, OURS ": "));
		assert_non_null(strstr(error.message, odd[i].words));
		assert_int_equal(lstat(in_root(OURS), &after), 0);
		assert_int_equal(before.st_ino, after.st_ino);
		assert_int_equal(before.st_mode, after.st_mode);
		assert_files(1);
	}
	assert_int_equal(in_shell("test ! -s etc/victim"), 0);
}

static void what_is_no_sysctl_is_refused(void **state)
{
	struct tcpkeep_settings settings = {TCPKEEP_PROBES, .probes = 0};
	struct tcpkeep_error error;

	(void)state;
	assert_int_equal(tcpkeep_persist_write(root, &settings, false, &error), -ERANGE);
	settings = (struct tcpkeep_settings){0};
	assert_int_equal(tcpkeep_persist_write(root, &settings, false, &error), -EINVAL);
	settings = (struct tcpkeep_settings){TCPKEEP_TIME, .time_s = 5};
	assert_int_equal(tcpkeep_persist_write("/nowhere/at/all", &settings, false, &error),
			 -ENOENT);
	assert_files(0);
}

/* ------------------------------------------------------------------------------- the order */

struct listing {
	char text[4096];
	int end_with;
};

static int list(const struct tcpkeep_persisted *persisted, void *userdata)
{
	struct listing *listing = userdata;
	size_t len = strlen(listing->text);

	snprintf(listing->text + len, sizeof(listing->text) - len, "%s:%u %s=%s%s\n",
		 persisted->path, persisted->line,
		 persisted->field == TCPKEEP_TIME    ? "time"
		 : persisted->field == TCPKEEP_INTVL ? "intvl"
						     : "probes",
		 persisted->value, persisted->wins ? " *" : "");
	return listing->end_with;
}

static void assert_listing(const char *expected)
{
	struct listing listing = {0};

	assert_int_equal(tcpkeep_persist_foreach(root, list, &listing, NULL), 0);
	assert_string_equal(listing.text, expected);
}

#define TIME "net.ipv4.tcp_keepalive_time"

static void files_sort_by_name_and_hide_by_directory(void **state)
{
	(void)state;
	put("/usr/lib/sysctl.d/10-a.conf", TIME "=1\n");
	put("/usr/lib/sysctl.d/50-b.conf", TIME "=2\n");
	put("/usr/local/lib/sysctl.d/50-b.conf", TIME "=3\n");
	put("/run/sysctl.d/50-b.conf", "# hides both\n\n" TIME "=4\n");
	put("/etc/sysctl.d/20-c.conf", TIME "=5\n");
	put("/etc/sysctl.d/60-not-conf", TIME "=6\n");
	put("/etc/sysctl.d/.70-hidden.conf", TIME "=7\n");
	put("/etc/sysctl.d/80-old.conf~", TIME "=8\n");
	put("/usr/lib/sysctl.d/B.conf", TIME "=9\n"); /* upper case sorts first in the C locale */
	put("/usr/lib/sysctl.d/a.conf", TIME "=10\n");
	assert_listing("/usr/lib/sysctl.d/10-a.conf:1 time=1\n"
		       "/etc/sysctl.d/20-c.conf:1 time=5\n"
		       "/run/sysctl.d/50-b.conf:3 time=4\n"
		       "/usr/lib/sysctl.d/B.conf:1 time=9\n"
		       "/usr/lib/sysctl.d/a.conf:1 time=10 *\n");
}

static void masks_and_odd_files_hide_and_set_nothing(void **state)
{
	(void)state;
	put("/usr/lib/sysctl.d/10-a.conf", TIME "=1\n");
	put("/usr/lib/sysctl.d/20-b.conf", TIME "=2\n");
	put("/usr/lib/sysctl.d/30-c.conf", TIME "=3\n");
	put("/usr/lib/sysctl.d/40-d.conf", TIME "=4\n");
	put("/usr/lib/sysctl.d/50-e.conf", TIME "=5\n");
	put("/usr/lib/sysctl.d/60-f.conf", TIME "=6\n");
	assert_int_equal(in_shell("ln -s /dev/null etc/sysctl.d/20-b.conf && "
				  "mkfifo etc/sysctl.d/30-c.conf && "
				  "mkdir etc/sysctl.d/40-d.conf && "
				  "touch etc/sysctl.d/50-e.conf && "
				  "ln -s 60-f.conf etc/sysctl.d/60-f.conf"),
			 0);
	assert_listing("/usr/lib/sysctl.d/10-a.conf:1 time=1 *\n");
}

static void links_are_followed_inside_of_the_root(void **state)
{
	(void)state;
	put("/etc/sysctl.conf", "\n" TIME " = 7\n");
	assert_int_equal(
		in_shell(
			"ln -s ../sysctl.conf etc/sysctl.d/99-sysctl.conf && "
			"ln -s /etc/sysctl.conf etc/sysctl.d/50-absolute.conf && "
			"ln -s ../../../../../../../../etc/sysctl.conf etc/sysctl.d/40-climb.conf"),
		0);
	assert_listing("/etc/sysctl.d/40-climb.conf:2 time=7\n"
		       "/etc/sysctl.d/50-absolute.conf:2 time=7\n"
		       "/etc/sysctl.d/99-sysctl.conf:2 time=7 *\n");
}

/* openat2() fails with EAGAIN when anything is renamed while it climbs "..". */
static void what_others_rename_meanwhile_is_no_failure(void **state)
{
	char from[sizeof(root) + 2], to[sizeof(root) + 2];
	pid_t child;

	(void)state;
	put("/etc/sysctl.conf", TIME " = 7\n");
	assert_int_equal(in_shell("ln -s ../sysctl.conf etc/sysctl.d/99-sysctl.conf && touch a"),
			 0);
	snprintf(from, sizeof(from), "%s/a", root);
	snprintf(to, sizeof(to), "%s/b", root);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			if (rename(from, to) < 0 || rename(to, from) < 0)
				_exit(1);
	}
	for (int i = 0; i < 500; i++)
		assert_listing("/etc/sysctl.d/99-sysctl.conf:1 time=7 *\n");
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(in_shell("rm -f a b"), 0);
}

static void keys_are_read_as_systemd_reads_them(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"net/ipv4/tcp_keepalive_time=1\n", "/etc/sysctl.d/a.conf:1 time=1 *\n"},
		{"/net.ipv4.tcp_keepalive_time=1\n", ""},
		{"net/ipv4.tcp_keepalive_time=1\n", ""},
		{"net.ipv4/tcp_keepalive_time=1\n", ""},
		{"- net.ipv4.tcp_keepalive_time = 1\n", "/etc/sysctl.d/a.conf:1 time=1 *\n"},
		{"\t net.ipv4.tcp_keepalive_time \t=\t 1 \t\r\n",
		 "/etc/sysctl.d/a.conf:1 time=1 *\n"},
		{"net.ipv4.tcp_keepalive_time=\n", "/etc/sysctl.d/a.conf:1 time= *\n"},
		{"net.ipv4.tcp_keepalive_time=1=2\n", "/etc/sysctl.d/a.conf:1 time=1=2 *\n"},
		{"net.ipv4.tcp_keepalive_time\n", ""},
		{"net.ipv4.tcp_keepalive_timex=1\n", ""},
		{"net.ipv4.tcp_keepalive_tim=1\n", ""},
		/* The last one holds; an exclusion takes an earlier one away. */
		{"net.ipv4.tcp_keepalive_time=1\nnet/ipv4/tcp_keepalive_time=2\n",
		 "/etc/sysctl.d/a.conf:1 time=1\n/etc/sysctl.d/a.conf:2 time=2 *\n"},
		{"net.ipv4.tcp_keepalive_time=1\n-net.ipv4.tcp_keepalive_time\n",
		 "/etc/sysctl.d/a.conf:1 time=1\n"},
		{"-net.ipv4.tcp_keepalive_time\nnet.ipv4.tcp_keepalive_time=1\n",
		 "/etc/sysctl.d/a.conf:2 time=1 *\n"},
		/* Patterns: weaker than what is spelt out, wherever that stands. */
		{"net.ipv4.tcp_keepalive_t*=1\n", "/etc/sysctl.d/a.conf:1 time=1 *\n"},
		{"net.ipv4.tcp_keepalive_time=1\nnet.ipv4.tcp_keepalive_t*=2\n",
		 "/etc/sysctl.d/a.conf:1 time=1 *\n/etc/sysctl.d/a.conf:2 time=2\n"},
		{"net.*.tcp_keepalive_[tp]*=1\n-net.ipv4.tcp_keepalive_time\n",
		 "/etc/sysctl.d/a.conf:1 time=1\n/etc/sysctl.d/a.conf:1 probes=1 *\n"},
		{"net.ipv?.tcp_keepalive_time=1\n", "/etc/sysctl.d/a.conf:1 time=1 *\n"},
		{"net.*_time=1\n", ""},
		/* Of two patterns the later, but one that is said again with its value keeps its
		   place. */
		{"net.ipv4.tcp_keepalive_t*=1\nnet.ipv4.*_time=2\n",
		 "/etc/sysctl.d/a.conf:1 time=1\n/etc/sysctl.d/a.conf:2 time=2 *\n"},
		{"net.ipv4.tcp_keepalive_t*=1\nnet.ipv4.*_time=2\nnet.ipv4.tcp_keepalive_t*=1\n",
		 "/etc/sysctl.d/a.conf:1 time=1\n/etc/sysctl.d/a.conf:2 time=2 *\n"
		 "/etc/sysctl.d/a.conf:3 time=1\n"},
		{"net.ipv4.tcp_keepalive_t*=1\nnet.ipv4.*_time=2\nnet.ipv4.tcp_keepalive_t*=3\n",
		 "/etc/sysctl.d/a.conf:1 time=1\n/etc/sysctl.d/a.conf:2 time=2\n"
		 "/etc/sysctl.d/a.conf:3 time=3 *\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put("/etc/sysctl.d/a.conf", cases[i].text);
		assert_listing(cases[i].expected);
	}
}

static void bytes_of_any_kind_do_no_harm(void **state)
{
	static const char nul[] = TIME "=1\0" TIME "=2\n";
	_cleanup_free_ char *endless = malloc(1000001);

	(void)state;
	put_n("/etc/sysctl.d/a.conf", nul, sizeof(nul) - 1);
	assert_listing("/etc/sysctl.d/a.conf:1 time=1\n/etc/sysctl.d/a.conf:2 time=2 *\n");
	memset(endless, 'x', 1000000);
	endless[1000000] = '\0';
	put("/etc/sysctl.d/a.conf", endless);
	put("/etc/sysctl.d/b.conf", "\xff\xfe=\x80\n" TIME "=3\n");
	assert_listing("/etc/sysctl.d/b.conf:2 time=3 *\n");
}

static void what_cannot_be_read_is_told_after_the_rest(void **state)
{
	struct listing listing = {0};
	struct tcpkeep_error error;

	(void)state;
	put("/etc/sysctl.d/10-a.conf", TIME "=1\n");
	put("/etc/sysctl.d/30-c.conf", TIME "=3\n");
	assert_int_equal(in_shell("truncate -s 1048577 etc/sysctl.d/20-b.conf"), 0);
	assert_int_equal(tcpkeep_persist_foreach(root, list, &listing, &error), -EFBIG);
	assert_string_equal(listing.text, "/etc/sysctl.d/10-a.conf:1 time=1\n"
					  "/etc/sysctl.d/30-c.conf:1 time=3 *\n");
	assert_string_equal(error.message,
			    "/etc/sysctl.d/20-b.conf: cannot be read: larger than 1 MiB; what it "
			    "sets at boot is unknown");
}

static void the_callers_answer_ends_the_walk(void **state)
{
	struct listing listing = {.end_with = 5};

	(void)state;
	put("/etc/sysctl.d/a.conf", TIME "=1\n" TIME "=2\n");
	assert_int_equal(tcpkeep_persist_foreach(root, list, &listing, NULL), 5);
	assert_string_equal(listing.text, "/etc/sysctl.d/a.conf:1 time=1\n");
}

static void nothing_at_all_is_fine(void **state)
{
	(void)state;
	assert_int_equal(in_shell("rm -rf ./etc ./run ./usr"), 0);
	assert_listing("");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_new_file_is_written, fresh),
		cmocka_unit_test_setup(a_missing_directory_is_made, fresh),
		cmocka_unit_test_setup(the_same_again_touches_nothing, fresh),
		cmocka_unit_test_setup(foreign_lines_stay, fresh),
		cmocka_unit_test_setup(mode_and_owner_stay, fresh),
		cmocka_unit_test_setup(odd_files_are_refused_and_left_alone, fresh),
		cmocka_unit_test_setup(what_is_no_sysctl_is_refused, fresh),
		cmocka_unit_test_setup(files_sort_by_name_and_hide_by_directory, fresh),
		cmocka_unit_test_setup(masks_and_odd_files_hide_and_set_nothing, fresh),
		cmocka_unit_test_setup(links_are_followed_inside_of_the_root, fresh),
		cmocka_unit_test_setup(what_others_rename_meanwhile_is_no_failure, fresh),
		cmocka_unit_test_setup(keys_are_read_as_systemd_reads_them, fresh),
		cmocka_unit_test_setup(bytes_of_any_kind_do_no_harm, fresh),
		cmocka_unit_test_setup(what_cannot_be_read_is_told_after_the_rest, fresh),
		cmocka_unit_test_setup(the_callers_answer_ends_the_walk, fresh),
		cmocka_unit_test_setup(nothing_at_all_is_fine, fresh),
	};
	int r;

	if (!mkdtemp(root))
		return 1;
	r = run_unit_tests("persist", tests);
	in_shell("rm -rf ./etc ./run ./usr ./lib");
	rmdir(root);
	return r;
}
