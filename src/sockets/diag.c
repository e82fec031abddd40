/* SPDX-License-Identifier: MIT */
/* What sock_diag(7) answers, as rows: net/ipv4/inet_diag.c, tcp_diag.c. */
#include "diag.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "diag-dump.h"
#include "keepalive/error.h"

/* include/net/tcp_states.h; the names of the C library's netinet/tcp.h, which cannot stand beside
 * linux/tcp.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
	TCP_NEW_SYN_RECV = 12,
};

#define BIT(n) (1U << (n))

/* Without TCP_BOUND_INACTIVE (6.8): bound and not connected is no connection. */
#define STATES_ALL (BIT(TCP_NEW_SYN_RECV + 1) - 1)

/* idiag_timer: inet_sk_diag_fill(), inet_twsk_diag_fill() */
enum {
	IDIAG_TIMER_NONE = 0,
	IDIAG_TIMER_RETRANSMIT = 1,
	IDIAG_TIMER_KEEPALIVE = 2,
	IDIAG_TIMER_TIME_WAIT = 3,
	IDIAG_TIMER_WINDOW_PROBE = 4,
};

/* An MPTCP socket: what the program holds, while the walk shows its subflows, which have its inode.
 */
struct mptcp {
	uint64_t cookie;
	uint32_t inode;
};

struct walk {
	int (*fn)(struct socket_row *row, void *userdata);
	void *userdata;
	struct mptcp *mptcp; /* by inode */
	size_t n_mptcp, allocated;
	uint8_t listens[65536 / 8]; /* by local port */
};

static uint64_t cookie_of(const struct inet_diag_msg *message)
{
	return (uint64_t)message->id.idiag_cookie[1] << 32 | message->id.idiag_cookie[0];
}

/* ------------------------------------------------------------------------------------ MPTCP */

static int add_mptcp(const struct diag_answer *answer, void *userdata)
{
	struct walk *walk = userdata;

	if (answer->message->idiag_inode == 0)
		return 0;
	if (walk->n_mptcp == walk->allocated) {
		size_t more = walk->allocated ? walk->allocated * 2 : 64;
		void *p = reallocarray(walk->mptcp, more, sizeof(*walk->mptcp));

		if (!p)
			return -ENOMEM;
		walk->mptcp = p;
		walk->allocated = more;
	}
	walk->mptcp[walk->n_mptcp++] =
		(struct mptcp){cookie_of(answer->message), answer->message->idiag_inode};
	return 0;
}

static int compare_mptcp(const void *a, const void *b)
{
	uint32_t x = ((const struct mptcp *)a)->inode, y = ((const struct mptcp *)b)->inode;

	return (x > y) - (x < y);
}

static const struct mptcp *find_mptcp(const struct walk *walk, uint32_t inode)
{
	const struct mptcp key = {.inode = inode};

	if (walk->n_mptcp == 0 || inode == 0)
		return NULL;
	return bsearch(&key, walk->mptcp, walk->n_mptcp, sizeof(key), compare_mptcp);
}

/* -ENOMEM alone is a failure: a kernel without MPTCP has no such sockets. */
static int read_mptcp(int fd, struct walk *walk)
{
	static const int families[] = {AF_INET, AF_INET6};
	size_t interrupted = 0;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const struct diag_question question = {families[i], IPPROTO_MPTCP, STATES_ALL, 0};

		if (diag_dump(fd, &question, add_mptcp, walk, &interrupted) == -ENOMEM)
			return -ENOMEM;
	}
	if (walk->n_mptcp > 0)
		qsort(walk->mptcp, walk->n_mptcp, sizeof(*walk->mptcp), compare_mptcp);
	return 0;
}

static int on_ulp(const struct nlattr *attribute, void *userdata)
{
	bool *is_mptcp = userdata;

	if (mnl_attr_get_type(attribute) == INET_ULP_INFO_NAME)
		*is_mptcp = strncmp(mnl_attr_get_payload(attribute), "mptcp",
				    mnl_attr_get_payload_len(attribute)) == 0;
	return MNL_CB_OK;
}

