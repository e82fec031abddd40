/* SPDX-License-Identifier: MIT */
/* Changing a socket through a duplicate of its owner's descriptor. */
#pragma once

#include "change.h"
#include "getfd.h"

void change_by_getfd(struct getfd *getfd, const struct change_set *set, size_t item,
		     const struct change_options *options, struct change_outcome *ret);
