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

/* As a program left it: values of its own, or the sysctl's. */
static struct snapshot_row snapshot_of(struct socket_row row, int time_s,
				       enum tcpkeep_origin origin)
{
	static const struct snapshot_netns netns = {.inode = 1};

	row.known |= ROW_KNOWN_SETTINGS;
	row.cookie = 1;
	return (struct snapshot_row){
		.socket = row,
		.netns = &netns,
		.effective =
			{
				.settings =
					{
						.fields = TCPKEEP_ON | TCPKEEP_THREE |
							  TCPKEEP_USER_TIMEOUT,
						.on = row.flags & ROW_KEEPALIVE,
						.time_s = time_s,
						.intvl_s = 75,
						.probes = 9,
					},
				.time_origin = origin,
				.intvl_origin = TCPKEEP_ORIGIN_SYSCTL,
				.probes_origin = TCPKEEP_ORIGIN_SYSCTL,
			},
	};
}

static void given(const struct policy *policy, const struct snapshot_row *row, const char *program,
		  uint32_t fields, bool keeps)
{
	struct selector_owner owner = {(const int[]){1}, &program, 1, NULL, NULL, 0};
	const struct policy_rule *rule = policy_existing(policy, &row->socket, &owner);
	struct tcpkeep_settings settings;

	assert_non_null(rule);
	assert_int_equal(policy_existing_settings(rule, row, &settings), fields != 0);
	assert_int_equal(settings.fields, fields);
	assert_int_equal(policy_existing_keeps(rule, row), keeps);
}

static void mode_default_leaves_what_is_on_or_unknown(void **state)
{
	const struct policy *policy = *state;
	struct socket_row row = connection(2);
	struct snapshot_row snapshot;

	row.flags = ROW_KEEPALIVE;
	snapshot = snapshot_of(row, 7200, TCPKEEP_ORIGIN_SYSCTL);
	given(policy, &snapshot, "psql", 0, true);
	given(policy, &snapshot, "nginx", TCPKEEP_ON | TCPKEEP_TIME, false);
	/* As the rule has it. */
	snapshot = snapshot_of(row, 60, TCPKEEP_ORIGIN_SOCKET);
	given(policy, &snapshot, "psql", 0, false);
	row.flags = 0;
	snapshot = snapshot_of(row, 7200, TCPKEEP_ORIGIN_SYSCTL);
	snapshot.socket.known = 0;
	given(policy, &snapshot, "psql", 0, false);
	given(policy, &snapshot, "nginx", TCPKEEP_ON | TCPKEEP_TIME, false);
}

static void mode_default_leaves_values_of_their_own(void **state)
{
	const struct policy *policy = *state;
	struct snapshot_row snapshot = snapshot_of(connection(2), 7200, TCPKEEP_ORIGIN_SYSCTL);

	given(policy, &snapshot, "psql", TCPKEEP_ON | TCPKEEP_TIME, false);
	snapshot = snapshot_of(connection(2), 7200, TCPKEEP_ORIGIN_SOCKET);
	given(policy, &snapshot, "psql", TCPKEEP_ON, true);
	given(policy, &snapshot, "nginx", TCPKEEP_ON | TCPKEEP_TIME, false);
	snapshot = snapshot_of(connection(2), 60, TCPKEEP_ORIGIN_SOCKET);
	given(policy, &snapshot, "psql", TCPKEEP_ON, false);
	/* What nobody asks for is nobody's business. */
	snapshot.effective.settings.user_timeout_ms = 9000;
	given(policy, &snapshot, "psql", TCPKEEP_ON, false);
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
		cmocka_unit_test_setup_teardown(mode_default_leaves_values_of_their_own,
						read_policy, free_policy),
		cmocka_unit_test_setup_teardown(what_is_no_connection_is_left, read_policy,
						free_policy),
	};

	return run_unit_tests("policy-existing", tests);
}
