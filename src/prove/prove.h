/* SPDX-License-Identifier: MIT */
/*
 * The experiment behind `tcpkeep prove`: four private networks side by side, each a client, a
 * router and a server. In two of them the router is a NAT that forgets silent connections, in the
 * other two the server vanishes; in one of each the client runs as it is, in the other under
 * `tcpkeep run`. What happens is judged from the wire on the client's link, from the server's side
 * and from the kernel's timers, never from the client, so that any client will do.
 *
 * No printing. 0 or -errno; error says in words what the kernel lacks or refuses.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <tcpkeep.h>

enum prove_scenario {
	PROVE_NAT = 0,
	PROVE_VANISH,
	PROVE_SCENARIOS,
};

enum prove_way {
	PROVE_WITHOUT = 0, /* the client as it is */
	PROVE_WITH,        /* under `tcpkeep run` */
	PROVE_WAYS,
};

#define PROVE_HOST "198.51.100.10" /* RFC 5737: documentation, never on a real network */
#define PROVE_PORT 7007

/* What will be done and when. Times count from the last packet that the client heard. */
struct prove_plan {
	struct tcpkeep_settings settings;
	struct tcpkeep_kernel kernel; /* that of a new network namespace */
	char *const *command;         /* the user's client; NULL: tcpkeep-prove-client */
	bool enforce;                 /* tcpkeep run --enforce */

	unsigned nat_timeout_s;    /* the NAT forgets a connection that was silent for so long */
	uint64_t answer_after_us;  /* NAT: when the server sends */
	uint64_t answer_within_us; /* NAT: and how long it waits for the acknowledgement */
	uint64_t vanish_after_us;
	uint64_t watch_until_us; /* vanishing: how long all is watched */
};

/* All of it is over after so long, however the client behaves. */
#define PROVE_TOTAL_MAX_US (40 * 1000000ULL)

/*
 * Makes the plan for settings, where missing ones are short defaults. -E2BIG with the words when it
 * would not be over in PROVE_TOTAL_MAX_US; -EINVAL when keepalive is off.
 */
int prove_plan_make(const struct tcpkeep_settings *settings, struct prove_plan *ret,
		    struct tcpkeep_error *error);

/* How long it takes, when the client connects at once. */
uint64_t prove_plan_duration_us(const struct prove_plan *plan);

enum prove_outcome {
	PROVE_PENDING = 0,
	PROVE_ANSWERED,      /* NAT: what the server sent after the silence was acknowledged */
	PROVE_LOST,          /* NAT: it was not */
	PROVE_NOTICED,       /* vanished: the client's kernel gave the connection up */
	PROVE_UNNOTICED,     /* vanished: it did not, while it was watched */
	PROVE_NOT_CONNECTED, /* the client never connected, and still runs */
	PROVE_EXITED,        /* the client ended before there was something to judge */
	PROVE_CLOSED,        /* the client closed the connection by itself */
	PROVE_RESTLESS,      /* the client was never idle for long enough */
	PROVE_NOT_IDLE,      /* vanished: the client sent data later, which silences keepalive */
};

/* "answered", "lost", ... as in the JSON. Static. */
const char *prove_outcome_name(enum prove_outcome outcome);

#define PROVE_PROBES_MAX 64

struct prove_probe {
	uint64_t sent_us;
	uint64_t answered_us; /* TCPKEEP_NEVER: not */
};

/* What was seen in one network. Times count from the last packet heard; TCPKEEP_NEVER: did not
 * happen. */
struct prove_seen {
	enum prove_outcome outcome;
	unsigned connections; /* that the client made; one is judged */

	/* The kernel's timer for the connection just before the fault: inet_diag's idiag_timer. */
	bool timer_known;
	unsigned timer; /* 0 none, 2 keepalive */
	uint64_t timer_us;

	struct prove_probe probes[PROVE_PROBES_MAX];
	unsigned n_probes;

	uint64_t acted_us; /* the answer was sent, the server vanished */
	uint64_t arrived_us;
	unsigned sends;    /* NAT: how often the server's kernel sent the answer */
	uint64_t death_us; /* the reset that the client's kernel sends as it gives up */
	bool socket_gone;
	uint64_t closed_us; /* the client's FIN */
	uint64_t watched_us;

	bool exited;
	int status;     /* as waitpid() gives it */
	char said[192]; /* the last line that the client wrote; escaped, cut to fit */
};

/* A time that the model predicts, and what the kernel did. */
struct prove_time {
	enum prove_scenario scenario;
	enum tcpkeep_event_kind kind; /* TCPKEEP_EVENT_PROBE, _DEATH */
	unsigned count;
	uint64_t earliest_us, latest_us; /* the model's bounds */
	uint64_t measured_us;            /* TCPKEEP_NEVER: did not happen */
	bool agrees;
};

#define PROVE_TIMES_MAX (2 * PROVE_PROBES_MAX + 2)

struct prove_result {
	struct prove_seen seen[PROVE_SCENARIOS][PROVE_WAYS];
	struct prove_time times[PROVE_TIMES_MAX];
	unsigned n_times;
	unsigned n_agree;
	bool kept;     /* NAT, with tcpkeep: the answer arrived */
	bool noticed;  /* vanished, with tcpkeep: given up, and the socket is gone */
	bool contrast; /* without tcpkeep both went wrong; always true of a user's client, which may
			* know how to help itself */
	bool judged;   /* every network came to a judgement */
	bool interrupted;
	int not_started; /* errno: the client could not be executed; error has the words */
};

/* All is well: kept, noticed, and the model agrees with the kernel. */
bool prove_result_is_good(const struct prove_result *result);

/* Called about ten times a second. */
struct prove_progress {
	uint64_t elapsed_us, total_us;
	const struct prove_seen *seen[PROVE_SCENARIOS][PROVE_WAYS];
	bool acted[PROVE_SCENARIOS][PROVE_WAYS];
};

/*
 * Does the experiment. stop: a descriptor that polls readable when it shall end early
 * (interrupted). The clients are dead when it returns.
 */
int prove_run(const struct prove_plan *plan, int stop,
	      void (*progress)(const struct prove_progress *progress, void *userdata),
	      void *userdata, struct prove_result *ret, struct tcpkeep_error *error);
