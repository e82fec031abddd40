/* SPDX-License-Identifier: MIT */
/* For the tests of policies: a text, and what is said of it. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/policy.h"
#include "unit.h"

/* Remarks as lines: "12: message", "12: warning: message". */
struct told {
	char text[65536];
	size_t len;
};

static inline void tell(const struct policy_remark *remark, void *userdata)
{
	struct told *told = userdata;
	const char *name = strrchr(remark->path, '/');

	told->len += (size_t)snprintf(told->text + told->len, sizeof(told->text) - told->len,
				      "%s%s%u: %s%s\n", name ? name + 1 : "", name ? ":" : "",
				      remark->line,
				      remark->is_error ? "" : "warning: ", remark->message);
	assert_true(told->len < sizeof(told->text));
}

static inline int read_text(const char *text, struct told *told, struct policy *ret)
{
	told->len = 0;
	told->text[0] = '\0';
	return policy_read_text("text", text, strlen(text), tell, told, ret);
}

/* The text must be refused with these remarks, all of them and in this order. */
static inline void refused(const char *text, const char *remarks)
{
	struct policy policy;
	struct told told;

	assert_int_equal(read_text(text, &told, &policy), -EINVAL);
	assert_string_equal(told.text, remarks);
}

/* The text must be read with these warnings (NULL: whatever this machine does not have), and come
 * out in this form, which reads as the same. */
static inline void read_as(const char *text, const char *warnings, const char *form)
{
	_cleanup_free_ char *once = NULL, *twice = NULL;
	struct policy policy, again;
	struct told told;

	if (read_text(text, &told, &policy) < 0)
		fail_msg("%s", told.text);
	if (warnings)
		assert_string_equal(told.text, warnings);
	assert_int_equal(policy_format(&policy, &once), 0);
	if (form)
		assert_string_equal(once, form);
	assert_int_equal(read_text(once, &told, &again), 0);
	assert_int_equal(policy_format(&again, &twice), 0);
	assert_string_equal(once, twice);
	policy_free(&policy);
	policy_free(&again);
}
