/* SPDX-License-Identifier: MIT */
/* Texts that come again and again, each kept once and known by a number; and users by their uid. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct names;

/* 0 or -ENOMEM. */
int names_new(struct names **ret);
void names_free(struct names **names);

/* The number of a text, given when it is first seen: 0, 1, ... */
int names_find(struct names *names, const char *text, size_t *ret);

/* Valid until names_free(). */
const char *names_text(const struct names *names, size_t number);
size_t names_count(const struct names *names);

struct users;

int users_new(struct users **ret);
void users_free(struct users **users);

/* A user's name, asked for once; the number as text when it has none. Valid until users_free(). */
const char *users_name(struct users *users, uint32_t uid);
