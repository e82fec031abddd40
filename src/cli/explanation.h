/* SPDX-License-Identifier: MIT */
/* What `explain` tells, gathered from the model before anything is printed or drawn. */
#pragma once

#include <stddef.h>
#include <tcpkeep.h>

#include "sockets/snapshot.h"

/* Steps that are kept; a user timeout allows for any number. */
#define LANE_STEPS_MAX 256

/* Steps after which the model is no longer asked: a timer on each tick (sysctl intvl=0) would go on
 * for minutes. */
#define LANE_STEPS_LIMIT 1000000

/* One packet that asks the peer: when, at the earliest and at the latest. */
struct step {
	uint64_t earliest_us, latest_us;
};

/* One condition of a connection whose peer is gone. */
struct lane {
	enum tcpkeep_condition condition;
	enum tcpkeep_event_kind kind; /* what its steps are */
	struct step steps[LANE_STEPS_MAX];
	size_t n_steps;    /* kept */
	size_t n_beyond;   /* that followed */
	uint64_t death_us; /* if no timer is late; TCPKEEP_NEVER */
	uint64_t worst_us; /* at the latest */
	int error;         /* 0 at a death: an orphan goes away without one */
};

enum { LANE_IDLE, LANE_IN_FLIGHT, LANE_ZERO_WINDOW, LANES };

struct explanation {
	struct tcpkeep_settings settings; /* effective: all five fields */
	uint32_t from_sysctl;             /* which of them */
	struct tcpkeep_kernel kernel;
	struct tcpkeep_detection detection;
	uint64_t period_us; /* between two probes when the peer is well */
	struct lane lanes[LANES];
	const struct snapshot_row *socket; /* NULL: of settings, not of a live socket */
	bool has_now; /* it is connected: there is a lane from where it stands now */
	struct lane now;
};

/* Fills in what settings leaves open from the kernel: sysctls for the three, on, no user timeout.
 */
int explanation_make(const struct tcpkeep_settings *settings, const struct tcpkeep_kernel *kernel,
		     struct explanation *ret);

/* The same of a live socket, which must outlive it, with the lane of the condition that it is in.
 */
int explanation_make_live(const struct snapshot_row *socket, struct explanation *ret);

/* Probes an hour on a healthy idle connection, in tenths: time=7200 makes half a probe. */
unsigned explanation_probes_per_hour_x10(const struct explanation *explanation);

/* Draws it into the file; 0 or -errno. */
int explanation_write_svg(const struct explanation *explanation, const char *path);
