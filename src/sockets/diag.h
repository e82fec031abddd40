/* SPDX-License-Identifier: MIT */
/*
 * A network namespace's TCP sockets as sock_diag(7) tells them: no privilege, Linux 4.6. It never
 * tells SO_KEEPALIVE nor the values; what its timers prove is in the rows, the rest is not known.
 *
 * What known and the members hold here (row.h has the meaning):
 *  - keepalive: from the timer alone, where that is a proof: see know_keepalive();
 *  - timer: a transmit timer hides keepalive's; the row then has the transmit timer and no
 * ROW_KNOWN_KEEPALIVE;
 *  - a TIME_WAIT minisocket that stands for an orphan in FIN_WAIT2 has that state and
 * ROW_TIMER_TIME_WAIT;
 *  - ROW_V6ONLY: listeners only; ROW_ORPHAN: closed, not: waiting to be accepted;
 *  - a subflow's cookie is its MPTCP socket's; 0 when that was made meanwhile.
 */
#pragma once

#include <stddef.h>
#include <tcpkeep.h>

#include "row.h"

/*
 * Calls fn for every socket of the namespace (TCPKEEP_NETNS_OWN, or a descriptor), listeners first.
 * A socket that moves within the kernel's table meanwhile can be left out or come twice. fn's
 * non-zero result ends the walk and is returned.
 *
 * ret_interrupted: how often the kernel said that its table changed under the walk. -EPERM and
 * others: the namespace cannot be entered; -EOPNOTSUPP: a kernel without tcp_diag; -ENOMEM; what
 * recv(2) fails with.
 */
int diag_walk(int netns, int (*fn)(struct socket_row *row, void *userdata), void *userdata,
	      size_t *ret_interrupted, struct tcpkeep_error *ret_error);
