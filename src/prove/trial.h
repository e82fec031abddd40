/* SPDX-License-Identifier: MIT */
/* One of the four networks in motion: a client that connects and falls silent, a fault, and what
 * comes of it. */
#pragma once

#include <poll.h>

#include "client.h"
#include "flow.h"
#include "network.h"
#include "prove.h"

#define TRIAL_FLOWS_MAX 16
#define TRIAL_POLLS_MAX 4

struct trial_flow {
	struct flow flow;
	int server; /* the server's end; -1: not accepted, or closed */
	bool accepted;
};

struct trial {
	const struct prove_plan *plan;
	enum prove_scenario scenario;
	enum prove_way way;
	struct network network;
	struct client client;

	struct trial_flow flows[TRIAL_FLOWS_MAX];
	unsigned n_flows;
	struct trial_flow *watched; /* once acted */

	uint64_t started_ns;
	uint64_t origin_ns; /* the last packet heard: where the times count from */
	uint64_t acted_ns;  /* 0: not yet */
	uint64_t judged_ns; /* 0: not yet. What follows is the client's reaction */
	bool done;

	struct prove_seen seen;
};

/* CLOCK_MONOTONIC, as the captures have it. */
uint64_t trial_now_ns(void);

/* Makes the network. trial_close() is due whatever the result. */
int trial_prepare(struct trial *trial, const struct prove_plan *plan, enum prove_scenario scenario,
		  enum prove_way way, struct tcpkeep_error *error);

int trial_start(struct trial *trial, uint64_t now_ns, struct tcpkeep_error *error);

/* What to wait for; at most TRIAL_POLLS_MAX. Returns how many. */
unsigned trial_polls(const struct trial *trial, struct pollfd *polls);

/* Takes what has happened and does what is due. */
int trial_step(struct trial *trial, uint64_t now_ns, struct tcpkeep_error *error);

/* When trial_step() is due at the latest. */
uint64_t trial_due_ns(const struct trial *trial, uint64_t now_ns);

/* Writes seen, as far as it goes. */
void trial_conclude(struct trial *trial, uint64_t now_ns);

void trial_close(struct trial *trial);
