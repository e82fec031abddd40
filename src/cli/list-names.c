/* SPDX-License-Identifier: MIT */
#include "list-names.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"

#define SLOTS_AT_FIRST 64
#define EMPTY          0 /* a slot holds a number + 1 */

/* A power of two of slots, at most three quarters full; the texts beside, by number. */
struct names {
	uint32_t *slots;
	size_t n_slots;
	char **texts;
	size_t n, room;
};

int names_new(struct names **ret)
{
	struct names *names = calloc(1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	names->n_slots = SLOTS_AT_FIRST;
	names->slots = calloc(names->n_slots, sizeof(*names->slots));
	if (!names->slots) {
		free(names);
		return -ENOMEM;
	}
	*ret = names;
	return 0;
}

void names_free(struct names **names)
{
	if (!*names)
		return;
	for (size_t i = 0; i < (*names)->n; i++)
		free((*names)->texts[i]);
	free((*names)->texts);
	free((*names)->slots);
	free(*names);
	*names = NULL;
}

static uint32_t *slot_of(const struct names *names, const char *text)
{
	size_t mask = names->n_slots - 1;

	for (size_t at = hash_place(text, strlen(text)) & mask;; at = (at + 1) & mask) {
		uint32_t number = names->slots[at];

		if (number == EMPTY || strcmp(names->texts[number - 1], text) == 0)
			return &names->slots[at];
	}
}

static int grow_slots(struct names *names)
{
	uint32_t *old = names->slots;

	names->slots = calloc(names->n_slots * 2, sizeof(*names->slots));
	if (!names->slots) {
		names->slots = old;
		return -ENOMEM;
	}
	names->n_slots *= 2;
	for (size_t i = 0; i < names->n; i++)
		*slot_of(names, names->texts[i]) = (uint32_t)i + 1;
	free(old);
	return 0;
}

static int add(struct names *names, const char *text)
{
	if (names->n == names->room) {
		size_t room = names->room ? names->room * 2 : SLOTS_AT_FIRST;
		char **grown = reallocarray(names->texts, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		names->texts = grown;
		names->room = room;
	}
	names->texts[names->n] = strdup(text);
	return names->texts[names->n] ? 0 : -ENOMEM;
}

int names_find(struct names *names, const char *text, size_t *ret)
{
	uint32_t *slot = slot_of(names, text);

	if (*slot == EMPTY) {
		if (add(names, text) < 0)
			return -ENOMEM;
		*slot = (uint32_t)++names->n;
		*ret = names->n - 1;
		return names->n * 4 > names->n_slots * 3 ? grow_slots(names) : 0;
	}
	*ret = *slot - 1;
	return 0;
}

const char *names_text(const struct names *names, size_t number)
{
	return names->texts[number];
}

size_t names_count(const struct names *names)
{
	return names->n;
}

/* ------------------------------------------------------------------------------------ users */

struct user {
	uint32_t uid;
	size_t name;
	bool used;
};

#define USERS 256

/* Direct-mapped: two users on one entry evict each other, and each is asked for again. */
struct users {
	struct user users[USERS];
	struct names *names;
};

int users_new(struct users **ret)
{
	struct users *users = calloc(1, sizeof(*users));

	if (!users || names_new(&users->names) < 0) {
		free(users);
		return -ENOMEM;
	}
	*ret = users;
	return 0;
}

void users_free(struct users **users)
{
	if (!*users)
		return;
	names_free(&(*users)->names);
	free(*users);
	*users = NULL;
}

/* Any length of entry that the name service has. */
static const char *ask(uint32_t uid, char number[16], char **ret_buffer)
{
	size_t size = 1024;
	struct passwd passwd, *found;
	int r;

	snprintf(number, 16, "%u", uid);
	do {
		free(*ret_buffer);
		size *= 2;
		*ret_buffer = malloc(size);
		r = *ret_buffer ? getpwuid_r(uid, &passwd, *ret_buffer, size, &found) : ENOMEM;
	} while (r == ERANGE && size < 1024 * 1024);
	return r == 0 && found ? passwd.pw_name : number;
}

const char *users_name(struct users *users, uint32_t uid)
{
	struct user *user = &users->users[(uid ^ uid >> 8 ^ uid >> 16) % USERS];

	if (!user->used || user->uid != uid) {
		_cleanup_free_ char *buffer = NULL;
		char number[16];

		if (names_find(users->names, ask(uid, number, &buffer), &user->name) < 0)
			return "?";
		user->uid = uid;
		user->used = true;
	}
	return names_text(users->names, user->name);
}
