/* SPDX-License-Identifier: MIT */
/*
 * The timeline model against the running kernel: all scenarios at once, each in namespaces of its
 * own, in one process with one loop. What is judged are the kernel's own stamps, so that being late
 * fails nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "model.h"

#define LOOK_MS   10   /* how finely a death without a segment is known */
#define MARGIN_MS 1000 /* after the last that is predicted: to see that nothing follows */
#define AFTER_MS  300  /* after the end, for the same */
#define EVENTS    512  /* more than there are descriptors: one round sees them all */

struct run {
	struct stage *stages;
	int epoll;
	struct ticks ticks;
	uint64_t round_ns; /* when the round before this one began to wait */
	size_t unfinished;
	unsigned number, failed, skipped;
	size_t compared, exact;
	unsigned deviation;    /* the largest, in ticks */
	unsigned histogram[3]; /* 0, 1, more ticks off */
};

/* What epoll's data carries: the scenario, and which of its descriptors. */
enum watched { WATCHED_CAPTURE, WATCHED_SUBJECT };

static int watch(struct run *run, size_t i, enum watched which, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = i << 1 | which};

	return epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* ------------------------------------------------------------------------------------ results */

static void finish(struct run *run, struct stage *stage)
{
	const char *name = stage->scenario->name;
	struct verdict verdict = {0};

	stage->over = true;
	run->unfinished--;
	run->number++;
	if (stage->skip[0]) {
		run->skipped++;
		printf("ok %u - %s # SKIP %s\n", run->number, name, stage->skip);
	} else {
		if (stage->trouble[0])
			snprintf(verdict.why, sizeof(verdict.why), "%s", stage->trouble);
		else
			judge(stage, &run->ticks, monotonic_ns(), &verdict);
		printf("%s %u - %s\n", verdict.agrees ? "ok" : "not ok", run->number, name);
		if (!verdict.agrees)
			printf("# %s\n", verdict.why);
		run->failed += !verdict.agrees;
		run->compared += verdict.compared;
		run->exact += verdict.exact;
		if (verdict.exact) {
			run->deviation = MAX(run->deviation, verdict.deviation);
			run->histogram[MIN(verdict.deviation, 2U)]++;
		}
	}
	fflush(stdout);
	stage_tear_down(stage);
}

/* ----------------------------------------------------------------------------------- progress */

static void start(struct run *run, size_t i)
{
	struct stage *stage = &run->stages[i];
	uint64_t latest_us;
	int r;

	r = stage_start(stage);
	if (r == 0)
		r = watch(run, i, WATCHED_CAPTURE, stage->capture, EPOLLIN);
	/* EPOLLERR alone, which needs no asking. */
	if (r == 0 && stage->subject >= 0)
		r = watch(run, i, WATCHED_SUBJECT, stage->subject, 0);
	if (r < 0) {
		finish(run, stage);
		return;
	}
	latest_us = stage->scenario->ends == TCPKEEP_EVENT_END ? stage->scenario->watch_ms * 1000ULL
							       : judge_latest_us(stage);
	if (latest_us == TCPKEEP_NEVER) {
		snprintf(stage->trouble, sizeof(stage->trouble), "the model sees no end");
		finish(run, stage);
		return;
	}
	stage->deadline_ns = stage->start_hi_ns + latest_us * NS_PER_US;
	if (stage->scenario->ends != TCPKEEP_EVENT_END)
		stage->deadline_ns += MARGIN_MS * NS_PER_MS;
}

/* An error on the socket: when, and which. */
static void note_death(struct run *run, struct stage *stage, uint64_t now_ns)
{
	socklen_t len = sizeof(stage->error);

	stage->dead = true;
	stage->death_lo_ns = run->round_ns;
	stage->death_hi_ns = now_ns;
	getsockopt(stage->subject, SOL_SOCKET, SO_ERROR, &stage->error, &len);
	epoll_ctl(run->epoll, EPOLL_CTL_DEL, stage->subject, NULL);
}

