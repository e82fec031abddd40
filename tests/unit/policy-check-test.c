/* SPDX-License-Identifier: MIT */
/* A policy as a whole: what is warned of, and the files that it comes from. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "policy-told.h"

/* --------------------------------------------------------------------------------- warnings */

static void rules_that_never_match_are_told(void **state)
{
	static const struct {
		const char *above, *below;
		bool covers;
	} cases[] = {
		{"", "", true},
		{"", "peer = :1", true},
		{"peer = :1", "", false},
		{"peer = :1-9", "peer = :3", true},
		{"peer = :1-9", "peer = { :3, :10 }", false},
		{"peer = 10.0.0.0/8", "peer = 10.1.0.0/16:5432", true},
		{"peer = 10.1.0.0/16", "peer = 10.0.0.0/8", false},
		{"peer = :5432", "peer = 10.0.0.0/8", false},
		{"peer = ::/0", "peer = :5432", false},
		{"peer = ::/0", "peer = 2001:db8::1", true},
		{"peer = ::/0", "peer = 10.0.0.1", false},
		{"peer = 0.0.0.0/0", "peer = 10.0.0.1", true},
		{"peer = 0.0.0.0/0", "peer = ::ffff:10.0.0.1", true},
		{"peer = { 10.0.0.0/8, :5432 }", "peer = { 11.0.0.1:5432, 10.1.1.1 }", true},
		{"peer = 10.0.0.0/8", "local = 10.0.0.0/8", false},
		{"program = pg*", "program = pg_dump", true},
		{"program = pg*", "program = pg_*", true},
		{"program = pg_*", "program = pg*", false},
		{"program = 'p?'", "program = pg", true},
		{"program = psql", "program = psql user = root", true},
		{"program = psql user = root", "program = psql", false},
		{"program != psql", "program = nginx", true},
		{"program != psql", "program = 'p*'", false},
		{"program != psql", "program != { psql, nginx }", true},
		{"program != { psql, nginx }", "program != psql", false},
		{"program = psql", "program != nginx", false},
		{"user != root", "user = 5", true},
		{"user != root", "user = { 5, root }", false},
		{"peer != 10.0.0.0/8", "peer = 11.0.0.0/8", true},
		{"peer != 10.0.0.0/8", "peer = 10.1.0.0/16", false},
		{"peer != ::/0", "peer = 10.1.0.0/16", true},
		{"cgroup = /a", "cgroup = /a/b", true},
		{"cgroup = /a", "cgroup = /ab", false},
		{"cgroup != /a", "cgroup = /b", true},
		{"unit != nginx.scope", "unit = ssh.scope", false},
		{"unit = 'a*.scope'", "unit = ab.scope", true},
		{"direction = in", "direction = out", false},
		{"direction != in", "direction = out", true},
		{"direction = { in, out }", "", true},
		{"direction = out", "", false},
		{"netns = blue", "netns = blue", true},
		{"netns = 'b*'", "netns = blue", false},
	};
	struct policy policy;
	struct told told;
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "rule a { on %s }\nrule b { on %s }\n", cases[i].above,
			 cases[i].below);
		assert_int_equal(read_text(text, &told, &policy), 0);
		if ((strstr(told.text,
			    "2: warning: rule \"b\": never matches: rule \"a\" (text:1) takes "
			    "all that it would; put it above that\n") != NULL) != cases[i].covers)
			fail_msg("%s-> %s", text, told.text);
		policy_free(&policy);
	}
}

static void rules_that_contradict_themselves_are_told(void **state)
{
	(void)state;
	read_as("rule a { on local = 10.0.0.1 peer = { ::1, 2001:db8::/32 } }\n"
		"rule b { on direction != { in, out } }\n"
		"rule c { on local = 10.0.0.1 peer = { ::1, :5 } }\n"
		"rule d { on local = ::1 peer = ::ffff:10.0.0.1 }\n",
		"1: warning: rule \"a\": never matches: local and peer are of different families, IPv4 and "
		"IPv6\n"
		"2: warning: rule \"b\": never matches: every connection is either in or out, and both are "
		"left out\n"
		"4: warning: rule \"d\": never matches: local and peer are of different families, IPv4 and "
		"IPv6\n",
		NULL);
	read_as("rule a { on user = no-such-user-here }\nrule b { on user != { no-such-user-here, root } }",
		"1: warning: user: 'no-such-user-here' is not a user of this machine; until it is, and the "
		"policy is applied again, it matches no connection\n"
		"1: warning: rule \"a\": never matches: this machine knows none of its users\n"
		"2: warning: user: 'no-such-user-here' is not a user of this machine; until it is, and the "
		"policy is applied again, it matches no connection\n",
		"rule \"a\" {\n\tuser = \"4294967295\"\n\ton\n\tmode = \"default\"\n}\n"
		"rule \"b\" {\n\tuser != { \"4294967295\", \"0\" }\n\ton\n\tmode = \"default\"\n}\n");
}

