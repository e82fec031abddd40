/* SPDX-License-Identifier: MIT */
/* tcpkeep set --undo: the sockets of a change get back what they had; --history tells the changes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/macro.h"
#include "base/number.h"
#include "base/put.h"
#include "keepalive/error.h"
#include "output/rows.h"
#include "output/terminal.h"
#include "set-job.h"

/* An entry that is being undone. */
struct undo {
	int dir;
	uint64_t id;
	struct journal_head head;
	struct change_set set; /* ordered by cookie */
	size_t later;          /* sockets that later changes have changed again */
	bool *is_later;        /* by item; NULL: none */
};

static int fail(const struct tcpkeep_error *error, int r)
{
	say_error("set: %s", error->message);
	return exit_status_of(r);
}

static bool is_this_boot(const struct journal_head *head)
{
	uint8_t boot[JOURNAL_BOOT_MAX];

	return journal_boot(boot) == 0 && memcmp(boot, head->boot, sizeof(boot)) == 0;
}

static int open_journal(void)
{
	struct tcpkeep_error error;
	char path[4096];
	int dir;

	if (!set_state_dir("set", path, sizeof(path)))
		return -EINVAL;
	dir = journal_open(path, false, &error);
	if (dir < 0 && dir != -ENOENT)
		say_error("set: %s", error.message);
	return dir;
}

/* ------------------------------------------------------------------------------------- the entry
 */

/* The last one that has something to give back. */
static int find_last(struct undo *undo)
{
	_cleanup_free_ uint64_t *ids = NULL;
	struct tcpkeep_error error;
	size_t n;
	int r;

	r = journal_list(undo->dir, &ids, &n);
	if (r < 0)
		return r;
	while (n-- > 0) {
		struct journal_head head;

		if (journal_read(undo->dir, ids[n], &head, NULL, &error) < 0) {
			say_warning("set: %s", error.message);
			continue;
		}
		if (head.state == JOURNAL_UNDONE || !is_this_boot(&head))
			continue;
		undo->id = ids[n];
		return 0;
	}
	return -ENOENT;
}

