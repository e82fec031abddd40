/* SPDX-License-Identifier: MIT */
/* The program at the client's end: the user's or our own, as it is or under `tcpkeep run`. */
#pragma once

#include "prove.h"

struct client {
	pid_t pid;
	int pidfd;  /* polls readable at its end */
	int output; /* what it says, non-blocking */
	int input;  /* kept open and silent: many a client ends with its standard input */
	char tail[512];
	size_t n_tail;
	bool exited;
	int status;
};

#define CLIENT_NONE                                                                                \
	{                                                                                          \
		.pid = -1, .pidfd = -1, .output = -1, .input = -1                                  \
	}

int client_start(struct client *ret, const struct prove_plan *plan, enum prove_way way, int netns,
		 struct tcpkeep_error *error);

/* Reads what it said and, when it has ended, its status. Never blocks. */
void client_poll(struct client *client);

/* The last line that it wrote, escaped; "" for none. */
void client_last_line(const struct client *client, char *buf, size_t size);

/* For _cleanup_: ends it and waits for its end. */
void client_close(struct client *client);
