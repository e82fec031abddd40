/* SPDX-License-Identifier: MIT */
/* Changes of the test's own sockets, for the tests of src/sockets/change: what fails here fails the
 * test. */
#pragma once

#include "connections.h"
#include "sockets/change.h"

#define SET_MAX 256

struct set {
	const char *settings;
	enum snapshot_source source;
	bool probe_now, force;
	unsigned per_s;

	/* What came of it. */
	struct change_set set;
	struct change_outcome outcomes[SET_MAX];
	size_t n_told;
	size_t counts[CHANGE_DENIED + 1];
	size_t planned[CHANGE_DENIED + 1];
	enum change_reason reason; /* of the last one that is not planned */
};

/* Both ways: in the kernel, where that can be, and through descriptors. set_start() fills it in. */
extern enum snapshot_source set_sources[2];

/* For cmocka's group setup. */
int set_start(void **state);

/* Plans the settings for these descriptors' sockets, all of this network with n == 0. */
void set_plan(struct set *set, const int *fds, size_t n);

/* Carries out what is planned. */
void set_run(struct set *set);
void set_clear(struct set *set);

/* Both, for one descriptor: the outcome. */
struct change_outcome set_one(struct set *set, int fd);

/* Read by the socket's own process. user timeout: not for MPTCP. */
void set_expect(int fd, int on, int time_s, int intvl_s, int probes);

/* Keepalive on, with values. */
void keep(int fd, int time_s, int intvl_s, int probes);

/* A counter of this network: "TCPKeepAlive", "TCPAbortOnTimeout". */
unsigned long counter(const char *name);

/* Waits until the connection is silent for so long. */
void wait_for_silence(int fd, unsigned ms);

/* Probes that are out and not answered: waits for so many at least. */
void wait_for_probes(int fd, unsigned n);
