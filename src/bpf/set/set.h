/* SPDX-License-Identifier: MIT */
/*
 * What `tcpkeep set` shares with the program that changes sockets: which ones, to what, and what
 * came of it.
 */
#pragma once

#include "sockets/change-kind.h"

/*
 * A hash table in one array, written by user space and read in the kernel without a lock: 16 bytes
 * a slot, about half of them used. A free one has no cookie.
 */
struct set_slot {
	__u64 cookie;
	__u32 item; /* with SET_SEEN: it has been told of */
	__u32 kind; /* in the array of kinds */
};

#define SET_SEEN (1U << 31)

/* An item lies at most so far behind its place: user space takes a larger table otherwise. */
#define SET_PROBES_MAX 32

/* Fibonacci hashing: cookies are counted, neighbours scatter. bits: of the table's size. */
#define SET_PLACE(cookie, bits) ((__u32)(((cookie)*0x9e3779b97f4a7c15ULL) >> (64 - (bits))))

enum set_result {
	SET_DONE = 0,
	SET_HELD,    /* has the values already */
	SET_CLOSING, /* its program has closed it */
	SET_CHANGED, /* by somebody else, since it was looked at */
	SET_KILLS,   /* the values would end the connection */
	SET_FAILED,  /* error; as it was before */
};

/* The stream of the iterator: one for each item that is met. */
struct set_record {
	__u32 item;
	__s16 error;
	__u8 result;  /* enum set_result */
	__u8 written; /* enum tcpkeep_field */
};
