/* SPDX-License-Identifier: MIT */
/* What `tcpkeep prove` shows: the live line, the story for a person, the object for a program. */
#pragma once

#include "prove/prove.h"

/* The live line on stderr, when that is a terminal. */
void prove_print_progress(const struct prove_progress *progress, void *userdata);
void prove_clear_progress(void);

void prove_print_text(const struct prove_plan *plan, const struct prove_result *result);
void prove_print_json(const struct prove_plan *plan, const struct prove_result *result);
