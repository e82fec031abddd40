/* SPDX-License-Identifier: MIT */
/* tcpkeep policy remove: what was in force is told by its cgroup, as it goes. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "output/wrap.h"
#include "policy-verbs.h"

struct removed {
	char *cgroup; /* NULL: it was gone before its policy */
	int n_rules;
};

/* What there was. Of those that no memory is left for, the number is known. */
struct list {
	struct removed *all;
	size_t n, room;
};

static void free_list(struct list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->all[i].cgroup);
	free(list->all);
}

static void take(const struct policy_removed *removed, void *userdata)
{
	struct list *list = userdata;
	struct removed *grown = array_grow(list->all, list->n, &list->room, sizeof(*grown));

	if (!grown)
		return;
	list->all = grown;
	grown[list->n++] = (struct removed){
		removed->cgroup ? strdup(removed->cgroup) : NULL,
		removed->n_rules,
	};
}

static void print_one(const struct removed *removed)
{
	char shown[1024] = "", rules[POLICY_COUNT_MAX + 4] = "", count[POLICY_COUNT_MAX];

	if (removed->n_rules >= 0)
		snprintf(rules, sizeof(rules), " (%s)",
			 policy_count((size_t)removed->n_rules, "rule", count));
	if (!removed->cgroup) {
		wrap_print(stdout, 4, "The policy%s for a cgroup that is gone was removed.", rules);
		return;
	}
	if (strcmp(removed->cgroup, "/") == 0) {
		wrap_print(stdout, 4, "The policy%s for every new connection was removed.", rules);
		return;
	}
	escape_text(removed->cgroup, strlen(removed->cgroup), shown, sizeof(shown));
	wrap_print(stdout, 4, "The policy%s for new connections of cgroup %s was removed.", rules,
		   shown);
}

static void write_json(const struct list *list, int n, const char *error)
{
	struct json json;

	json_init(&json, stdout);
	json_begin_object(&json, NULL);
	json_string(&json, "schema", "tcpkeep.policy-remove/1");
	json_int(&json, "removed", n);
	json_begin_array(&json, "policies");
	for (size_t i = 0; i < list->n; i++) {
		json_begin_object(&json, NULL);
		json_string(&json, "cgroup", list->all[i].cgroup);
		if (list->all[i].n_rules >= 0)
			json_int(&json, "rules", list->all[i].n_rules);
		else
			json_null(&json, "rules");
		json_end_object(&json);
	}
	json_end_array(&json);
	json_string(&json, "error", error);
	json_end_object(&json);
}

int policy_verb_remove(const struct policy_call *call)
{
	_cleanup_(free_list) struct list list = {0};
	struct tcpkeep_error error;
	int r;

	r = policy_kernel_remove(call->args->cgroup, call->args->all, take, &list, &error);
	if (call->json)
		write_json(&list, r < 0 ? (int)list.n : r, r < 0 ? error.message : NULL);
	else
		for (size_t i = 0; i < list.n; i++)
			print_one(&list.all[i]);
	if (r < 0)
		return policy_fail_kernel(call, r, &error);
	if (call->json)
		return EXIT_DONE;
	if (r > 0) {
		printf("Open connections keep what they have.\n");
		return EXIT_DONE;
	}
	printf("No policy was in force%s.\n", call->args->all      ? ""
					      : call->args->cgroup ? " for this cgroup"
								   : " for the whole machine");
	policy_list_others(call);
	return EXIT_DONE;
}
