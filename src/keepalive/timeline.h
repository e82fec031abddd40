/* SPDX-License-Identifier: MIT */
/* What the timeline and the detection times share: the kernel's constants and its arithmetic in
 * ticks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <tcpkeep.h>

/* include/net/tcp.h */
#define TIMELINE_RTO_MIN_MS         200 /* TCP_RTO_MIN */
#define TIMELINE_PROBE0_BACKOFF_MAX 10  /* ilog2(TCP_RTO_MAX / TCP_RTO_MIN) + 1 */
#define TIMELINE_TIMEOUT_MIN_TICKS  2   /* TCP_TIMEOUT_MIN */
#define TIMELINE_RETRIES_MAX                                                                       \
	255 /* tcp_retries2 is a u8 since 5.16; more is no different in practice */

/* Values that the arithmetic can work with: HZ up to 10,000, an rto_max from TCP_RTO_MIN to a day.
 */
bool timeline_kernel_is_sound(const struct tcpkeep_kernel *kernel);

/* msecs_to_jiffies() rounds up, so no timeout comes early. */
uint64_t timeline_ms_to_ticks(const struct tcpkeep_kernel *kernel, uint64_t ms);

/* tcp_model_timeout(): how long so many doublings from TCP_RTO_MIN take. */
uint64_t timeline_model_timeout(const struct tcpkeep_kernel *kernel, unsigned boundary);
