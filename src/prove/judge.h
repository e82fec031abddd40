/* SPDX-License-Identifier: MIT */
/* What was seen, held against the model. Pure. */
#pragma once

#include "prove.h"

/* Fills in all but seen and interrupted. */
void prove_judge(const struct prove_plan *plan, struct prove_result *result);
