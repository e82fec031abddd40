/* SPDX-License-Identifier: MIT */
/* What the socket's row alone decides, and how several selectors go together. */
#include <pwd.h>

#include "base/macro.h"
#include "selector-matches.h"

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
		cmocka_unit_test(all_selectors_must_hold_and_one_of_their_values),
	};

	return run_unit_tests("selector", tests);
}
