/* SPDX-License-Identifier: MIT */
/* The rules in force as a table: what each gives, whom, and what it has done. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/put.h"
#include "output/colour.h"
#include "output/terminal.h"
#include "output/width.h"
#include "output/wrap.h"
#include "policy-verbs.h"

const struct policy_rule *policy_rule_written(const struct policy_kernel_status *status, size_t i,
					      const struct policy *written)
{
	if (!written || i >= written->n_rules ||
	    strcmp(written->rules[i].name, status->rules[i].name) != 0)
		return NULL;
	return &written->rules[i];
}

#define NAME_SHOWN_MAX (4 * POLICY_NAME_MAX)

/* What is wider than that (12 and more) ends in "...". */
static void clip(char text[NAME_SHOWN_MAX], unsigned width)
{
	size_t at = 0, n;
	uint32_t code;

	if (text_width(text, strlen(text)) <= width)
		return;
	while ((n = utf8_decode(text + at, strlen(text + at), &code)) > 0 &&
	       text_width(text, at + n) <= width - 3)
		at += n;
	strcpy(text + at, "...");
}

/* "on time=60 for peer=:5432": what it gives, and whom. */
static void print_rule_text(const struct policy_kernel_rule *rule,
			    const struct policy_rule *written)
{
	_cleanup_free_ char *selectors = NULL, *text = NULL, *shown = NULL;
	char settings[TCPKEEP_SETTINGS_TEXT_MAX] = "";
	size_t len;

	if (written && policy_selectors_format(written, &selectors) < 0)
		return;
	if (rule->mode != POLICY_LEAVE)
		tcpkeep_settings_format(&rule->settings, settings, sizeof(settings));
	if (asprintf(&text, "%s for %s", *settings ? settings : "nothing",
		     !selectors   ? "connections that cannot be told any more"
		     : *selectors ? selectors
				  : "every connection") < 0) {
		text = NULL;
		return;
	}
	len = strlen(text);
	shown = malloc(4 * len + 8);
	if (!shown)
		return;
	printf("%s", colour(COLOUR_DIM));
	wrap_list(stdout, 4, escape_text(text, len, shown, 4 * len + 8));
	printf("%s", colour(COLOUR_NONE));
}

enum { COUNT_MATCHED, COUNT_SET, COUNT_OWN, COUNT_FAILED, COUNTS };

static const struct {
	const char *heading;
	enum colour shade; /* when it is not 0 */
} counts[COUNTS] = {
	[COUNT_MATCHED] = {"MATCHED", COLOUR_NONE},
	[COUNT_SET] = {"SET", COLOUR_GOOD},
	[COUNT_OWN] = {"OWN", COLOUR_NONE},
	[COUNT_FAILED] = {"FAILED", COLOUR_BAD},
};

static uint64_t count_of(const struct policy_kernel_rule *rule, unsigned which)
{
	const uint64_t all[] = {
		[COUNT_MATCHED] = rule->matched,
		[COUNT_SET] = rule->set,
		[COUNT_OWN] = rule->own,
		[COUNT_FAILED] = rule->failed,
	};

	return all[which];
}

/* With the NUL. */
static void format_count(uint64_t count, char text[2 * PUT_NUMBER_MAX])
{
	*put_grouped(text, count) = '\0';
}

/* How wide the columns are: the names', which is cut, and those of the counts, which are not. */
struct widths {
	unsigned name, counts[COUNTS];
};

#define MODE_WIDTH 7  /* default, enforce */
#define NAME_MIN   12 /* below that a name says nothing */

static void measure(const struct policy_kernel_status *status, unsigned width, struct widths *ret)
{
	char shown[NAME_SHOWN_MAX], number[2 * PUT_NUMBER_MAX];
	unsigned rest = 2 + MODE_WIDTH;

	*ret = (struct widths){.name = (unsigned)strlen("RULE")};
	for (unsigned c = 0; c < COUNTS; c++)
		ret->counts[c] = (unsigned)strlen(counts[c].heading);
	for (size_t i = 0; i < status->n_rules; i++) {
		const char *name = status->rules[i].name;

		escape_text(name, strlen(name), shown, sizeof(shown));
		ret->name = MAX(ret->name, text_width(shown, strlen(shown)));
		for (unsigned c = 0; c < COUNTS; c++) {
			format_count(count_of(&status->rules[i], c), number);
			ret->counts[c] = MAX(ret->counts[c], (unsigned)strlen(number));
		}
	}
	for (unsigned c = 0; c < COUNTS; c++)
		rest += 2 + ret->counts[c];
	if (width && ret->name + rest > width)
		ret->name = width > rest + NAME_MIN ? width - rest : NAME_MIN;
}

static void print_row(const char *name, const char *mode, const struct policy_kernel_rule *rule,
		      const struct widths *widths)
{
	char number[2 * PUT_NUMBER_MAX];

	printf("%s%*s  %-*s", name, (int)(widths->name - text_width(name, strlen(name))), "",
	       MODE_WIDTH, mode);
	for (unsigned c = 0; c < COUNTS; c++) {
		bool shade = rule && count_of(rule, c) && counts[c].shade;

		if (rule)
			format_count(count_of(rule, c), number);
		printf("  %s%*s%s", shade ? colour(counts[c].shade) : "", (int)widths->counts[c],
		       rule ? number : counts[c].heading, shade ? colour(COLOUR_NONE) : "");
	}
	printf("\n");
}

/* A redis-server gives what it accepts values of its own, and is counted all the same. */
static void print_legend(const struct policy_kernel_status *status)
{
	bool has_set = false;

	for (size_t i = 0; i < status->n_rules; i++)
		has_set |= status->rules[i].mode == POLICY_DEFAULT && status->rules[i].set > 0;
	if (has_set)
		wrap_print(
			stdout, 4,
			"%sSET: given when the connection was made; in mode default the program may have "
			"changed it since: 'tcpkeep list' shows what holds.%s",
			colour(COLOUR_DIM), colour(COLOUR_NONE));
}

/* Two lines for each: the second one, of any length, is wrapped, so that the first fits 80 columns
 * whatever the rule is. */
void policy_rules_print(const struct policy_kernel_status *status, const struct policy *written)
{
	unsigned width = terminal_width(STDOUT_FILENO);
	char shown[NAME_SHOWN_MAX];
	struct widths widths;

	measure(status, width, &widths);
	if (status->n_rules > 0)
		print_row("RULE", "MODE", NULL, &widths);
	for (size_t i = 0; i < status->n_rules; i++) {
		const struct policy_kernel_rule *rule = &status->rules[i];

		clip(escape_text(rule->name, strlen(rule->name), shown, sizeof(shown)),
		     widths.name);
		print_row(shown, policy_mode_name(rule->mode), rule, &widths);
		print_rule_text(rule, policy_rule_written(status, i, written));
	}
	print_legend(status);
}
