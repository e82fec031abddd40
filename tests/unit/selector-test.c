/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "sockets/selector.h"
#include "unit.h"

/* Adds words joined by blanks; the first failure ends it. */
static int parse(struct selector *selector, const char *words, struct tcpkeep_error *error)
{
	memset(selector, 0, sizeof(*selector));
	for (;;) {
		size_t len = strcspn(words, " ");
		int r = selector_parse_word(selector, words, len, error);

		if (r < 0 || words[len] == '\0')
			return r;
		words += len + 1;
	}
}

static bool matches(const char *words, const struct socket_row *row,
		    const struct selector_owner *owner)
{
	struct selector selector;
	struct tcpkeep_error error = {0};

	if (parse(&selector, words, &error) < 0)
		fail_msg("%s: %s", words, error.message);
	return selector_matches(&selector, row, owner);
}

#define assert_matches(words, row, owner)                                                          \
	do {                                                                                       \
		if (!matches(words, row, owner))                                                   \
			fail_msg("%s does not match", words);                                      \
	} while (0)
#define assert_no_match(words, row, owner)                                                         \
	do {                                                                                       \
		if (matches(words, row, owner))                                                    \
			fail_msg("%s matches", words);                                             \
	} while (0)

/* For what is known: the selector and its negation never agree. word has one '='. */
static void check(const char *word, bool want, const struct socket_row *row,
		  const struct selector_owner *owner)
{
	char negated[300];
	int key = (int)strcspn(word, "=");

	snprintf(negated, sizeof(negated), "%.*s!%s", key, word, word + key);
	if (matches(word, row, owner) != want)
		fail_msg("%s should be %d", word, want);
	if (matches(negated, row, owner) == want)
		fail_msg("%s should be %d", negated, !want);
}

static void check_unknown(const char *word, const struct socket_row *row,
			  const struct selector_owner *owner)
{
	char negated[300];
	int key = (int)strcspn(word, "=");

	snprintf(negated, sizeof(negated), "%.*s!%s", key, word, word + key);
	assert_no_match(word, row, owner);
	assert_no_match(negated, row, owner);
}

static void set_address(__u32 address[4], const char *text)
{
	memset(address, 0, 4 * sizeof(address[0]));
	if (inet_pton(AF_INET6, text, address) == 1)
		return;
	address[2] = htonl(0xffff);
	assert_int_equal(inet_pton(AF_INET, text, &address[3]), 1);
}

/* An established connection from local to peer of which everything is known. */
static struct socket_row a_row(const char *local, unsigned local_port, const char *peer,
			       unsigned peer_port)
{
	struct socket_row row = {
		.cookie = 1,
		.local_port = (__u16)local_port,
		.peer_port = (__u16)peer_port,
		.family = strchr(local, ':') ? AF_INET6 : AF_INET,
		.state = 1,
		.flags = ROW_KEEPALIVE,
		.known = ROW_KNOWN_KEEPALIVE | ROW_KNOWN_SILENCE,
		.direction = ROW_DIRECTION_OUT,
		.silence_ms = 600000,
		.uid = 1000,
		.inode = 77,
	};

	set_address(row.local, local);
	set_address(row.peer, peer);
	return row;
}

/* ------------------------------------------------------------------------------ endpoints */

