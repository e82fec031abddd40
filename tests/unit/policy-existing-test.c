/* SPDX-License-Identifier: MIT */
/* Which rule of a policy decides over a connection that was open before it. */
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "policy/policy-existing.h"
#include "unit.h"

static const char text[] = "rule leave { peer = :1 mode = leave }\n"
			   "rule psql { program = psql time = 60 }\n"
			   "rule force { peer = :2 time = 60 mode = enforce }\n"
			   "rule in { direction = in on }\n";

static int read_policy(void **state)
{
	static struct policy policy;

	*state = &policy;
	return policy_read_text("text", text, strlen(text), NULL, NULL, &policy);
}

static int free_policy(void **state)
{
	policy_free(*state);
	return 0;
}

static struct socket_row connection(__u16 peer_port)
{
	return (struct socket_row){
		.state = TCP_ESTABLISHED,
		.direction = ROW_DIRECTION_OUT,
		.known = ROW_KNOWN_KEEPALIVE,
		.peer_port = peer_port,
		.peer = {0, 0, MATCH_BE32(0xffffU), MATCH_BE32(0x0a000001U)},
		.local = {0, 0, MATCH_BE32(0xffffU), MATCH_BE32(0x0a000002U)},
		.inode = 1,
	};
}

static void decides(const struct policy *policy, const struct socket_row *row, const char *program,
		    const char *name)
{
	struct selector_owner owner = {(const int[]){1}, &program, 1, NULL, NULL, 0};
	const struct policy_rule *rule = policy_existing(policy, row, &owner);

	if (!name)
		assert_null(rule);
	else
		assert_string_equal(rule ? rule->name : "none", name);
}

static void the_first_rule_that_matches_decides(void **state)
{
	const struct policy *policy = *state;
	struct socket_row row = connection(1);

	decides(policy, &row, "psql", NULL);
	row.peer_port = 2;
	decides(policy, &row, "psql", "psql");
	decides(policy, &row, "nginx", "force");
	row.peer_port = 3;
	decides(policy, &row, "nginx", NULL);
	row.direction = ROW_DIRECTION_IN;
	decides(policy, &row, "nginx", "in");
}

static void mode_default_leaves_what_is_on_or_unknown(void **state)
{
	const struct policy *policy = *state;
	struct socket_row row = connection(2);

	row.flags = ROW_KEEPALIVE;
	decides(policy, &row, "psql", NULL);
	decides(policy, &row, "nginx", "force");
	row.flags = 0;
	row.known = 0;
	decides(policy, &row, "psql", NULL);
	decides(policy, &row, "nginx", "force");
}

static void what_is_no_connection_is_left(void **state)
{
	static const __u8 states[] = {TCP_LISTEN, TCP_CLOSE, TCP_TIME_WAIT};
	struct socket_row row = connection(2);

	for (size_t i = 0; i < sizeof(states); i++) {
		row.state = states[i];
		decides(*state, &row, "psql", NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_rule_that_matches_decides, read_policy,
						free_policy),
		cmocka_unit_test_setup_teardown(mode_default_leaves_what_is_on_or_unknown,
						read_policy, free_policy),
		cmocka_unit_test_setup_teardown(what_is_no_connection_is_left, read_policy,
						free_policy),
	};

	return run_unit_tests("policy-existing", tests);
}
