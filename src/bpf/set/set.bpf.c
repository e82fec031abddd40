// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * The walk behind `tcpkeep set`: the sockets of one network namespace that stand in the table get
 * their values. The iterator holds each one's lock meanwhile: nothing moves between the look and
 * the change.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf/kernel.h"
#include "bpf/set/set.h"

/* The options: include/uapi/asm-generic/socket.h, linux/tcp.h. */
#define SOL_SOCKET       1
#define SO_KEEPALIVE     9
#define IPPROTO_TCP      6
#define TCP_KEEPIDLE     4
#define TCP_KEEPINTVL    5
#define TCP_KEEPCNT      6
#define TCP_USER_TIMEOUT 18

/* Timestamps in microseconds instead of milliseconds: 6.7, 614e8316aa4c. */
struct tcp_sock___usec {
	__u8 tcp_usec_ts : 1;
} CORE;

/* Set before the load. */
const volatile __u32 tcpkeep_hz = 250;
const volatile __u32 tcpkeep_bits = 4;
const volatile __u32 tcpkeep_kinds_n = 0;
const volatile __u32 tcpkeep_mode = 0; /* enum change_mode */
const volatile bool tcpkeep_force = false;

/* Their sizes are set before the load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct set_slot);
} tcpkeep_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct change_kind);
} tcpkeep_kinds SEC(".maps");

/* One socket while it is changed. */
struct changing {
	struct change_values before, after; /* after: effective */
	struct change_standing now;
	__u32 todo, written;
	bool credits; /* the silence so far */
	bool pauses;  /* off while the values are written, then on: a full time from now */
};

/*
 * The one at hand: a program has one walk at a time. Not on the stack, where the verifier would
 * follow each value that each way through the comparison leaves there: ten times as long.
 */
static struct changing tcpkeep_changing;

static __always_inline struct set_slot *find_slot(__u64 cookie)
{
	__u32 place = SET_PLACE(cookie, tcpkeep_bits);
	__u32 mask = (1U << tcpkeep_bits) - 1;

	for (__u32 i = 0; i < SET_PROBES_MAX; i++) {
		__u32 at = (place + i) & mask;
		struct set_slot *slot = bpf_map_lookup_elem(&tcpkeep_slots, &at);

		if (!slot || slot->cookie == 0)
			return NULL;
		if (slot->cookie == cookie)
			return slot;
	}
	return NULL;
}

/* ----------------------------------------------------------------------------- how it stands */

static __always_inline __u32 to_ms(__u32 ticks)
{
	return ticks_to_ms(ticks, tcpkeep_hz, __UINT32_MAX__);
}

/* Since the first retransmission; the clock of the stamp is that of the timestamp option. */
static __always_inline __u32 retransmits_ms(struct tcp_sock *tp)
{
	struct tcp_sock___usec *clock = (void *)tp;
	__u64 now_us = bpf_ktime_get_ns() / 1000;

	if (tp->retrans_stamp == 0)
		return 0;
	if (bpf_core_field_exists(clock->tcp_usec_ts) && BPF_CORE_READ_BITFIELD(clock, tcp_usec_ts))
		return ((__u32)now_us - tp->retrans_stamp) / 1000;
	return (__u32)(now_us / 1000) - tp->retrans_stamp;
}

static __always_inline void fill_standing(struct change_standing *now, struct tcp_sock *tp)
{
	unsigned long expires;
	__u8 level;

	now->silence_ms = to_ms(silence_ticks(tp));
	now->probes_out = tp->inet_conn.icsk_probes_out;
	keepalive_timer(tp, &expires, &level);
	now->due_ms = to_ms(ticks_until(expires));
	if (tp->inet_conn.icsk_pending == ICSK_TIME_PROBE0) {
		now->waits = CHANGE_WAIT_WINDOW;
		now->due_ms = to_ms(ticks_until(tp->inet_conn.icsk_retransmit_timer.expires));
		if (bpf_core_field_exists(tp->inet_conn.icsk_probes_tstamp) &&
		    tp->inet_conn.icsk_probes_tstamp)
			now->stalled_ms = to_ms(now_ticks() - tp->inet_conn.icsk_probes_tstamp);
	} else if (tp->inet_conn.icsk_pending == ICSK_TIME_RETRANS &&
		   tp->inet_conn.icsk_retransmits > 0) {
		now->waits = CHANGE_WAIT_RETRANSMIT;
		now->due_ms = to_ms(ticks_until(tp->inet_conn.icsk_retransmit_timer.expires));
		now->stalled_ms = retransmits_ms(tp);
	}
}