/* Is it a subflow? Its ULP may be told to CAP_NET_ADMIN alone, its inode is told to everybody. */
static void read_subflow(const struct diag_answer *answer, const struct walk *walk,
			 struct socket_row *row)
{
	const struct mptcp *mptcp = find_mptcp(walk, row->inode);
	bool named = false;

	if (answer->attributes[INET_DIAG_ULP_INFO])
		mnl_attr_parse_nested(answer->attributes[INET_DIAG_ULP_INFO], on_ulp, &named);
	if (!mptcp && !named)
		return;
	row->flags |= ROW_MPTCP;
	row->cookie = mptcp ? mptcp->cookie : 0;
}

/* -------------------------------------------------------------------------------- the pieces */

static void read_addresses(const struct inet_diag_msg *message, struct socket_row *row)
{
	row->family = message->idiag_family;
	row->local_port = ntohs(message->id.idiag_sport);
	row->peer_port = ntohs(message->id.idiag_dport);
	if (message->idiag_family == AF_INET) {
		row->local[2] = row->peer[2] = htonl(0xffff);
		row->local[3] = message->id.idiag_src[0];
		row->peer[3] = message->id.idiag_dst[0];
	} else {
		memcpy(row->local, message->id.idiag_src, sizeof(row->local));
		memcpy(row->peer, message->id.idiag_dst, sizeof(row->peer));
	}
}

static void read_identity(const struct diag_answer *answer, struct socket_row *row)
{
	const struct nlattr *cgroup = answer->attributes[INET_DIAG_CGROUP_ID];
	const struct nlattr *v6only = answer->attributes[INET_DIAG_SKV6ONLY];

	row->cookie = cookie_of(answer->message);
	row->uid = answer->message->idiag_uid;
	row->inode = answer->message->idiag_inode;
	if (cgroup && mnl_attr_get_payload_len(cgroup) >= sizeof(uint64_t)) {
		row->cgroup = mnl_attr_get_u64(cgroup);
		row->known |= ROW_KNOWN_CGROUP;
	}
	if (v6only && mnl_attr_get_payload_len(v6only) >= 1 && mnl_attr_get_u8(v6only))
		row->flags |= ROW_V6ONLY;
	/* A connection that waits to be accepted has no inode either, but it has not begun to
	 * close. */
	if (row->inode == 0 && BIT(row->state) & (BIT(TCP_FIN_WAIT1) | BIT(TCP_FIN_WAIT2) |
						  BIT(TCP_LAST_ACK) | BIT(TCP_CLOSING)))
		row->flags |= ROW_ORPHAN;
}

static void read_direction(struct walk *walk, struct socket_row *row)
{
	uint8_t *byte = &walk->listens[row->local_port / 8];
	uint8_t bit = (uint8_t)BIT(row->local_port % 8);

	switch (row->state) {
	case TCP_LISTEN:
		*byte |= bit;
		row->direction = ROW_DIRECTION_LISTEN;
		break;
	case TCP_SYN_SENT:
		row->direction = ROW_DIRECTION_OUT;
		break;
	case TCP_SYN_RECV:
	case TCP_NEW_SYN_RECV:
		row->direction = ROW_DIRECTION_IN;
		break;
	default:
		row->direction = *byte & bit ? ROW_DIRECTION_IN : ROW_DIRECTION_OUT;
	}
}

/* The kernel's delay in milliseconds, never negative: jiffies_delta_to_msecs(). */
static void set_timer(struct socket_row *row, enum row_timer timer, uint32_t expires_ms)
{
	row->timer = (uint8_t)timer;
	row->timer_ms = (int32_t)MIN(expires_ms, (uint32_t)INT32_MAX);
	row->known |= ROW_KNOWN_TIMER;
}