static void handle(struct run *run, const struct epoll_event *event, uint64_t now_ns)
{
	struct stage *stage = &run->stages[event->data.u64 >> 1];

	if (stage->over)
		return;
	if ((event->data.u64 & 1) == WATCHED_CAPTURE)
		stage_drain(stage);
	else if (!stage->dead)
		note_death(run, stage, now_ns);
}

static void advance(struct run *run, size_t i, uint64_t now_ns)
{
	struct stage *stage = &run->stages[i];

	if (stage->over)
		return;
	if (!stage->started) {
		if (now_ns >= stage->connected_ns + stage->scenario->start_ms * NS_PER_MS)
			start(run, i);
		return;
	}
	if (stage_advance(stage, now_ns) < 0) {
		finish(run, stage);
		return;
	}
	if (stage->subject < 0)
		stage_look_for_orphan(stage);
	if (stage->dead)
		stage->deadline_ns =
			MIN(stage->deadline_ns, stage->death_hi_ns + AFTER_MS * NS_PER_MS);
	if (now_ns < stage->deadline_ns)
		return;
	stage_drain(stage);
	finish(run, stage);
}

static int go_round(struct run *run)
{
	static struct epoll_event events[EVENTS];
	uint64_t before = monotonic_ns(), now;
	int n;

	n = epoll_wait(run->epoll, events, EVENTS, LOOK_MS);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	now = monotonic_ns();
	for (int i = 0; i < n; i++)
		handle(run, &events[i], now);
	for (size_t i = 0; i < n_scenarios; i++)
		advance(run, i, now);
	run->round_ns = before;
	return 0;
}

/* -------------------------------------------------------------------------------------- start */

static int set_up(struct run *run)
{
	struct tcpkeep_kernel kernel;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	run->epoll = epoll_create1(EPOLL_CLOEXEC);
	run->stages = calloc(n_scenarios, sizeof(*run->stages));
	if (run->epoll < 0 || !run->stages || tcpkeep_kernel_read(TCPKEEP_NETNS_OWN, &kernel) < 0)
		return -ENOMEM;
	ticks_measure(kernel.hz, &run->ticks);
	run->round_ns = monotonic_ns();
	run->unfinished = n_scenarios;
	return 0;
}

/* One begins as soon as it is built; the others are looked after meanwhile. */
static int run_all(struct run *run)
{
	int r = 0;

	for (size_t i = 0; i < n_scenarios; i++)
		run->stages[i].over = true;
	for (size_t i = 0; r == 0 && i < n_scenarios; i++) {
		if (stage_build(&run->stages[i], &scenarios[i]) < 0)
			finish(run, &run->stages[i]);
		else
			advance(run, i, monotonic_ns());
		r = go_round(run);
	}
	while (r == 0 && run->unfinished > 0)
		r = go_round(run);
	return r;
}

int main(void)
{
	struct tcpkeep_error error = {0};
	struct run run = {0};
	double tick_ms;
	int r;

	r = lab_enter(&error);
	if (r < 0) {
		printf("1..0 # SKIP %s\n", error.message);
		return EXIT_SUCCESS;
	}
	r = set_up(&run);
	if (r == 0) {
		printf("1..%zu\n", n_scenarios);
		r = run_all(&run);
	}
	if (r < 0) {
		printf("Bail out! %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	tick_ms = (double)run.ticks.length_ns / 1e6;
	printf("# %u scenarios, %u failed, %u skipped; %zu events compared\n", run.number,
	       run.failed, run.skipped, run.compared);
	if (run.ticks.known)
		printf("# to the tick (%.3f ms): %zu scenarios, %u of them 0 off, %u one, %u more; the largest deviation %.3f ms\n",
		       tick_ms, run.exact, run.histogram[0], run.histogram[1], run.histogram[2],
		       run.deviation * tick_ms);
	else
		printf("# to the tick: not known, /proc/timer_list is for root alone\n");
	free(run.stages);
	close(run.epoll);
	return run.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
