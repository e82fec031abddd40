/* SPDX-License-Identifier: MIT */
/* What user space knows beside the socket's row: owners, cgroups, units, namespaces. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "selector-matches.h"

static void owners_match_by_pid_and_program(void **state)
{
	static const int pids[] = {41, 4194304};
	static const char *const programs[] = {"nginx", "systemd-timesyn"};
	struct selector_owner owner = {.pids = pids, .programs = programs, .n = 2};
	struct socket_row row = a_row("10.0.0.1", 1, "10.0.0.2", 2);

	(void)state;
	check("pid=41", true, &row, &owner);
	check("pid=4194304", true, &row, &owner);
	check("pid=42", false, &row, &owner);
	check("pid=1,2,41", true, &row, &owner);
	check("program=nginx", true, &row, &owner);
	check("program=ngin", false, &row, &owner);
	check("program=Nginx", false, &row, &owner);
	check("program=ng*", true, &row, &owner);
	check("program=ngin?", true, &row, &owner);
	check("program=nginx?", false, &row, &owner);
	check("program=[mn]ginx", true, &row, &owner);
	check("program=apache2,*", true, &row, &owner);
	/* The kernel has cut the name; so is the selector. */
	check("program=systemd-timesyncd", true, &row, &owner);
	check("program=systemd-timesync?", true, &row, &owner);
	check("program=systemd-timesyncd*", true, &row, &owner);
	check("program=systemd-resolved", false, &row, &owner);
	/* A user selector does not need them. */
	assert_matches("pid=41 program=nginx user=1000", &row, &owner);
	assert_no_match("pid=41 program=nginx user=1001", &row, &owner);
}

static void who_cannot_be_seen_is_unknown(void **state)
{
	const struct selector_owner hidden = {0};
	struct socket_row row = a_row("10.0.0.1", 1, "10.0.0.2", 2);

	(void)state;
	check_unknown("pid=41", &row, &hidden);
	check_unknown("program=*", &row, &hidden);
	check_unknown("cgroup=/", &row, &hidden);
	check_unknown("unit=*", &row, &hidden);
	check_unknown("netns=*", &row, &hidden);
	check_unknown("pid=41", &row, NULL);
	check_unknown("cgroup=/", &row, NULL);
	/* No file: nobody holds it, and that is known. */
	row.inode = 0;
	check("pid=41", false, &row, &hidden);
	check("program=*", false, &row, &hidden);
}

static void a_cgroup_matches_with_all_beneath_it(void **state)
{
	struct selector_owner owner = {.cgroup_path = "/system.slice/nginx.service/worker"};
	struct socket_row row = a_row("10.0.0.1", 1, "10.0.0.2", 2);

	(void)state;
	check("cgroup=/", true, &row, &owner);
	check("cgroup=/system.slice", true, &row, &owner);
	check("cgroup=/system.slice/", true, &row, &owner);
	check("cgroup=system.slice", true, &row, &owner);
	check("cgroup=/system.slice/nginx.service/worker", true, &row, &owner);
	check("cgroup=/system.slice/nginx", false, &row, &owner);
	check("cgroup=/system", false, &row, &owner);
	check("cgroup=/user.slice,/system.slice", true, &row, &owner);
	check("cgroup=/system.slice/nginx.service/worker/deeper", false, &row, &owner);
	owner.cgroup_path = "/";
	check("cgroup=/", true, &row, &owner);
	check("cgroup=/system.slice", false, &row, &owner);
}