static __always_inline void fill_values(struct change_values *values, struct tcp_sock *tp)
{
	values->on = has_flag(tp, SOCK_KEEPOPEN);
	values->time_s = (__u16)(tp->keepalive_time / tcpkeep_hz);
	values->intvl_s = (__u16)(tp->keepalive_intvl / tcpkeep_hz);
	values->probes = tp->keepalive_probes;
	values->user_timeout_ms = tp->inet_conn.icsk_user_timeout;
}

/* --------------------------------------------------------------------------------- the change */

/*
 * What is left to do for one field: nothing, when it has the value; -1, when it has neither that
 * nor the value with which it was seen.
 */
#define COMPARE(change, kind, field, member)                                                       \
	do {                                                                                       \
		if (!((kind)->wanted.fields & (field)))                                            \
			break;                                                                     \
		if ((change)->before.member == (kind)->wanted.member)                              \
			break;                                                                     \
		if ((change)->before.member != (kind)->before.member)                              \
			return -1;                                                                 \
		(change)->todo |= (field);                                                         \
		(change)->after.member = (kind)->wanted.member;                                    \
	} while (0)

static __always_inline int compare(struct changing *change, const struct change_kind *kind)
{
	change->after = kind->effective;
	change->todo = 0;
	COMPARE(change, kind, CHANGE_ON, on);
	COMPARE(change, kind, CHANGE_TIME, time_s);
	COMPARE(change, kind, CHANGE_INTVL, intvl_s);
	COMPARE(change, kind, CHANGE_PROBES, probes);
	COMPARE(change, kind, CHANGE_USER_TIMEOUT, user_timeout_ms);
	/* What nobody asked to change may have been changed all the same. */
	if (!(change->todo & CHANGE_ON))
		change->after.on = change->before.on;
	if (!(change->todo & CHANGE_TIME) && change->before.time_s)
		change->after.time_s = change->before.time_s;
	if (!(change->todo & CHANGE_PROBES) && change->before.probes)
		change->after.probes = change->before.probes;
	if (!(change->todo & CHANGE_USER_TIMEOUT))
		change->after.user_timeout_ms = change->before.user_timeout_ms;
	return 0;
}

static __always_inline int put(struct tcp_sock *tp, int level, int name, int value)
{
	return (int)bpf_setsockopt(tp, level, name, &value, sizeof(value));
}

static __always_inline int put_on(struct tcp_sock *tp, int value)
{
	return put(tp, SOL_SOCKET, SO_KEEPALIVE, value);
}

#define WRITE(tp, change, field, name, member)                                                     \
	do {                                                                                       \
		if (!((change)->todo & (field) & ~(change)->written))                              \
			break;                                                                     \
		r = put(tp, IPPROTO_TCP, name, (int)(change)->after.member);                       \
		if (r < 0)                                                                         \
			return r;                                                                  \
		(change)->written |= (field);                                                      \
	} while (0)

/* Whether keepalive goes on, or off, before the values: what is written then moves no timer. */
static __always_inline int write_on_first(struct tcp_sock *tp, struct changing *change)
{
	bool changes = change->todo & CHANGE_ON;
	int r;

	if (changes && (!change->after.on || change->credits)) {
		r = put_on(tp, change->after.on);
		if (r < 0)
			return r;
		change->written |= CHANGE_ON;
	}
	if (change->pauses)
		return put_on(tp, 0);
	return 0;
}

static __always_inline int write_all(struct tcp_sock *tp, struct changing *change)
{
	int r;

	r = write_on_first(tp, change);
	if (r < 0)
		return r;
	WRITE(tp, change, CHANGE_TIME, TCP_KEEPIDLE, time_s);
	WRITE(tp, change, CHANGE_INTVL, TCP_KEEPINTVL, intvl_s);
	WRITE(tp, change, CHANGE_PROBES, TCP_KEEPCNT, probes);
	WRITE(tp, change, CHANGE_USER_TIMEOUT, TCP_USER_TIMEOUT, user_timeout_ms);
	if (change->todo & CHANGE_ON & ~change->written) {
		r = put_on(tp, change->after.on);
		if (r < 0)
			return r;
		change->written |= CHANGE_ON;
	}
	return change->pauses ? put_on(tp, 1) : 0;
}