static void read_timer(const struct inet_diag_msg *message, const struct tcp_info *info,
		       struct socket_row *row)
{
	switch (message->idiag_timer) {
	case IDIAG_TIMER_NONE:
		set_timer(row, ROW_TIMER_NONE, 0);
		return;
	case IDIAG_TIMER_RETRANSMIT:
		set_timer(row, ROW_TIMER_RETRANSMIT, message->idiag_expires);
		break;
	case IDIAG_TIMER_KEEPALIVE:
		/* A listener's is armed by nobody: tcp_set_keepalive(). */
		set_timer(row, ROW_TIMER_KEEPALIVE, message->idiag_expires);
		break;
	case IDIAG_TIMER_WINDOW_PROBE:
		set_timer(row, ROW_TIMER_WINDOW_PROBE, message->idiag_expires);
		break;
	default:
		return; /* a newer kernel's: not known */
	}
	/* idiag_retrans is one of the two, as the timer goes. */
	row->probes_out = info->tcpi_probes;
	row->retransmits = info->tcpi_retransmits;
}

/*
 * SO_KEEPALIVE where the timer proves it. In these states the timer is armed as long as the option
 * is on: every path through tcp_keepalive_timer() arms it again. Armed, it is on, but for an
 * orphan, whose FIN timeout uses the same timer. Not armed, it is off: a walk that meets the timer
 * in the microsecond between its firing and its being armed again, on another processor, would be
 * wrong; nothing that sock_diag tells sets these two apart. A subflow's timer follows the MPTCP
 * socket's option, not always at once: no proof.
 */
static void know_keepalive(const struct tcp_info *info, struct socket_row *row)
{
	const unsigned synchronized =
		BIT(TCP_ESTABLISHED) | BIT(TCP_CLOSE_WAIT) | BIT(TCP_FIN_WAIT2);
	const unsigned closing = BIT(TCP_FIN_WAIT1) | BIT(TCP_LAST_ACK) | BIT(TCP_CLOSING);

	/* It moved on while the kernel was writing it down: the timer may be that of either state.
	 */
	if (!(row->known & ROW_KNOWN_TIMER) || info->tcpi_state != row->state)
		return;
	if (row->flags & (ROW_MPTCP | ROW_ORPHAN))
		return;
	if (row->timer == ROW_TIMER_KEEPALIVE && BIT(row->state) & (synchronized | closing)) {
		row->flags |= ROW_KEEPALIVE;
		row->known |= ROW_KNOWN_KEEPALIVE;
	} else if (row->timer == ROW_TIMER_NONE && BIT(row->state) & synchronized) {
		row->known |= ROW_KNOWN_KEEPALIVE;
	}
}

static void read_transfer(const struct inet_diag_msg *message, const struct tcp_info *info,
			  struct socket_row *row)
{
	if (row->state == TCP_LISTEN) {
		row->unsent = message->idiag_rqueue;
		return;
	}
	if (row->state == TCP_CLOSE || row->state == TCP_SYN_SENT)
		return;
	/* keepalive_time_elapsed() */
	row->silence_ms = MIN(info->tcpi_last_data_recv, info->tcpi_last_ack_recv);
	row->known |= ROW_KNOWN_SILENCE;
	/* write_seq - snd_nxt and write_seq - snd_una: the difference is what is in flight. */
	row->unsent = MIN(info->tcpi_notsent_bytes, message->idiag_wqueue);
	row->unacked = message->idiag_wqueue - row->unsent;
}

/* A minisocket has no cookie of its own for a program to ask for, no owner, no options. */
static void read_minisocket(const struct inet_diag_msg *message, struct socket_row *row)
{
	row->cookie = 0;
	if (message->idiag_timer == IDIAG_TIMER_TIME_WAIT) {
		set_timer(row, ROW_TIMER_TIME_WAIT, message->idiag_expires);
		return;
	}
	/* inet_req_diag_fill() says SYN_RECV: that of a socket (TCP Fast Open) has tcp_info. */
	if (row->state == TCP_SYN_RECV) {
		row->state = TCP_NEW_SYN_RECV;
		set_timer(row, ROW_TIMER_SYN_ACK, message->idiag_expires);
		row->retransmits = message->idiag_retrans;
	}
}