static void dangerous_values_are_told(void **state)
{
	(void)state;
	read_as("rule a { peer = :1 time = 60 intvl = 10 probes = 1 }\nrule b { peer = :2 off }\n"
		"rule c { peer = :3 off time = 60 mode = enforce }\nrule d { program = systemd-timesyncd on }",
		"1: warning: rule \"a\": probes=1: a single lost packet kills a healthy connection; use 3 or "
		"more\n"
		"2: warning: rule \"b\": off in mode default does nothing: it is off unless the program turns "
		"it on, which this mode leaves to it; write mode = \"enforce\", or mode = \"leave\"\n"
		"3: warning: rule \"c\": time, intvl and probes do nothing while keepalive is off\n"
		"4: warning: program: 'systemd-timesyncd' is longer than the 15 bytes that the kernel keeps of "
		"a name; only these are compared\n",
		NULL);
	/* The kernel's intvl counts where the rule has none. */
	read_as("rule e { peer = :5 time = 60 user-timeout = 5s }\n",
		"1: warning: rule \"e\": user-timeout=5s is not above time+intvl=2m15s: a single lost packet "
		"kills a healthy connection, and probes no longer counts; use 12m15s or more (time + "
		"intvl x 9)\n",
		NULL);
	/* The others of the three stay the kernel's: twelve minutes, which nobody asked for. */
	read_as("rule a { peer = :1 time = 60 }\nrule b { peer = :2 time = 30 probes = 3 }\n"
		"rule c { peer = :3 time = 30m }\nrule d { peer = :4 time = 60 intvl = 10 }\n",
		"1: warning: rule \"a\": time=60 without intvl: the kernel's own stays, by default 75 s, and a "
		"dead peer is noticed after 12m15s; write for example intvl = 10 probes = 6 (1 more rule is "
		"alike)\n",
		NULL);
	read_as("# nothing\n", "0: warning: there is no rule in it: nothing would be set\n", "");
}

static void what_this_machine_does_not_have_is_told(void **state)
{
	(void)state;
	read_as("rule a { cgroup = { /, /no-such-slice/x } netns != { no-such-netns, 'no-such-*', 4026531840 } on }",
		"1: warning: rule \"a\": cgroup: '/no-such-slice/x' is not there now; until it is, no connection is "
		"in it\n"
		"1: warning: rule \"a\": netns: no namespace is named 'no-such-netns' now; until there is one, "
		"and the policy is applied again, no connection is in it\n"
		"1: warning: rule \"a\": netns: no namespace is named 'no-such-*' now; until there is one, and "
		"the policy is applied again, no connection is in it\n",
		NULL);
}

static void an_address_that_looks_like_a_port_is_told(void **state)
{
	(void)state;
	read_as("rule a { on peer = { 2001:db8::1:443, ::ffff:10, 1:2:3:4:5:6:7:8, fe80::1:2:3:5432 }\n"
		"local = { \"[2001:db8::1:443]\", \"[2001:db8::1]:443\", 2001:db8::443/128 } }",
		"1: warning: peer: '2001:db8::1:443' is read as an address, without a port; for the port write "
		"[2001:db8::1]:443, for the address [2001:db8::1:443]\n"
		"1: warning: peer: '::ffff:10' is read as an address, without a port; for the port write "
		"[::ffff]:10, for the address [::ffff:10]\n"
		"1: warning: peer: 'fe80::1:2:3:5432' is read as an address, without a port; for the port "
		"write [fe80::1:2:3]:5432, for the address [fe80::1:2:3:5432]\n",
		NULL);
}