/* Puts back what was written, quietly. What came from the sysctl is the socket's own then. */
static __always_inline void restore(struct tcp_sock *tp, const struct changing *change,
				    const struct change_kind *kind)
{
	const __u32 written = change->written;

	if (written & CHANGE_TIME)
		put_on(tp, 0);
	if (written & CHANGE_TIME)
		put(tp, IPPROTO_TCP, TCP_KEEPIDLE, kind->effective.time_s);
	if (written & CHANGE_INTVL)
		put(tp, IPPROTO_TCP, TCP_KEEPINTVL, kind->effective.intvl_s);
	if (written & CHANGE_PROBES)
		put(tp, IPPROTO_TCP, TCP_KEEPCNT, kind->effective.probes);
	if (written & CHANGE_USER_TIMEOUT)
		put(tp, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)change->before.user_timeout_ms);
	if (written & (CHANGE_TIME | CHANGE_ON) || change->pauses)
		put_on(tp, change->before.on);
}

static __always_inline __u8 state_of(struct tcp_sock *tp)
{
	return tp->inet_conn.icsk_inet.sk.__sk_common.skc_state;
}

/* Is it one that can be changed: listening, or open and held by a program? */
static __always_inline bool is_open(struct tcp_sock *tp)
{
	/* The FIN timeout of an orphan is keepalive's own timer: it must not be moved. */
	return !has_flag(tp, SOCK_DEAD) && state_of(tp) != TCP_CLOSE;
}

static __always_inline enum set_result change_socket(struct tcp_sock *tp,
						     const struct change_kind *kind,
						     struct changing *change, __s16 *ret_error)
{
	const __u8 state = state_of(tp);
	int r;

	if (!is_open(tp))
		return SET_CLOSING;
	fill_values(&change->before, tp);
	if (compare(change, kind) < 0)
		return SET_CHANGED;
	if (change->todo == 0)
		return SET_HELD;
	if (state != TCP_LISTEN) {
		fill_standing(&change->now, tp);
		change->now.on = change->before.on;
		if (!tcpkeep_force &&
		    change_kills(&change->now, &change->after, change->todo, tcpkeep_mode))
			return SET_KILLS;
		change->credits = change_credits(&change->now, &change->after, tcpkeep_mode);
		change->pauses =
			change_pauses(&change->now, &change->after, change->todo, tcpkeep_mode);
		/* Turned on and probed now: the time has to be written, to count from the last
		 * word. */
		if (change->credits && change->todo & CHANGE_ON && change->before.time_s)
			change->todo |= CHANGE_TIME;
	}
	r = write_all(tp, change);
	if (r == 0)
		return SET_DONE;
	restore(tp, change, kind);
	change->written = 0;
	*ret_error = (__s16)r;
	return SET_FAILED;
}

SEC("iter/tcp")
int tcpkeep_set_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct set_record record = {};
	struct changing *change = &tcpkeep_changing;
	struct change_kind *kind;
	struct set_slot *slot;
	struct tcp_sock *tp;
	__u32 number;

	if (!skc || skc->skc_cookie.counter == 0)
		return 0;
	slot = find_slot((__u64)skc->skc_cookie.counter);
	if (!slot || slot->item & SET_SEEN)
		return 0;
	tp = bpf_skc_to_tcp_sock(skc);
	/* A subflow follows the socket of MPTCP, which is changed in another way. */
	if (!tp || tp->is_mptcp)
		return 0;
	number = slot->kind;
	kind = bpf_map_lookup_elem(&tcpkeep_kinds, &number);
	if (!kind)
		return 0;
	*change = (struct changing){};
	record.item = slot->item;
	record.result = (__u8)change_socket(tp, kind, change, &record.error);
	record.written = (__u8)change->written;
	/* A read that takes less than the kernel's buffer holds always has the room. */
	slot->item |= SET_SEEN;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
