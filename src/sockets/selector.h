/* SPDX-License-Identifier: MIT */
/*
 * Selectors as people write them: pid= program= user= unit= cgroup= local= peer= state= netns=
 * keepalive=on|off silent>10m direction=in|out; "!=" negates, several values by comma, all
 * selectors must hold (docs in man/tcpkeep-list.1.scd). The parser makes a match_program; names
 * that only user space can decide are kept beside.
 *
 *  - pid: 1 to 4194304; of any process that holds the socket;
 *  - program: the name that the kernel keeps (comm, 15 bytes: a longer one is cut), with globs:
 *    * ? [..];
 *  - user: a name or a number; unknown in TIME-WAIT, which belongs to nobody;
 *  - unit: a systemd unit (nginx is nginx.service), with globs: the innermost one, or a slice
 *    around it;
 *  - cgroup: a path below the mount of cgroup2, with all that is beneath it;
 *  - local, peer: ADDR[/LEN][:PORT[-PORT]], see endpoint.h;
 *  - state: the names and groups of ss(8), see state.h;
 *  - netns: a name of /run/netns, with globs; 4026531840 or net:[4026531840]; a path, like
 *    /proc/PID/ns/net;
 *  - keepalive: on, off; direction: in, out, listen;
 *  - silent: > >= < <= and one duration. Not = and !=: nothing is silent to the millisecond.
 *
 * What is not known of a socket matches neither a selector nor its negation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <tcpkeep.h>

#include "match.h"

/* Text values (program, unit, cgroup, netns) of the kinds that user space decides. */
#define SELECTOR_TEXT_MAX 4096

struct selector {
	struct match_program program;
	char text[SELECTOR_TEXT_MAX]; /* NUL-terminated values; a value's number is its offset */
	size_t text_len;
	bool needs_owner; /* pid= or program= stands in it */
	bool any;         /* at least one selector was given */
	bool program_cut; /* a program= was longer than the 15 bytes that the kernel keeps */
};

/*
 * Parses one word, len bytes, and adds it. -ENOKEY: its key is no selector (a caller may try it as
 * a setting); -EINVAL, -ERANGE; -E2BIG: more than fits. On failure *selector is as it was, and
 * ret_error (may be NULL) says what is accepted, with the nearest key.
 */
int selector_parse_word(struct selector *selector, const char *word, size_t len,
			struct tcpkeep_error *ret_error);

/* Who holds a socket, for the kinds that user space decides. */
struct selector_owner {
	const int *pids;
	const char *const *programs; /* the comm of each */
	size_t n;
	const char *cgroup_path; /* NULL: unknown */
	const char *netns_name;  /* NULL: none */
	__u64 netns_inode;
};

/* The whole answer: match_row() and the rest. owner: NULL when nothing is known of it. */
bool selector_matches(const struct selector *selector, const struct socket_row *row,
		      const struct selector_owner *owner);

/* The netns= clauses alone: can a socket of this namespace match? */
bool selector_takes_netns(const struct selector *selector, const char *name, __u64 inode);

/*
 * The systemd unit of a cgroup path, as the journal names it: the innermost *.service, *.scope,
 * *.socket, *.mount or *.swap, else the innermost *.slice. A pointer into path with its length;
 * NULL: none.
 */
const char *cgroup_unit(const char *cgroup_path, size_t *ret_len);

/* "ESTABLISHED" ... "SYN-RECV" as `ss` writes them; "unknown(17)" into buf for others. */
const char *state_name(unsigned state, char buf[16]);
