/* SPDX-License-Identifier: MIT */
/* Calls of programs that may not be looked into (Yama, a sandbox): the supervisor makes their
 * sockets. */
#pragma once

#include <linux/seccomp.h>

#include "seccomp-receiver.h"

/*
 * socket(): makes it and puts it into the program. Its result, or GOES_ON. Killed on the way, this
 * leaves a descriptor in the program that it does not know.
 */
int receiver_prepare(struct receiver *receiver, const struct seccomp_notif *notif);

/* Any other call on a socket: for the report alone. */
void receiver_meet_unseen(struct receiver *receiver, const struct seccomp_notif *notif);
