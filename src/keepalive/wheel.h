/* SPDX-License-Identifier: MIT */
/* The kernel's timer wheel, in ticks (kernel/time/timer.c). */
#pragma once

#include <stdint.h>

/* The width of the bucket that a timer of so many ticks goes into: it fires late by 1 to so many.
 */
uint64_t wheel_bucket(uint64_t delay);