/* --------------------------------------------------------------------------------- the walk */

static int on_answer(const struct diag_answer *answer, void *userdata)
{
	const struct nlattr *attribute = answer->attributes[INET_DIAG_INFO];
	const struct inet_diag_msg *message = answer->message;
	struct socket_row row = {.state = message->idiag_state};
	struct walk *walk = userdata;
	struct tcp_info info = {0};

	read_addresses(message, &row);
	read_identity(answer, &row);
	if (attribute) {
		memcpy(&info, mnl_attr_get_payload(attribute),
		       MIN(sizeof(info), (size_t)mnl_attr_get_payload_len(attribute)));
		read_subflow(answer, walk, &row);
		read_timer(message, &info, &row);
		know_keepalive(&info, &row);
		read_transfer(message, &info, &row);
	} else {
		read_minisocket(message, &row);
	}
	read_direction(walk, &row);
	return walk->fn(&row, walk->userdata);
}

static int fail_dump(int r, struct tcpkeep_error *ret_error)
{
	if (r == -ENOENT)
		return error_set(
			ret_error, -EOPNOTSUPP,
			"sock_diag: this kernel has no tcp_diag; load the module: modprobe tcp_diag");
	return error_set(ret_error, r, "sock_diag: %s", strerror(-r));
}

struct guarded {
	int (*fn)(struct socket_row *row, void *userdata);
	void *userdata;
	int result; /* of fn: an error of fn's own is not the kernel's */
};

static int guarded_fn(struct socket_row *row, void *userdata)
{
	struct guarded *guarded = userdata;

	guarded->result = guarded->fn(row, guarded->userdata);
	return guarded->result;
}

static void cleanup_walk(struct walk **walk)
{
	if (*walk)
		free((*walk)->mptcp);
	free(*walk);
}

int diag_walk(int netns, int (*fn)(struct socket_row *row, void *userdata), void *userdata,
	      size_t *ret_interrupted, struct tcpkeep_error *ret_error)
{
	/* The listeners of both families come first: they tell the direction of the others. */
	static const struct diag_question questions[] = {
		{AF_INET, IPPROTO_TCP, BIT(TCP_LISTEN), BIT(INET_DIAG_INFO - 1)},
		{AF_INET6, IPPROTO_TCP, BIT(TCP_LISTEN), BIT(INET_DIAG_INFO - 1)},
		{AF_INET, IPPROTO_TCP, STATES_ALL & ~BIT(TCP_LISTEN), BIT(INET_DIAG_INFO - 1)},
		{AF_INET6, IPPROTO_TCP, STATES_ALL & ~BIT(TCP_LISTEN), BIT(INET_DIAG_INFO - 1)},
	};
	struct guarded guarded = {fn, userdata, 0};
	_cleanup_(cleanup_walk) struct walk *walk = calloc(1, sizeof(*walk));
	_cleanup_close_ int fd = -1;
	size_t interrupted = 0;
	int r;

	if (!walk)
		return error_set(ret_error, -ENOMEM, "sock_diag: %s", strerror(ENOMEM));
	walk->fn = guarded_fn;
	walk->userdata = &guarded;
	fd = diag_open(netns, ret_error);
	if (fd < 0)
		return fd;
	r = read_mptcp(fd, walk);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(questions); i++)
		r = diag_dump(fd, &questions[i], on_answer, walk, &interrupted);
	if (guarded.result != 0)
		return guarded.result;
	if (r < 0)
		return fail_dump(r, ret_error);
	*ret_interrupted = interrupted;
	return 0;
}
