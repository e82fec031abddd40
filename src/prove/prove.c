/* SPDX-License-Identifier: MIT */
/* The four networks, side by side in one loop. */
#include "prove.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/macro.h"
#include "judge.h"
#include "lab/lab.h"
#include "trial.h"

#define N_TRIALS           (PROVE_SCENARIOS * PROVE_WAYS)
#define PROGRESS_PERIOD_NS 100000000ULL

struct experiment {
	const struct prove_plan *plan;
	struct trial trials[N_TRIALS];
	unsigned n_trials; /* prepared, to be closed */
	int stop;
	uint64_t started_ns, progress_ns;
	void (*progress)(const struct prove_progress *progress, void *userdata);
	void *userdata;
};

static void experiment_close(struct experiment *experiment)
{
	for (unsigned i = 0; i < experiment->n_trials; i++)
		trial_close(&experiment->trials[i]);
	experiment->n_trials = 0;
}

static bool stop_asked(const struct experiment *experiment)
{
	struct pollfd poll_stop = {.fd = experiment->stop, .events = POLLIN};

	return poll(&poll_stop, 1, 0) > 0;
}

/* -ECANCELED: asked to stop. */
static int prepare(struct experiment *experiment, struct tcpkeep_error *error)
{
	for (int scenario = 0; scenario < PROVE_SCENARIOS; scenario++)
		for (int way = 0; way < PROVE_WAYS; way++) {
			struct trial *trial = &experiment->trials[experiment->n_trials++];
			int r;

			r = trial_prepare(trial, experiment->plan, (enum prove_scenario)scenario,
					  (enum prove_way)way, error);
			if (r < 0)
				return r;
			if (stop_asked(experiment))
				return -ECANCELED;
		}
	return 0;
}

static int start(struct experiment *experiment, struct tcpkeep_error *error)
{
	for (unsigned i = 0; i < N_TRIALS; i++) {
		int r = trial_start(&experiment->trials[i], trial_now_ns(), error);

		if (r < 0)
			return r;
	}
	return 0;
}

static void tell_progress(struct experiment *experiment, uint64_t now_ns)
{
	struct prove_progress progress = {
		.elapsed_us = (now_ns - experiment->started_ns) / 1000,
		.total_us = prove_plan_duration_us(experiment->plan),
	};

	if (!experiment->progress || now_ns < experiment->progress_ns + PROGRESS_PERIOD_NS)
		return;
	experiment->progress_ns = now_ns;
	for (unsigned i = 0; i < N_TRIALS; i++) {
		struct trial *trial = &experiment->trials[i];

		if (!trial->done)
			trial_conclude(trial, now_ns);
		progress.seen[trial->scenario][trial->way] = &trial->seen;
		progress.acted[trial->scenario][trial->way] = trial->acted_ns != 0;
	}
	experiment->progress(&progress, experiment->userdata);
}

static bool all_done(const struct experiment *experiment)
{
	for (unsigned i = 0; i < N_TRIALS; i++)
		if (!experiment->trials[i].done)
			return false;
	return true;
}

/* Waits until something happens or is due. -ECANCELED: asked to stop. */
static int wait_for_events(const struct experiment *experiment, uint64_t now_ns)
{
	struct pollfd polls[1 + N_TRIALS * TRIAL_POLLS_MAX] = {
		{.fd = experiment->stop, .events = POLLIN},
	};
	uint64_t due_ns = UINT64_MAX;
	unsigned n = 1;

	for (unsigned i = 0; i < N_TRIALS; i++) {
		n += trial_polls(&experiment->trials[i], polls + n);
		due_ns = MIN(due_ns, trial_due_ns(&experiment->trials[i], now_ns));
	}
	if (poll(polls, n, (int)((due_ns - now_ns) / 1000000 + 1)) < 0 && errno != EINTR)
		return -errno;
	return polls[0].revents ? -ECANCELED : 0;
}

static int play(struct experiment *experiment, struct tcpkeep_error *error)
{
	int r;

	experiment->started_ns = trial_now_ns();
	while (!all_done(experiment)) {
		uint64_t now_ns = trial_now_ns();

		for (unsigned i = 0; i < N_TRIALS; i++) {
			r = trial_step(&experiment->trials[i], now_ns, error);
			if (r < 0)
				return r;
		}
		tell_progress(experiment, now_ns);
		if (all_done(experiment))
			break;
		r = wait_for_events(experiment, now_ns);
		if (r < 0)
			return r;
	}
	return 0;
}

static void collect(struct experiment *experiment, struct prove_result *result)
{
	for (unsigned i = 0; i < N_TRIALS; i++) {
		struct trial *trial = &experiment->trials[i];

		if (!trial->done)
			trial_conclude(trial, trial_now_ns());
		result->seen[trial->scenario][trial->way] = trial->seen;
	}
	prove_judge(experiment->plan, result);
}

int prove_run(const struct prove_plan *plan, int stop,
	      void (*progress)(const struct prove_progress *progress, void *userdata),
	      void *userdata, struct prove_result *ret, struct tcpkeep_error *error)
{
	struct experiment experiment = {
		.plan = plan, .stop = stop, .progress = progress, .userdata = userdata};
	struct prove_result result = {0};
	int r;

	r = prepare(&experiment, error);
	if (r >= 0) {
		result.not_started = -start(&experiment, error);
		if (!result.not_started)
			r = play(&experiment, error);
	}
	if (r == -ECANCELED) {
		result.interrupted = true;
		r = 0;
	}
	if (r >= 0 && !result.interrupted && !result.not_started)
		collect(&experiment, &result);
	experiment_close(&experiment);
	if (r < 0)
		return r;
	*ret = result;
	return 0;
}
