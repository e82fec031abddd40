/* SPDX-License-Identifier: MIT */
/* What can be said of selectors without a socket: never more than is sure. */
#pragma once

#include <stdbool.h>

#include "sockets/selector.h"

/* Does wide match every new connection that narrow matches? false: not, or not to be told. */
bool selector_covers(const struct selector *wide, const struct selector *narrow);

/* Why no connection can match, in words; NULL: one may. Static. */
const char *selector_contradiction(const struct selector *selector);
