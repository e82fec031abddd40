/* SPDX-License-Identifier: MIT */
#include "trial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "lab/lab.h"

#define MS_NS 1000000ULL

/* How long a client may take until it connects: a virtual machine's start, on a busy computer. */
#define CONNECT_WITHIN_NS (9000 * MS_NS)

/* How long the program may take to react to what its kernel tells it. */
#define REACT_WITHIN_NS (500 * MS_NS)

/* No event tells of what is asked of the kernel (inet_diag, the server's queue): ask so often. */
#define STEP_NS (20 * MS_NS)

static const char answer[] = "forty-two\n";

uint64_t trial_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* -------------------------------------------------------------------------------- start, end */

int trial_prepare(struct trial *trial, const struct prove_plan *plan, enum prove_scenario scenario,
		  enum prove_way way, struct tcpkeep_error *error)
{
	*trial = (struct trial){
		.plan = plan,
		.scenario = scenario,
		.way = way,
		.network = NETWORK_NONE,
		.client = CLIENT_NONE,
		.seen = {.arrived_us = TCPKEEP_NEVER,
			 .acted_us = TCPKEEP_NEVER,
			 .death_us = TCPKEEP_NEVER,
			 .closed_us = TCPKEEP_NEVER},
	};
	return network_make(&trial->network, scenario == PROVE_NAT ? plan->nat_timeout_s : 0,
			    plan->command != NULL, error);
}

int trial_start(struct trial *trial, uint64_t now_ns, struct tcpkeep_error *error)
{
	trial->started_ns = now_ns;
	return client_start(&trial->client, trial->plan, trial->way, trial->network.client, error);
}

void trial_close(struct trial *trial)
{
	client_close(&trial->client);
	for (unsigned i = 0; i < trial->n_flows; i++)
		if (trial->flows[i].server >= 0)
			close(trial->flows[i].server);
	trial->n_flows = 0;
	network_close(&trial->network);
}

/* ------------------------------------------------------------------------- what has happened */

static bool is_open(const struct trial_flow *flow)
{
	return flow->accepted && flow->flow.fin_ns == FLOW_NEVER &&
	       flow->flow.reset_ns == FLOW_NEVER && flow->flow.reset_in_ns == FLOW_NEVER;
}

static void read_capture(struct trial *trial)
{
	struct lab_packet packet;

	while (lab_capture_next(trial->network.capture, &packet) > 0) {
		struct trial_flow *flow = NULL;

		/* The newest first: a port may be used again. */
		for (unsigned i = trial->n_flows; i > 0 && !flow; i--)
			if (flow_owns(&trial->flows[i - 1].flow, &packet))
				flow = &trial->flows[i - 1];
		if (flow_begins(&packet) && (!flow || flow->accepted)) {
			if (trial->n_flows == TRIAL_FLOWS_MAX)
				continue;
			flow = &trial->flows[trial->n_flows++];
			*flow = (struct trial_flow){.server = -1};
			flow_init(&flow->flow, &packet);
			continue;
		}
		if (flow)
			flow_feed(&flow->flow, &packet);
	}
}

