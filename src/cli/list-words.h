/* SPDX-License-Identifier: MIT */
/* What the text, the JSON and the order of a column have in common. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "sockets/row.h"

/* Static. NULL: unknown. */
const char *list_word_family(const struct socket_row *row);
const char *list_word_direction(const struct socket_row *row);
const char *list_word_timer(const struct socket_row *row);

/*
 * A name from elsewhere, safe to show, into room bytes; returns its end, no NUL. csv: a spreadsheet
 * takes a cell that begins with = + - or @ for a formula, whoever named it so: that character is
 * escaped like those that cannot be shown.
 */
char *list_put_name(char *at, const char *text, size_t len, size_t room, bool csv);

/* TIME_WAIT and half-open connections belong to nobody: the kernel keeps no uid for them. */
bool list_has_user(const struct socket_row *row);

/* Sent and not acknowledged means something: not a listener, nothing without a whole socket. */
bool list_has_transfer(const struct socket_row *row);