static void profiles_that_no_rule_names_are_told(void **state)
{
	(void)state;
	read_as("profile a { on }\nrule x { profile = b }\nprofile b { on }\nprofile c { on }\n",
		"1: warning: profile \"a\": no rule names it\n4: warning: profile \"c\": no rule names it\n",
		NULL);
	/* An error may have kept the name from being read. */
	refused("profile a { on }\nrule x { profiel = a on }\n",
		"2: profiel: is not a key of a rule; did you mean 'profile'?\n");
}

/* ------------------------------------------------------------------------------------ files */

struct tree {
	char root[64];
};

static int make_tree(void **state)
{
	struct tree *tree = calloc(1, sizeof(*tree));

	strcpy(tree->root, "/tmp/policy-file-test.XXXXXX");
	if (!mkdtemp(tree->root))
		return -1;
	*state = tree;
	return 0;
}

static int remove_tree(void **state)
{
	struct tree *tree = *state;
	char command[128];
	int r;

	snprintf(command, sizeof(command), "rm -rf '%s'", tree->root);
	r = system(command);
	free(tree);
	return r;
}

static const char *place(const struct tree *tree, const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", tree->root, name);
	return path;
}

static void write_file(const struct tree *tree, const char *name, const char *text)
{
	char path[128], *slash;
	FILE *file;

	place(tree, name, path);
	slash = strrchr(path, '/');
	*slash = '\0';
	mkdir(path, 0755);
	*slash = '/';
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, 0644), 0);
}

static int read_tree(const struct tree *tree, struct told *told, struct policy *ret,
		     struct tcpkeep_error *ret_error)
{
	char path[128];

	int r;

	told->len = 0;
	told->text[0] = '\0';
	r = policy_read(place(tree, "policy.conf", path), tell, told, ret, ret_error);
	if (r < 0) {
		assert_int_equal(ret->n_rules, 0);
		assert_true(ret->n_paths > 0);
		assert_string_equal(ret->paths[0], path);
		policy_free(ret);
	}
	return r;
}

static void includes_are_sorted_and_keep_their_place(void **state)
{
	const struct tree *tree = *state;
	struct policy policy;
	struct told told;

	write_file(tree, "policy.conf",
		   "rule first { peer = :1 profile = p }\ninclude \"policy.d/*.conf\"\ninclude = "
		   "nothing.d/*.conf\nrule last { peer = :9 profile = p }\n");
	write_file(tree, "policy.d/20.conf", "rule two { peer = :3 profile = p }\n");
	write_file(tree, "policy.d/10.conf",
		   "rule one { peer = :2 profile = p }\nprofile p { on }\n");
	write_file(tree, "policy.d/30.conf~", "rubbish\n");
	assert_int_equal(read_tree(tree, &told, &policy, NULL), 0);
	assert_string_equal(told.text, "");
	assert_int_equal(policy.n_rules, 4);
	assert_string_equal(policy.rules[0].name, "first");
	assert_string_equal(policy.rules[1].name, "one");
	assert_string_equal(policy.rules[2].name, "two");
	assert_string_equal(policy.rules[3].name, "last");
	assert_int_equal(policy.n_paths, 3);
	assert_non_null(strstr(policy.rules[1].path, "/policy.d/10.conf"));
	policy_free(&policy);
}

static void includes_that_cannot_be_are_told(void **state)
{
	const struct tree *tree = *state;
	struct tcpkeep_error error;
	struct policy policy;
	struct told told;
	char expected[2048], path[128];

	write_file(
		tree, "policy.conf",
		"include \"a.conf\"\ninclude \"missing.conf\"\ninclude \"*/x.conf\"\ninclude \"\"\n"
		"include \".\"\ninclude \"a.conf\"\ninclude \"pipe\"\ninclude \"d.conf\"\n");
	write_file(tree, "a.conf", "rule a { on }\ninclude \"b.conf\"\n");
	write_file(tree, "b.conf", "include \"policy.conf\"\ntmie = 3\n");
	write_file(tree, "d.conf", "rule a { on }\n");
	assert_int_equal(mkfifo(place(tree, "pipe", path), 0644), 0);
	assert_int_equal(read_tree(tree, &told, &policy, &error), -EINVAL);
	assert_non_null(strstr(error.message, "has errors"));
	snprintf(
		expected, sizeof(expected),
		"policy.conf:2: include: %1$s/missing.conf cannot be read: No such file or directory\n"
		"policy.conf:3: include: '*/x.conf': a glob may stand in the last part of the path alone\n"
		"policy.conf:4: include: '' is no file; write include \"policy.d/*.conf\"\n"
		"policy.conf:5: include: %1$s/. is a directory; name a file, or in an include "
		"\"%1$s/./*.conf\"\n"
		"policy.conf:6: include: %1$s/a.conf was included already, at %1$s/policy.conf:1\n"
		"policy.conf:7: include: %1$s/pipe is not a regular file\n"
		"b.conf:1: include: %1$s/policy.conf includes itself, over this line\n"
		"b.conf:2: tmie: stands outside of a rule; write rule \"NAME\" { tmie = ... }\n"
		"d.conf:1: rule \"a\": there is one of this name in %1$s/a.conf:1; each rule needs its "
		"own\n",
		tree->root);
	assert_string_equal(told.text, expected);
}