/* The NAT keeps the client's port, as nothing else uses it: it tells which flow was accepted. */
static void accept_connections(struct trial *trial)
{
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);
	int fd;

	while ((fd = accept4(trial->network.listener, (struct sockaddr *)&peer, &size,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct trial_flow *flow = NULL;

		trial->seen.connections++;
		for (unsigned i = trial->n_flows; i > 0 && !flow; i--)
			if (trial->flows[i - 1].flow.client_port == ntohs(peer.sin_port) &&
			    !trial->flows[i - 1].accepted)
				flow = &trial->flows[i - 1];
		if (!flow) {
			close(fd);
			continue;
		}
		flow->server = fd;
		flow->accepted = true;
		size = sizeof(peer);
	}
}

/* The server reads, discards and stays silent; when the client closes, so does it. */
static void serve(struct trial *trial)
{
	char discarded[16384];
	ssize_t n;

	for (unsigned i = 0; i < trial->n_flows; i++) {
		struct trial_flow *flow = &trial->flows[i];

		if (flow->server < 0)
			continue;
		do
			n = recv(flow->server, discarded, sizeof(discarded), 0);
		while (n > 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		close(flow->server);
		flow->server = -1;
	}
}

/* The oldest connection that is still open is the one that is judged. */
static struct trial_flow *find_open(struct trial *trial)
{
	for (unsigned i = 0; i < trial->n_flows; i++)
		if (is_open(&trial->flows[i]) && trial->flows[i].flow.heard_ns != FLOW_NEVER)
			return &trial->flows[i];
	return NULL;
}

/* ------------------------------------------------------------------------------ what is due */

static void judge(struct trial *trial, uint64_t now_ns, enum prove_outcome outcome)
{
	trial->seen.outcome = outcome;
	trial->judged_ns = now_ns;
}

static void read_timer(struct trial *trial)
{
	struct network_timer timer;

	if (network_read_timer(&trial->network, trial->watched->flow.client_port, &timer) < 0)
		return;
	trial->seen.socket_gone = !timer.found;
	if (!timer.found)
		return;
	trial->seen.timer_known = true;
	trial->seen.timer = timer.timer;
	trial->seen.timer_us = timer.expires_us;
}

static int act(struct trial *trial, struct trial_flow *flow, struct tcpkeep_error *error)
{
	int r;

	trial->watched = flow;
	flow->flow.keep_probes = true;
	read_timer(trial);
	trial->acted_ns = trial_now_ns();
	if (trial->scenario == PROVE_NAT) {
		trial->origin_ns = flow->flow.heard_ns;
		if (send(flow->server, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
			flow->flow.reset_in_ns = trial->origin_ns; /* lost it in this moment */
		return 0;
	}
	r = network_vanish_server(&trial->network, error);
	if (r < 0)
		return r;
	/* Whatever came through until then counts as heard. */
	trial->acted_ns = trial_now_ns();
	read_capture(trial);
	trial->origin_ns = flow->flow.heard_any_ns;
	return 0;
}

static uint64_t act_due_ns(struct trial *trial)
{
	uint64_t delay_us = trial->scenario == PROVE_NAT ? trial->plan->answer_after_us
							 : trial->plan->vanish_after_us;
	uint64_t last = 0;

	for (unsigned i = 0; i < trial->n_flows; i++)
		if (is_open(&trial->flows[i]))
			last = MAX(last, trial->flows[i].flow.activity_ns);
	return last + delay_us * 1000;
}

static int await_idle(struct trial *trial, uint64_t now_ns, struct tcpkeep_error *error)
{
	uint64_t idle_within_ns =
		CONNECT_WITHIN_NS +
		(trial->scenario == PROVE_NAT ? trial->plan->answer_after_us * 1000 : 0);
	struct trial_flow *flow = find_open(trial);

	if (!flow) {
		if (trial->client.exited)
			judge(trial, now_ns, PROVE_EXITED);
		else if (now_ns > trial->started_ns + CONNECT_WITHIN_NS)
			judge(trial, now_ns,
			      trial->seen.connections ? PROVE_CLOSED : PROVE_NOT_CONNECTED);
		return 0;
	}
	if (now_ns < act_due_ns(trial)) {
		if (now_ns > trial->started_ns + idle_within_ns + 1000 * MS_NS)
			judge(trial, now_ns, PROVE_RESTLESS);
		return 0;
	}
	return act(trial, flow, error);
}

static void watch_answer(struct trial *trial, uint64_t now_ns)
{
	const struct trial_flow *flow = trial->watched;
	int queued = 1;

	if (flow->flow.got_data_ns != FLOW_NEVER && flow->flow.got_data_ns >= trial->acted_ns &&
	    (flow->server < 0 || (ioctl(flow->server, SIOCOUTQ, &queued) == 0 && queued == 0)))
		judge(trial, now_ns, PROVE_ANSWERED);
	else if (flow->flow.fin_ns != FLOW_NEVER)
		judge(trial, now_ns, PROVE_CLOSED);
	else if (now_ns > trial->acted_ns + trial->plan->answer_within_us * 1000)
		judge(trial, now_ns, PROVE_LOST);
}

static void watch_death(struct trial *trial, uint64_t now_ns)
{
	const struct flow *flow = &trial->watched->flow;

	if (flow->reset_ns != FLOW_NEVER) {
		judge(trial, now_ns, PROVE_NOTICED);
	} else if (flow->fin_ns != FLOW_NEVER) {
		judge(trial, now_ns, PROVE_CLOSED);
	} else if (flow->sent_data_ns != FLOW_NEVER && flow->sent_data_ns > trial->origin_ns) {
		judge(trial, now_ns, PROVE_NOT_IDLE);
	} else if (now_ns > trial->origin_ns + trial->plan->watch_until_us * 1000) {
		judge(trial, now_ns, PROVE_UNNOTICED);
	}
	if (trial->judged_ns)
		read_timer(trial);
}

/* Judged; a program that has something to say or to end for gets a moment for it. */
static void await_reaction(struct trial *trial, uint64_t now_ns)
{
	bool reacts = trial->seen.outcome == PROVE_ANSWERED ||
		      trial->seen.outcome == PROVE_NOTICED || trial->seen.outcome == PROVE_CLOSED;

	if (reacts && !trial->client.exited && now_ns < trial->judged_ns + REACT_WITHIN_NS)
		return;
	trial_conclude(trial, now_ns);
	trial->done = true;
}

int trial_step(struct trial *trial, uint64_t now_ns, struct tcpkeep_error *error)
{
	if (trial->done)
		return 0;
	/* In this order: who has ended has sent before; who is accepted was seen before. */
	client_poll(&trial->client);
	read_capture(trial);
	accept_connections(trial);
	serve(trial);
	if (trial->judged_ns)
		await_reaction(trial, now_ns);
	else if (!trial->acted_ns)
		return await_idle(trial, now_ns, error);
	else if (trial->scenario == PROVE_NAT)
		watch_answer(trial, now_ns);
	else
		watch_death(trial, now_ns);
	return 0;
}

unsigned trial_polls(const struct trial *trial, struct pollfd *polls)
{
	const int fds[TRIAL_POLLS_MAX] = {
		trial->network.capture,
		trial->network.listener,
		trial->client.exited ? -1 : trial->client.pidfd,
		trial->client.output,
	};

	if (trial->done)
		return 0;
	for (unsigned i = 0; i < TRIAL_POLLS_MAX; i++)
		polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	return TRIAL_POLLS_MAX;
}

uint64_t trial_due_ns(const struct trial *trial, uint64_t now_ns)
{
	return trial->done ? UINT64_MAX : now_ns + STEP_NS;
}

/* ------------------------------------------------------------------------------ the summary */

static uint64_t since_origin_us(const struct trial *trial, uint64_t time_ns)
{
	if (time_ns == FLOW_NEVER)
		return TCPKEEP_NEVER;
	return time_ns > trial->origin_ns ? (time_ns - trial->origin_ns) / 1000 : 0;
}

/* How often the server's kernel sent the answer. */
static unsigned count_sends(const struct trial *trial)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	if (trial->watched->server < 0 ||
	    getsockopt(trial->watched->server, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return 1;
	return info.tcpi_total_retrans + 1;
}

void trial_conclude(struct trial *trial, uint64_t now_ns)
{
	struct trial_flow *judged = trial->watched ? trial->watched : find_open(trial);
	struct prove_seen *seen = &trial->seen;
	const struct flow *flow;

	seen->exited = trial->client.exited;
	seen->status = trial->client.status;
	client_last_line(&trial->client, seen->said, sizeof(seen->said));
	if (!judged)
		return;
	flow = &judged->flow;
	if (!trial->watched)
		trial->origin_ns = flow->heard_ns;
	seen->n_probes = 0;
	for (unsigned i = 0; i < flow->n_probes; i++) {
		if (flow->probes[i].sent_ns <= trial->origin_ns)
			continue;
		seen->probes[seen->n_probes++] =
			(struct prove_probe){since_origin_us(trial, flow->probes[i].sent_ns),
					     since_origin_us(trial, flow->probes[i].answered_ns)};
	}
	seen->death_us = since_origin_us(trial, flow->reset_ns);
	seen->closed_us = since_origin_us(trial, flow->fin_ns);
	seen->watched_us = since_origin_us(trial, now_ns);
	if (!trial->watched)
		return;
	seen->acted_us = since_origin_us(trial, trial->acted_ns);
	if (trial->scenario == PROVE_NAT) {
		seen->sends = count_sends(trial);
		if (flow->got_data_ns != FLOW_NEVER && flow->got_data_ns >= trial->acted_ns)
			seen->arrived_us = since_origin_us(trial, flow->got_data_ns);
	}
}