static void an_endpoint_matches_address_network_and_port(void **state)
{
	static const struct {
		const char *peer;
		unsigned port;
		const char *word;
		bool want;
	} cases[] = {
		{"10.1.2.3", 5432, "peer=10.1.2.3", true},
		{"10.1.2.3", 5432, "peer=10.1.2.4", false},
		{"10.1.2.3", 5432, "peer=10.1.2.3:5432", true},
		{"10.1.2.3", 5432, "peer=10.1.2.3:5433", false},
		{"10.1.2.3", 5432, "peer=:5432", true},
		{"10.1.2.3", 5432, "peer=:5431", false},
		{"10.1.2.3", 5432, "peer=:5432-5439", true},
		{"10.1.2.3", 5439, "peer=:5432-5439", true},
		{"10.1.2.3", 5431, "peer=:5432-5439", false},
		{"10.1.2.3", 5440, "peer=:5432-5439", false},
		{"10.1.2.3", 0, "peer=:0", true},
		{"10.1.2.3", 65535, "peer=:65535", true},
		/* 258 is 513 with its bytes swapped. */
		{"10.1.2.3", 258, "peer=:258", true},
		{"10.1.2.3", 513, "peer=:258", false},
		{"10.1.2.3", 1, "peer=10.0.0.0/8", true},
		{"11.1.2.3", 1, "peer=10.0.0.0/8", false},
		{"10.1.2.3", 1, "peer=10.0.0.0/8:1", true},
		{"10.1.2.3", 2, "peer=10.0.0.0/8:1", false},
		{"10.1.2.3", 1, "peer=10.1.2.3/32", true},
		{"10.1.2.2", 1, "peer=10.1.2.3/32", false},
		{"10.1.2.3", 1, "peer=10.1.2.2/31", true},
		{"10.1.2.4", 1, "peer=10.1.2.2/31", false},
		{"10.1.127.3", 1, "peer=10.1.0.0/17", true},
		{"10.1.128.3", 1, "peer=10.1.0.0/17", false},
		{"127.0.0.1", 1, "peer=0.0.0.0/1", true},
		{"128.0.0.1", 1, "peer=0.0.0.0/1", false},
		{"2001:db8::1", 443, "peer=2001:db8::1", true},
		{"2001:db8::2", 443, "peer=2001:db8::1", false},
		{"2001:db8::1", 443, "peer=[2001:db8::1]:443", true},
		{"2001:db8::1", 443, "peer=[2001:db8::1]", true},
		{"2001:db8::1", 443, "peer=[2001:db8::1]:444", false},
		{"2001:db8::1", 443, "peer=[2001:db8::]/32:443", true},
		{"2001:db8::1", 443, "peer=2001:db8::/32:440-449", true},
		{"2001:db9::1", 443, "peer=[2001:db8::]/32:443", false},
		{"2001:db8:8000::1", 1, "peer=2001:db8:8000::/33", true},
		{"2001:db8:7fff::1", 1, "peer=2001:db8:8000::/33", false},
		{"2001:db8::1", 1, "peer=2001:db8::1/128", true},
		{"2001:db8::2", 1, "peer=2001:db8::1/128", false},
		{"2001:db8:0:0:8000::1", 1, "peer=2001:db8::/64", true},
		{"2001:db8:0:1::1", 1, "peer=2001:db8::/64", false},
		{"2001:db8:0:0:8000::1", 1, "peer=2001:db8::/65", false},
		{"8000::", 1, "peer=8000::/1", true},
		{"7fff::", 1, "peer=8000::/1", false},
		{"::", 1, "peer=::", true},
		{"::1", 1, "peer=::", false},
		{"::1", 80, "peer=[::1]:80", true},
		{"10.1.2.3", 5, "peer=10.9.9.9,:6,10.1.2.0/24:5", true},
		{"10.1.2.3", 5, "peer=10.9.9.9,:6,10.1.2.0/24:4", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool v6 = strchr(cases[i].peer, ':');
		struct socket_row row =
			a_row(v6 ? "::9" : "192.0.2.9", 9, cases[i].peer, cases[i].port);
		struct socket_row swapped =
			a_row(cases[i].peer, cases[i].port, v6 ? "::9" : "192.0.2.9", 9);
		char local[100];

		check(cases[i].word, cases[i].want, &row, NULL);
		snprintf(local, sizeof(local), "local%s", strchr(cases[i].word, '='));
		check(local, cases[i].want, &swapped, NULL);
		/* Each side is its own. */
		if (cases[i].want)
			assert_no_match(cases[i].word, &swapped, NULL);
	}
}

/* Written as IPv4: IPv4 in every socket. Written as IPv6: IPv6 alone, unless it is ::ffff:a.b.c.d.
 */
static void ipv4_is_ipv4_in_every_socket(void **state)
{
	static const char *const ipv4[] = {
		"local=10.1.2.3",        "local=10.0.0.0/8",    "local=0.0.0.0/0",
		"local=::ffff:10.1.2.3", "local=::ffff:0:0/96", "local=[::ffff:10.0.0.0]/104:80",
		"local=10.1.2.3,::/0",
	};
	static const char *const ipv6[] = {
		"local=::/0",  "local=::/1",      "local=::/64",
		"local=::/80", "local=[::]/0:80", "local=::",
	};
	struct socket_row plain = a_row("10.1.2.3", 80, "10.1.2.4", 9);
	struct socket_row mapped = a_row("::ffff:10.1.2.3", 80, "::ffff:10.1.2.4", 9);
	struct socket_row any = a_row("::", 80, "::", 9), zero = a_row("0.0.0.0", 80, "0.0.0.0", 9);

	(void)state;
	assert_int_equal(plain.family, AF_INET);
	assert_int_equal(mapped.family, AF_INET6);
	assert_memory_equal(plain.local, mapped.local, sizeof(plain.local));
	for (size_t i = 0; i < ARRAY_SIZE(ipv4); i++) {
		check(ipv4[i], true, &plain, NULL);
		check(ipv4[i], true, &mapped, NULL);
		check(ipv4[i], i == ARRAY_SIZE(ipv4) - 1, &any, NULL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ipv6); i++) {
		check(ipv6[i], false, &plain, NULL);
		check(ipv6[i], false, &mapped, NULL);
		check(ipv6[i], false, &zero, NULL);
		check(ipv6[i], true, &any, NULL);
	}
	check("local=0.0.0.0", true, &zero, NULL);
	check("local=0.0.0.0", false, &any, NULL);
	check("local=:80", true, &mapped, NULL);
	check("local=:0-65535", true, &mapped, NULL);
	check("local=:80", true, &any, NULL);
}

/* ------------------------------------------------------------------------- other row kinds */

static void a_state_has_its_names_and_groups(void **state)
{
	static const struct {
		const char *word;
		unsigned states; /* bits 1 to 12 */
	} cases[] = {
		{"state=ESTAB", 1 << 1},
		{"state=established", 1 << 1},
		{"state=SYN-SENT", 1 << 2},
		{"state=syn_recv", 1 << 3 | 1 << 12},
		{"state=fin-wait-1", 1 << 4},
		{"state=FIN_WAIT2", 1 << 5},
		{"state=TIME_WAIT", 1 << 6},
		{"state=timewait", 1 << 6},
		{"state=UNCONN", 1 << 7},
		{"state=close", 1 << 7},
		{"state=Close-Wait", 1 << 8},
		{"state=LAST_ACK", 1 << 9},
		{"state=listen", 1 << 10},
		{"state=listening", 1 << 10},
		{"state=closing", 1 << 11},
		{"state=listen,estab", 1 << 10 | 1 << 1},
		{"state=connected", 0x1ffe & ~(1 << 7 | 1 << 10)},
		{"state=synchronized", 0x1ffe & ~(1 << 7 | 1 << 10 | 1 << 2)},
		{"state=bucket", 1 << 3 | 1 << 12 | 1 << 6},
		{"state=big", 0x1ffe & ~(1 << 3 | 1 << 12 | 1 << 6)},
		{"state=all", 0x1ffe},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (unsigned s = 1; s <= 12; s++) {
			struct socket_row row = a_row("10.0.0.1", 1, "10.0.0.2", 2);

			row.state = (__u8)s;
			check(cases[i].word, cases[i].states >> s & 1, &row, NULL);
		}
}

static void a_state_that_nobody_knows_is_no_other(void **state)
{
	struct socket_row row = a_row("10.0.0.1", 1, "10.0.0.2", 2);
	char buf[16];

	(void)state;
	row.state = 64 + 1; /* the bit of ESTABLISHED, were it taken modulo 64 */
	check("state=estab", false, &row, NULL);
	assert_string_equal(state_name(1, buf), "ESTABLISHED");
	assert_string_equal(state_name(7, buf), "CLOSED");
	assert_string_equal(state_name(10, buf), "LISTEN");
	assert_string_equal(state_name(12, buf), "SYN-RECV");
	assert_string_equal(state_name(0, buf), "unknown(0)");
	assert_string_equal(state_name(17, buf), "unknown(17)");
	assert_string_equal(state_name(4000000000U, buf), "unknown(65535)");
	for (unsigned s = 1; s <= 12; s++) {
		char word[40];

		row.state = (__u8)s;
		snprintf(word, sizeof(word), "state=%s", state_name(s, buf));
		check(word, true, &row, NULL);
	}
}

static void keepalive_and_direction_match_when_known(void **state)
{
	struct socket_row row = a_row("10.0.0.1", 1, "10.0.0.2", 2);

	(void)state;
	check("keepalive=on", true, &row, NULL);
	check("keepalive=off", false, &row, NULL);
	check("keepalive=on,off", true, &row, NULL);
	row.flags = ROW_ORPHAN | ROW_V6ONLY;
	check("keepalive=on", false, &row, NULL);
	check("keepalive=off", true, &row, NULL);
	row.known &= (__u8)~ROW_KNOWN_KEEPALIVE;
	check_unknown("keepalive=on", &row, NULL);
	check_unknown("keepalive=off", &row, NULL);

	check("direction=out", true, &row, NULL);
	check("direction=in", false, &row, NULL);
	row.direction = ROW_DIRECTION_IN;
	check("direction=in", true, &row, NULL);
	row.direction = ROW_DIRECTION_LISTEN;
	check("direction=listen", true, &row, NULL);
	check("direction=in,out", false, &row, NULL);
	row.direction = ROW_DIRECTION_UNKNOWN;
	check_unknown("direction=in", &row, NULL);
	check_unknown("direction=in,out,listen", &row, NULL);
}

static void silence_is_compared_to_the_millisecond(void **state)
{
	struct socket_row row = a_row("10.0.0.1", 1, "10.0.0.2", 2); /* silent for 10m */

	(void)state;
	assert_no_match("silent>10m", &row, NULL);
	assert_matches("silent>=10m", &row, NULL);
	assert_matches("silent<=10m", &row, NULL);
	assert_no_match("silent<10m", &row, NULL);
	assert_matches("silent>9m59s999ms", &row, NULL);
	assert_matches("silent<10m1ms", &row, NULL);
	assert_matches("silent>5m silent<=600", &row, NULL);
	assert_no_match("silent>5m silent<6m", &row, NULL);
	row.silence_ms = UINT32_MAX;
	assert_matches("silent>49d", &row, NULL);
	assert_no_match("silent<49d", &row, NULL);
	row.silence_ms = 0;
	assert_matches("silent<1ms", &row, NULL);
	assert_matches("silent<=0", &row, NULL);
	assert_no_match("silent>0", &row, NULL);
	row.known &= (__u8)~ROW_KNOWN_SILENCE;
	assert_no_match("silent>=0", &row, NULL);
	assert_no_match("silent<49d", &row, NULL);
}

static void a_user_goes_by_name_or_number(void **state)
{
	struct socket_row row = a_row("10.0.0.1", 1, "10.0.0.2", 2);
	const struct passwd *other;
	char word[300];

	(void)state;
	check("user=1000", true, &row, NULL);
	check("user=1001", false, &row, NULL);
	check("user=root", false, &row, NULL);
	check("user=root,1000", true, &row, NULL);
	row.uid = 0;
	check("user=root", true, &row, NULL);
	check("user=0", true, &row, NULL);
	row.uid = 4294967294U;
	check("user=4294967294", true, &row, NULL);
	setpwent();
	while ((other = getpwent()) && other->pw_uid == 0)
		;
	if (other) {
		snprintf(word, sizeof(word), "user=%s", other->pw_name);
		row.uid = other->pw_uid;
		check(word, true, &row, NULL);
	}
	endpwent();
	/* TIME-WAIT tells 0 for everybody, older kernels for what no program holds, too. */
	row.uid = 0;
	row.state = 6;
	check_unknown("user=root", &row, NULL);
	/* A handshake is nobody's; the walk in the kernel tells the listener's user. */
	row.state = 12;
	check_unknown("user=root", &row, NULL);
	row.uid = 1000;
	check_unknown("user=1000", &row, NULL);
	row.uid = 0;
	row.state = 1;
	row.flags = ROW_ORPHAN;
	check_unknown("user=root", &row, NULL);
	row.uid = 1000;
	check("user=1000", true, &row, NULL);
}

/* -------------------------------------------------------------------- what user space knows */

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

/* --------------------------------------------------------------------------- the language */

static void all_selectors_must_hold_and_one_of_their_values(void **state)
{
	struct socket_row row = a_row("10.0.0.1", 1, "10.0.0.2", 5432);
	struct selector selector = {0};

	(void)state;
	assert_true(selector_matches(&selector, &row, NULL));
	assert_matches("peer=:5432 keepalive=on state=estab user=1000", &row, NULL);
	assert_no_match("peer=:5432 keepalive=off state=estab user=1000", &row, NULL);
	/* One key twice: both must hold. */
	assert_matches("peer=:5432 peer=10.0.0.0/24", &row, NULL);
	assert_no_match("peer=:5432 peer=10.0.1.0/24", &row, NULL);
	assert_matches("peer=10.0.0.0/24 peer!=10.0.0.1,10.0.0.3", &row, NULL);
	assert_no_match("peer=10.0.0.0/24 peer!=10.0.0.1,10.0.0.2", &row, NULL);
	/* A value of one clause is not one of the next. */
	assert_no_match("user=1,2 keepalive=on", &row, NULL);
	assert_no_match("keepalive=on user=1,2", &row, NULL);
	assert_matches("user!=1,2 keepalive!=off", &row, NULL);
	/* A clause of user space in between is passed over by the kernel's half. */
	assert_int_equal(parse(&selector, "user=1000 netns=blue,red peer=:5432", NULL), 0);
	assert_int_equal(match_row(&selector.program, &row), 1);
	row.peer_port = 1;
	assert_int_equal(match_row(&selector.program, &row), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_endpoint_matches_address_network_and_port),
		cmocka_unit_test(ipv4_is_ipv4_in_every_socket),
		cmocka_unit_test(a_state_has_its_names_and_groups),
		cmocka_unit_test(a_state_that_nobody_knows_is_no_other),
		cmocka_unit_test(keepalive_and_direction_match_when_known),
		cmocka_unit_test(silence_is_compared_to_the_millisecond),
		cmocka_unit_test(a_user_goes_by_name_or_number),
		cmocka_unit_test(owners_match_by_pid_and_program),
		cmocka_unit_test(who_cannot_be_seen_is_unknown),
		cmocka_unit_test(a_cgroup_matches_with_all_beneath_it),
		cmocka_unit_test(a_unit_is_the_innermost_or_a_slice_around),
		cmocka_unit_test(a_netns_goes_by_name_inode_or_path),
		cmocka_unit_test(all_selectors_must_hold_and_one_of_their_values),
	};

	return run_unit_tests("selector", tests);
}