static void includes_have_a_depth(void **state)
{
	const struct tree *tree = *state;
	struct policy policy;
	struct told told;
	char name[32], text[64];

	write_file(tree, "policy.conf", "rule a { on }\ninclude 1.conf\n");
	for (int i = 1; i < 9; i++) {
		snprintf(name, sizeof(name), "%d.conf", i);
		snprintf(text, sizeof(text), "include %d.conf\n", i + 1);
		write_file(tree, name, text);
	}
	write_file(tree, "9.conf", "");
	assert_int_equal(read_tree(tree, &told, &policy, NULL), -EINVAL);
	assert_string_equal(
		told.text,
		"7.conf:1: include: more than 8 files deep; include this one further up\n");
}

static void files_that_others_write_are_told(void **state)
{
	const struct tree *tree = *state;
	struct policy policy;
	struct told told;
	char path[128];

	write_file(tree, "policy.conf", "rule a { on }\n");
	assert_int_equal(chmod(place(tree, "policy.conf", path), 0666), 0);
	assert_int_equal(read_tree(tree, &told, &policy, NULL), 0);
	assert_string_equal(told.text,
			    "policy.conf:0: warning: the file is writable by everybody: who can "
			    "write it rules every new connection; run chmod go-w\n");
	policy_free(&policy);
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(read_tree(tree, &told, &policy, NULL), 0);
	assert_string_equal(told.text,
			    "policy.conf:0: warning: the file is writable by its group: who can "
			    "write it rules every new connection; run chmod go-w\n");
	policy_free(&policy);
}

static void what_is_no_file_is_refused(void **state)
{
	const struct tree *tree = *state;
	struct tcpkeep_error error;
	struct policy policy;
	char path[128];
	int fd;

	assert_int_equal(policy_read(place(tree, "none", path), NULL, NULL, &policy, &error),
			 -ENOENT);
	assert_non_null(strstr(error.message, "/none cannot be read: No such file or directory"));
	assert_int_equal(policy_read(tree->root, NULL, NULL, &policy, &error), -EISDIR);
	assert_int_equal(policy_read("/dev/zero", NULL, NULL, &policy, &error), -EINVAL);
	assert_string_equal(error.message, "/dev/zero is not a regular file");
	fd = open(place(tree, "huge", path), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1024 * 1024 + 1), 0);
	close(fd);
	assert_int_equal(policy_read(path, NULL, NULL, &policy, &error), -EFBIG);
	assert_non_null(strstr(error.message, "is 1048577 bytes long; accepted: up to 1048576"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_that_never_match_are_told),
		cmocka_unit_test(rules_that_contradict_themselves_are_told),
		cmocka_unit_test(dangerous_values_are_told),
		cmocka_unit_test(what_this_machine_does_not_have_is_told),
		cmocka_unit_test(an_address_that_looks_like_a_port_is_told),
		cmocka_unit_test(profiles_that_no_rule_names_are_told),
		cmocka_unit_test_setup_teardown(includes_are_sorted_and_keep_their_place, make_tree,
						remove_tree),
		cmocka_unit_test_setup_teardown(includes_that_cannot_be_are_told, make_tree,
						remove_tree),
		cmocka_unit_test_setup_teardown(includes_have_a_depth, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(files_that_others_write_are_told, make_tree,
						remove_tree),
		cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, make_tree, remove_tree),
	};

	return run_unit_tests("policy-check", tests);
}