static void a_unit_is_the_innermost_or_a_slice_around(void **state)
{
	static const struct {
		const char *path, *unit, *word;
		bool want;
	} cases[] = {
		{"/system.slice/nginx.service", "nginx.service", "unit=nginx.service", true},
		{"/system.slice/nginx.service", "nginx.service", "unit=nginx", true},
		{"/system.slice/nginx.service", "nginx.service", "unit=ngin*", true},
		{"/system.slice/nginx.service", "nginx.service", "unit=system.slice", true},
		{"/system.slice/nginx.service", "nginx.service", "unit=user.slice", false},
		{"/system.slice/nginx.service/worker", "nginx.service", "unit=nginx", true},
		{"/system.slice/docker-12ab.scope", "docker-12ab.scope", "unit=docker-*.scope",
		 true},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service",
		 "foo.service", "unit=foo", true},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service",
		 "foo.service", "unit=user@1000", false},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service",
		 "foo.service", "unit=user-*.slice", true},
		{"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service",
		 "unit=getty@*", true},
		{"/system.slice/dev-disk-by\\x2dlabel.swap", "dev-disk-by\\x2dlabel.swap",
		 "unit=dev-disk-by\\x2dlabel.swap", true},
		{"/system.slice/_cgroup.service", "cgroup.service", "unit=cgroup", true},
		{"/machine.slice", "machine.slice", "unit=machine.slice", true},
		{"/docker/0123abcd", NULL, "unit=*", false},
		{"/", NULL, "unit=*", false},
		{"/.service", NULL, "unit=*", false},
	};
	struct socket_row row = a_row("10.0.0.1", 1, "10.0.0.2", 2);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct selector_owner owner = {.cgroup_path = cases[i].path};
		size_t len = 0;
		const char *unit = cgroup_unit(cases[i].path, &len);

		if (cases[i].unit) {
			assert_non_null(unit);
			assert_int_equal(len, strlen(cases[i].unit));
			assert_memory_equal(unit, cases[i].unit, len);
		} else {
			assert_null(unit);
		}
		check(cases[i].word, cases[i].want, &row, &owner);
	}
}

/* What decides whether a namespace is looked into at all. */
static void a_netns_is_taken_or_not_before_its_sockets(void **state)
{
	static const struct {
		const char *words[2];
		bool blue, nameless;
	} cases[] = {
		{{"peer=:1"}, true, true},
		{{"netns=blue"}, true, false},
		{{"netns!=blue"}, false, true},
		{{"netns=red"}, false, false},
		{{"netns=b*", "netns!=blue"}, false, false},
		{{"netns=blue,8", "pid=1"}, true, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct selector selector = {0};

		for (size_t j = 0; j < 2 && cases[i].words[j]; j++)
			assert_int_equal(selector_parse_word(&selector, cases[i].words[j],
							     strlen(cases[i].words[j]), NULL),
					 0);
		assert_int_equal(selector_takes_netns(&selector, "blue", 7), cases[i].blue);
		assert_int_equal(selector_takes_netns(&selector, NULL, 8), cases[i].nameless);
	}
}

static void a_netns_goes_by_name_inode_or_path(void **state)
{
	struct selector_owner owner = {.netns_name = "blue", .netns_inode = 4026532008};
	struct socket_row row = a_row("10.0.0.1", 1, "10.0.0.2", 2);
	struct selector selector;
	struct tcpkeep_error error;
	struct stat st;
	char word[100];

	(void)state;
	check("netns=blue", true, &row, &owner);
	check("netns=bl*", true, &row, &owner);
	check("netns=red", false, &row, &owner);
	check("netns=4026532008", true, &row, &owner);
	check("netns=net:[4026532008]", true, &row, &owner);
	check("netns=net:[4026532009]", false, &row, &owner);
	check("netns=red,blue", true, &row, &owner);
	owner.netns_name = "7"; /* ip netns add 7 */
	check("netns=7", true, &row, &owner);
	owner.netns_name = NULL;
	check("netns=7", false, &row, &owner);
	check("netns=*", false, &row, &owner);
	owner.netns_name = "/run/docker/netns/ab12";
	check("netns=/run/docker/netns/*", true, &row, &owner);

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	owner.netns_name = NULL;
	check("netns=/proc/self/ns/net", false, &row, &owner);
	owner.netns_inode = st.st_ino;
	check("netns=/proc/self/ns/net", true, &row, &owner);
	snprintf(word, sizeof(word), "netns=/proc/%d/ns/net", (int)getpid());
	check(word, true, &row, &owner);
	/* Namespaces of another kind, and files. */
	assert_int_equal(parse(&selector, "netns=/proc/self/ns/pid", &error), -EINVAL);
	assert_int_equal(parse(&selector, "netns=/dev/null", &error), -EINVAL);
	assert_int_equal(error.offset, 6);
	assert_int_equal(parse(&selector, "netns=/nonexistent", &error), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owners_match_by_pid_and_program),
		cmocka_unit_test(who_cannot_be_seen_is_unknown),
		cmocka_unit_test(a_cgroup_matches_with_all_beneath_it),
		cmocka_unit_test(a_unit_is_the_innermost_or_a_slice_around),
		cmocka_unit_test(a_netns_is_taken_or_not_before_its_sockets),
		cmocka_unit_test(a_netns_goes_by_name_inode_or_path),
	};

	return run_unit_tests("selector-owner", tests);
}
