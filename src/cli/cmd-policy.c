/* SPDX-License-Identifier: MIT */
/* tcpkeep policy: rules that the kernel applies to new connections. */
#include <string.h>

#include "base/escape.h"
#include "base/macro.h"
#include "base/nearest.h"
#include "output/wrap.h"
#include "policy-verbs.h"

static const struct option options[] = {
	{"cgroup", "PATH", "the policy of one cgroup and all beneath it, not the whole machine's",
	 OPTION_TEXT, offsetof(struct policy_args, cgroup), COMPLETES_FILES},
	{"all", NULL, "remove: the policies of every cgroup", OPTION_FLAG,
	 offsetof(struct policy_args, all), COMPLETES_NOTHING},
	{"existing", NULL, "apply: also for the connections that are open, as tcpkeep set",
	 OPTION_FLAG, offsetof(struct policy_args, existing), COMPLETES_NOTHING},
	{"force", NULL, "apply --existing: also what would end connections", OPTION_FLAG,
	 offsetof(struct policy_args, force), COMPLETES_NOTHING},
	{"dry-run", NULL, "apply: show what would change, and change nothing", OPTION_FLAG,
	 offsetof(struct policy_args, dry_run), COMPLETES_NOTHING},
};

static const struct verb {
	const char *name;
	int (*run)(const struct policy_call *call);
	bool takes_file, takes_cgroup, takes_all, applies;
} verbs[] = {
	{"check", policy_verb_check, true, false, false, false},
	{"apply", policy_verb_apply, true, true, false, true},
	{"status", policy_verb_status, true, true, false, false},
	{"remove", policy_verb_remove, false, true, true, false},
};

/* What works without a privilege or feature stands in the kernel side's own words. */
int policy_fail_kernel(const struct policy_call *call, int r, const struct tcpkeep_error *error)
{
	say_error("policy %s: %s", call->verb, error->message);
	return exit_status_of(r);
}

const char *policy_count(size_t n, const char *what, char buf[POLICY_COUNT_MAX])
{
	snprintf(buf, POLICY_COUNT_MAX, "%zu %s%s", n, what, n == 1 ? "" : "s");
	return buf;
}

static int list_one(const struct policy_kernel_status *status, void *userdata)
{
	const struct policy_call *call = userdata;
	char shown[1024];

	if (!status->cgroup) {
		wrap_print(stdout, 4,
			   "There is one of a cgroup that was removed: 'tcpkeep policy %s%s'.",
			   call->verb, strcmp(call->verb, "remove") == 0 ? " --all" : "");
		return 0;
	}
	escape_text(status->cgroup, strlen(status->cgroup), shown, sizeof(shown));
	wrap_print(stdout, 4, "There is one of cgroup %s: 'tcpkeep policy %s --cgroup %s'.", shown,
		   call->verb, shown);
	return 0;
}

void policy_list_others(const struct policy_call *call)
{
	policy_kernel_status(NULL, list_one, (void *)call, NULL);
}

/* ------------------------------------------------------------------------------------ usage */

static const struct verb *find_verb(const struct invocation *invocation)
{
	const char *names[ARRAY_SIZE(verbs)], *word, *hint;
	char shown[64];

	if (invocation->n_operands == 0) {
		say_error("policy: say what to do: check, apply, status or remove");
		return NULL;
	}
	word = invocation->operands[0];
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		names[i] = verbs[i].name;
		if (strcmp(word, verbs[i].name) == 0)
			return &verbs[i];
	}
	hint = nearest(word, strlen(word), names, ARRAY_SIZE(names));
	escape_text(word, strlen(word), shown, sizeof(shown));
	if (hint)
		say_error("policy: '%s' is not known; did you mean '%s'?", shown, hint);
	else
		say_error("policy: '%s' is not known; accepted: check, apply, status, remove",
			  shown);
	return NULL;
}

/* Which option or operand goes with the verb. */
static int check_usage(const struct verb *verb, const struct invocation *invocation)
{
	const struct policy_args *args = invocation->args;
	const struct {
		bool given, taken;
		const char *name, *with;
	} uses[] = {
		{args->cgroup, verb->takes_cgroup, "--cgroup", "apply, status and remove"},
		{args->all, verb->takes_all, "--all", "remove"},
		{args->dry_run, verb->applies, "--dry-run", "apply"},
		{args->existing, verb->applies, "--existing", "apply"},
		{args->force, verb->applies, "--force", "apply --existing"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(uses); i++)
		if (uses[i].given && !uses[i].taken) {
			say_error("policy %s: takes no %s, which goes with %s", verb->name,
				  uses[i].name, uses[i].with);
			return EXIT_USAGE;
		}
	if (args->force && !args->existing) {
		say_error("policy apply: --force goes with --existing; the rules need none");
		return EXIT_USAGE;
	}
	if (args->all && args->cgroup) {
		say_error("policy remove: --cgroup and --all exclude each other; give one");
		return EXIT_USAGE;
	}
	if (invocation->n_operands > (verb->takes_file ? 2 : 1)) {
		say_error("policy %s: takes %s; leave the rest out", verb->name,
			  verb->takes_file ? "one file" : "no file");
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}

static int run(const struct invocation *invocation)
{
	const struct verb *verb = find_verb(invocation);
	struct policy_call call;
	int status;

	if (!verb)
		return EXIT_USAGE;
	status = check_usage(verb, invocation);
	if (status != EXIT_DONE)
		return status;
	call = (struct policy_call){
		.verb = verb->name,
		.args = invocation->args,
		.file = invocation->n_operands > 1 ? invocation->operands[1] : NULL,
		.json = invocation->json,
	};
	return verb->run(&call);
}

const struct command command_policy = {
	.name = "policy",
	.summary = "rules for new connections, applied by the kernel",
	.synopsis = "check|apply|status [FILE] [OPTION...], or: remove [OPTION...]",
	.about =
		"Gives keepalive to connections as they are made, of every program, by the rules of a file:\n"
		"  rule \"database\" { peer = \":5432\" time = 60 intvl = 10 probes = 6 }\n"
		"\n"
		"  check   tells every error of the file, and what is surely not meant in it\n"
		"  apply   puts its rules in force, in place of those before; they hold without\n"
		"          tcpkeep, for programs that run and those to come, until remove or the\n"
		"          next boot\n"
		"  status  shows the rules in force, what each matches and has done, and whether\n"
		"          the file says the same\n"
		"  remove  takes them away\n"
		"\n"
		"FILE is " POLICY_FILE
		" unless one is named; - is standard input (check and apply).\n"
		"man 5 tcpkeep-policy.conf has its language. The unit tcpkeep-policy.service applies it at\n"
		"boot.",
	.examples =
		"  tcpkeep policy check my.conf                      what is wrong with it?\n"
		"  tcpkeep policy apply --dry-run                    what would change\n"
		"  tcpkeep policy apply                              for every new connection\n"
		"  tcpkeep policy apply --existing                   and for those that are open\n"
		"  tcpkeep policy apply my.conf --cgroup /test.slice for one part of the machine\n"
		"  tcpkeep policy status                             what is in force?",
	.options = options,
	.n_options = sizeof(options) / sizeof(options[0]),
	.args_size = sizeof(struct policy_args),
	.operands = COMPLETES_FILES,
	.verbs = "check apply status remove",
	.has_json = true,
	.json_help = "one JSON object; status: one for each policy",
	.run = run,
};