static void put_when(const struct journal_head *head, char *buf, size_t size)
{
	time_t at = (time_t)head->at_s;
	struct tm tm;

	if (!localtime_r(&at, &tm) || strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(buf, size, "?");
}

/* Which change it is: whoever gives no number has the last one in mind, and it may be another. */
static void say_which(const struct set_job *job, const struct undo *undo)
{
	char words[800], when[32]; /* a line of say_error() takes them */

	put_when(&undo->head, when, sizeof(when));
	escape_text(undo->head.words, strlen(undo->head.words), words, sizeof(words));
	say_error("set: %s change %llu of %s: tcpkeep %s",
		  job->args->dry_run ? "would undo" : "undoing", (unsigned long long)undo->id, when,
		  words);
	if (undo->head.state == JOURNAL_UNDONE)
		say_error("set: note: change %llu has been undone already",
			  (unsigned long long)undo->id);
}

static int fail_nothing(void)
{
	say_error("set: --undo: nothing to undo since the machine started; 'tcpkeep set --history' "
		  "tells the changes");
	return EXIT_FAILED;
}

static int find_entry(struct undo *undo, const char *number)
{
	struct tcpkeep_error error;
	char shown[32];
	int64_t id;
	int r;

	if (number && number_parse(number, strlen(number), 1, INT64_MAX, &id) < 0) {
		say_error("set: --undo: '%s' is no number of a change; 'tcpkeep set --history' "
			  "tells them",
			  escape_text(number, strlen(number), shown, sizeof(shown)));
		return EXIT_USAGE;
	}
	if (number)
		undo->id = (uint64_t)id;
	if (undo->dir < 0)
		return fail_nothing();
	r = number ? 0 : find_last(undo);
	if (r == -ENOENT)
		return fail_nothing();
	if (r < 0)
		return fail(&error, error_set(&error, r, "the journal: %s", strerror(-r)));
	r = journal_read(undo->dir, undo->id, &undo->head, &undo->set, &error);
	if (r < 0)
		return fail(&error, r);
	if (is_this_boot(&undo->head)) {
		return EXIT_DONE;
	}
	say_error("set: --undo: change %llu was before the machine last started: its sockets are "
		  "gone",
		  (unsigned long long)undo->id);
	return EXIT_FAILED;
}

/* ------------------------------------------------------------------------------------ the planning
 */

static int compare_cookie(const void *key, const void *member)
{
	uint64_t cookie = *(const uint64_t *)key;
	const struct change_item *item = member;

	return cookie < item->cookie ? -1 : cookie > item->cookie;
}

/* The own items of the entry, which a walk meets in any order. */
static const struct change_item *find_item(const struct undo *undo, uint64_t cookie)
{
	return bsearch(&cookie, undo->set.items, undo->set.n, sizeof(struct change_item),
		       compare_cookie);
}

static enum change_result plan_undo(struct set_job *job, const struct snapshot_row *row,
				    struct change_kind *ret, enum change_reason *ret_reason)
{
	const struct undo *undo = job->undo;
	const struct change_item *item = NULL;
	const struct change_kind *change;
	enum change_result result;

	if (row->socket.cookie)
		item = find_item(undo, row->socket.cookie);
	change = item ? &undo->set.kinds[item->kind] : NULL;
	/* Before 5.8 each namespace counted its own: net/core/sock_diag.c, sock_gen_cookie(). */
	if (change && change->netns != row->netns->inode)
		change = NULL;
	*ret_reason = CHANGE_REASON_NONE;
	/* Not one of the change's: it is passed over. */
	if (!change)
		return CHANGE_SKIPPED;
	result = change_plan_undo(row, change, undo->head.state == JOURNAL_BEGUN, ret, ret_reason);
	/* A later change may have given it the same again: that is the later one's to give back. */
	if (result == CHANGE_DONE && undo->is_later && undo->is_later[item - undo->set.items]) {
		*ret_reason = CHANGE_REASON_SINCE;
		return CHANGE_REFUSED;
	}
	return result;
}

static uint64_t own_netns(void)
{
	struct stat st;

	return stat("/proc/thread-self/ns/net", &st) == 0 ? st.st_ino : 0;
}

static bool is_elsewhere(const struct change_set *set, uint64_t own)
{
	for (size_t i = 0; i < set->n_kinds; i++)
		if (set->kinds[i].netns != own)
			return true;
	return false;
}

/* ------------------------------------------------------------------------------------------ undo
 */

static int write_state(struct undo *undo, enum journal_state state, struct tcpkeep_error *ret_error)
{
	struct journal_head head = undo->head;

	head.state = state;
	return journal_replace(undo->dir, undo->id, &head, &undo->set, NULL, ret_error);
}

/* Marks the sockets to which a later change has given values of the same settings; how many. */
static size_t mark_common(struct undo *undo, const struct change_set *later)
{
	size_t n = 0;

	for (size_t i = 0; i < later->n; i++) {
		const struct change_kind *kind = &later->kinds[later->items[i].kind];
		const struct change_item *item = find_item(undo, later->items[i].cookie);
		const struct change_kind *own = item ? &undo->set.kinds[item->kind] : NULL;

		if (!own || own->netns != kind->netns ||
		    !(own->wanted.fields & kind->wanted.fields))
			continue;
		undo->is_later[item - undo->set.items] = true;
		n++;
	}
	return n;
}

static bool lacks_resources(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

/*
 * What a later change has changed again is left alone: the later one has to be undone before.
 * Nothing is said of entries that cannot be read: the history does.
 */
static int look_for_later(struct undo *undo)
{
	_cleanup_free_ uint64_t *ids = NULL;
	size_t n = 0;
	int r;

	undo->is_later = calloc(undo->set.n + 1, sizeof(*undo->is_later));
	if (!undo->is_later)
		return -ENOMEM;
	r = journal_list(undo->dir, &ids, &n);
	for (; r == 0 && n > 0 && ids[n - 1] > undo->id; n--) {
		struct change_set set = {0};
		struct journal_head head;
		size_t common = 0;

		r = journal_read(undo->dir, ids[n - 1], &head, &set, NULL);
		if (lacks_resources(r))
			return r;
		if (r < 0) {
			r = 0;
			continue;
		}
		if (head.state != JOURNAL_UNDONE && is_this_boot(&head))
			common = mark_common(undo, &set);
		change_set_clear(&set);
		undo->later += common;
		if (common > 0)
			say_warning("set: --undo: change %llu has changed %zu of these sockets "
				    "again: what it changed is left alone; undo it first: 'tcpkeep "
				    "set --undo %llu'",
				    (unsigned long long)ids[n - 1], common,
				    (unsigned long long)ids[n - 1]);
	}
	return r;
}

/* A kill in the midst of it must be known to whoever tries again. */
static void mark_begun(const struct set_job *job, struct undo *undo)
{
	if (!job->args->dry_run && undo->head.state != JOURNAL_BEGUN)
		write_state(undo, JOURNAL_BEGUN, NULL);
}

/* Undone, with nothing left that a second undo could do; as it was before, otherwise. */
static void mark_ended(const struct set_job *job, struct undo *undo)
{
	bool hidden = job->report.netns_hidden > 0 && job->counts[CHANGE_VANISHED] > 0;
	bool waits = undo->later > 0 && job->counts[CHANGE_REFUSED] > 0;
	bool undone = job->finished && job->retry == 0 && !hidden && !waits;
	struct tcpkeep_error error;

	if (job->args->dry_run || (!undone && undo->head.state == JOURNAL_BEGUN))
		return;
	if (write_state(undo, undone ? JOURNAL_UNDONE : undo->head.state, &error) < 0)
		say_warning("set: %s", error.message);
}

static int run_undo(struct set_job *job, struct undo *undo, const struct invocation *invocation)
{
	int status, r;

	/* The last entry may be that of a change which is still being made. */
	status = undo->dir < 0 ? EXIT_DONE : set_lock_take(job);
	if (status != EXIT_DONE)
		return status;
	status = find_entry(undo, invocation->n_operands ? invocation->operands[0] : NULL);
	if (status != EXIT_DONE)
		return status;
	say_which(job, undo);
	job->undo = undo;
	job->plan = plan_undo;
	job->expected = undo->set.n;
	r = look_for_later(undo);
	if (r < 0)
		return set_job_fail(job, &(struct tcpkeep_error){.message = ""}, r);
	job->all_netns = is_elsewhere(&undo->set, own_netns());
	mark_begun(job, undo);
	status = set_job_run(job);
	mark_ended(job, undo);
	return status;
}

int set_undo(struct set_job *job, const struct invocation *invocation)
{
	struct undo undo = {.dir = open_journal()};
	int status;

	if (undo.dir < 0 && undo.dir != -ENOENT)
		return EXIT_FAILED;
	status = run_undo(job, &undo, invocation);
	free(undo.is_later);
	change_set_clear(&undo.set);
	cleanup_close(&undo.dir);
	return status;
}

void set_undo_json(const struct set_job *job, struct json *json)
{
	const struct undo *undo = job->undo;

	if (!undo) {
		json_null(json, "undone");
		return;
	}
	json_begin_object(json, "undone");
	json_uint(json, "id", undo->id);
	json_uint(json, "at_s", undo->head.at_s);
	json_string(json, "words", undo->head.words);
	json_end_object(json);
}

/* --------------------------------------------------------------------------------------- history
 */

static const char *state_of(const struct journal_head *head)
{
	if (!is_this_boot(head))
		return "before the last start";
	switch (head->state) {
	case JOURNAL_CUT:
		return "ended early";
	case JOURNAL_BEGUN:
		return "begun";
	case JOURNAL_ENDED:
		return "done";
	case JOURNAL_UNDONE:
		return "undone";
	}
	return "unknown";
}

/* An entry as it is shown. */
struct told {
	uint64_t id;
	struct journal_head head;
	char number[24], when[32], sockets[64];
	const char *state;
};

static void write_cell(struct rows *rows, const char *text)
{
	rows_cell(rows, text, strlen(text), NULL);
}

static void fill_told(struct told *told)
{
	char *at;

	snprintf(told->number, sizeof(told->number), "%llu", (unsigned long long)told->id);
	put_when(&told->head, told->when, sizeof(told->when));
	at = put_grouped(told->sockets, told->head.sockets);
	if (told->head.state == JOURNAL_CUT)
		at = put_grouped(put_text(at, " of "), told->head.planned);
	*at = '\0';
	told->state = state_of(&told->head);
}

static void print_told(struct rows *rows, struct told *told, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *words = told[i].head.words;
		char shown[JOURNAL_WORDS_MAX];

		fill_told(&told[i]);
		write_cell(rows, told[i].number);
		write_cell(rows, told[i].when);
		write_cell(rows, told[i].sockets);
		write_cell(rows, told[i].state);
		write_cell(rows, escape_text(words, strlen(words), shown, sizeof(shown)));
	}
}

static const char *json_state_of(const struct journal_head *head)
{
	if (!is_this_boot(head))
		return "gone";
	return head->state == JOURNAL_CUT ? "ended-early" : state_of(head);
}

static void json_entry(struct json *json, uint64_t id, const struct journal_head *head)
{
	json_begin_object(json, NULL);
	json_string(json, "schema", "tcpkeep.set-history/1");
	json_uint(json, "id", id);
	json_uint(json, "at_s", head->at_s);
	json_uint(json, "sockets", head->sockets);
	json_string(json, "state", json_state_of(head));
	if (head->state == JOURNAL_CUT)
		json_uint(json, "planned", head->planned);
	else
		json_null(json, "planned");
	json_string(json, "words", head->words);
	json_end_object(json);
}

/* *ret_status: not all of them could be read. 0 or -errno. */
static int read_entries(int dir, struct told **ret, size_t *ret_n, int *ret_status)
{
	_cleanup_free_ uint64_t *ids = NULL;
	_cleanup_free_ struct told *told = NULL;
	size_t n_ids, n = 0;
	int r;

	r = journal_list(dir, &ids, &n_ids);
	if (r < 0)
		return r;
	told = calloc(n_ids + 1, sizeof(*told));
	if (!told)
		return -ENOMEM;
	*ret_status = EXIT_DONE;
	for (size_t i = 0; i < n_ids; i++) {
		struct tcpkeep_error error;

		told[n].id = ids[i];
		if (journal_read(dir, ids[i], &told[n].head, NULL, &error) == 0) {
			n++;
			continue;
		}
		say_error("set: %s", error.message);
		*ret_status = EXIT_PARTLY;
	}
	*ret = steal_pointer(&told);
	*ret_n = n;
	return 0;
}

/* Where it was looked for: root has another journal than whoever became root. */
static int tell_none(void)
{
	char path[4096];

	if (!set_state_dir("set", path, sizeof(path)))
		return EXIT_FAILED;
	printf("0 changes in %s/" JOURNAL_FOLDER "\n", path);
	return EXIT_DONE;
}

#define WHEN_SHORT (sizeof("2026-01-01 00:00") - 1)

static size_t shorten_when(char *text, size_t len, unsigned width)
{
	(void)text, (void)width;
	return MIN(len, WHEN_SHORT);
}

/* The words may be long, and a change is to be a line of a terminal. */
static int print_entries(struct told *told, size_t n)
{
	static const struct rows_column columns[] = {
		{"ID", .right = true},
		{"WHEN", .turn = 2, .least = WHEN_SHORT, .shorten = shorten_when},
		{"SOCKETS", .right = true},
		{"STATE"},
		{"WHAT", .turn = 1, .least = 12},
	};
	struct rows *rows;

	if (rows_open(stdout, columns, ARRAY_SIZE(columns), NULL, &rows) < 0)
		return -ENOMEM;
	if (rows_fit(rows, terminal_width(STDOUT_FILENO)) < 0) {
		rows_close(rows);
		return -ENOMEM;
	}
	print_told(rows, told, n);
	rows_close(rows);
	return 0;
}

int set_history(struct json *json)
{
	_cleanup_close_ int dir = open_journal();
	_cleanup_free_ struct told *told = NULL;
	int status = EXIT_DONE, r = 0;
	size_t n = 0;

	if (dir < 0 && dir != -ENOENT)
		return EXIT_FAILED;
	if (dir >= 0)
		r = read_entries(dir, &told, &n, &status);
	for (size_t i = 0; json && i < n; i++)
		json_entry(json, told[i].id, &told[i].head);
	if (r == 0 && !json && n > 0)
		r = print_entries(told, n);
	if (r < 0) {
		say_error("set: the journal cannot be read: %s", strerror(-r));
		return EXIT_FAILED;
	}
	return n == 0 && status == EXIT_DONE && !json ? tell_none() : status;
}
