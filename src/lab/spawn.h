/* SPDX-License-Identifier: MIT */
/* lab_spawn() for the lab's own use. */
#pragma once

#include "lab.h"

/*
 * With keep_privilege the program holds CAP_NET_ADMIN even as a user other than root: in a user
 * namespace in which one is not 0, exec drops every capability that is not ambient.
 */
pid_t spawn(int netns, char *const argv[], char *const env[], const int stdio[3],
	    bool keep_privilege, int *ret_pidfd, struct tcpkeep_error *error);
