// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * The walks behind `tcpkeep list`: every TCP socket of one network namespace, every descriptor of a
 * socket.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/kernel.h"
#include "bpf/list/list.h"

#define AF_INET  2
#define AF_INET6 10

/* stdint.h of the C library is not for this target. */
#define INT32_MAX  __INT32_MAX__
#define UINT32_MAX __UINT32_MAX__

#define IPPROTO_TCP   6
#define IPPROTO_MPTCP 262

struct inode {
	unsigned long i_ino;
} CORE;

struct file;

struct socket {
	struct sock *sk;
} CORE;

/* What every struct socket that a file stands for is part of. */
struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
} CORE;

struct mptcp_subflow_context {
	struct sock *conn;
} CORE;

struct inet_timewait_sock {
	unsigned char tw_substate;
	struct timer_list tw_timer;
} CORE;

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
} CORE;

struct request_sock {
	__u8 num_retrans;
	struct timer_list rsk_timer;
} CORE;

struct inet_request_sock {
	struct request_sock req;
} CORE;

struct tcp_request_sock {
	struct inet_request_sock req;
} CORE;

struct upid {
	int nr;
} CORE;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} CORE;

struct files_struct;

struct task_struct {
	struct pid *thread_pid;
	struct task_struct *group_leader;
	struct files_struct *files;
	int pid, tgid;
	char comm[16];
} CORE;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} CORE;

/* Set before the load: the kernel's HZ, and whether rows are filtered here. */
const volatile __u32 tcpkeep_hz = 250;
const volatile bool tcpkeep_filtered = false;

/* The selectors, as far as a row can decide them. */
const volatile struct match_program tcpkeep_match = {};

/* The ports that somebody listens on: the walk fills it in, as it meets the listeners first. */
__u8 tcpkeep_listens[LIST_PORTS] = {};

/*
 * How deep the reader's PID namespace lies: 1 = the machine's own; 0 = not known yet. The reader
 * itself cannot tell: its /proc shows only the levels from its own downwards.
 */
__u32 tcpkeep_pid_depth = 0;

/* The last process without a leader: its descriptors, and the thread with which they are told. */
__u64 tcpkeep_led_files = 0;
__u32 tcpkeep_led_tgid = 0, tcpkeep_led_tid = 0;

static __always_inline __u32 to_ms(__u32 ticks, __u32 longest)
{
	return ticks_to_ms(ticks, tcpkeep_hz, longest);
}

static __always_inline void fill_addresses(struct socket_row *row, struct sock_common *skc)
{
	row->family = skc->skc_family;
	row->state = skc->skc_state;
	row->local_port = skc->skc_num;
	row->peer_port = __builtin_bswap16(skc->skc_dport);
	if (skc->skc_family == AF_INET) {
		row->local[2] = row->peer[2] = __builtin_bswap32(0xffff);
		row->local[3] = skc->skc_rcv_saddr;
		row->peer[3] = skc->skc_daddr;
		return;
	}
	for (int i = 0; i < 4; i++) {
		row->local[i] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
		row->peer[i] = skc->skc_v6_daddr.in6_u.u6_addr32[i];
	}
	/* The bit is another's in a connected socket: inet_sk(sk)->ipv6only stands for binding. */
	if ((row->state == TCP_LISTEN || row->state == TCP_CLOSE) &&
	    BPF_CORE_READ_BITFIELD(skc, skc_ipv6only))
		row->flags |= ROW_V6ONLY;
}

static __always_inline __u8 direction_of(const struct socket_row *row)
{
	switch (row->state) {
	case TCP_LISTEN:
		tcpkeep_listens[row->local_port] = 1;
		return ROW_DIRECTION_LISTEN;
	case TCP_SYN_SENT:
		return ROW_DIRECTION_OUT;
	case TCP_SYN_RECV:
	case TCP_NEW_SYN_RECV:
		return ROW_DIRECTION_IN;
	}
	return tcpkeep_listens[row->local_port] ? ROW_DIRECTION_IN : ROW_DIRECTION_OUT;
}

/* enum row_timer of what icsk_pending says. */
static __always_inline __u8 transmit_timer(__u8 pending)
{
	switch (pending) {
	case ICSK_TIME_RETRANS:
	case ICSK_TIME_LOSS_PROBE:
	case ICSK_TIME_REO:
		return ROW_TIMER_RETRANSMIT;
	case ICSK_TIME_PROBE0:
		return ROW_TIMER_WINDOW_PROBE;
	}
	return ROW_TIMER_NONE;
}

static __always_inline __s32 due_ms(unsigned long expires)
{
	return (__s32)to_ms(ticks_until(expires), INT32_MAX);
}

static __always_inline void fill_timer(struct socket_row *row, struct tcp_sock *tp)
{
	unsigned long expires;
	__u8 level;
	/* A listener's is armed by nobody: tcp_set_keepalive(). */
	bool armed = keepalive_timer(tp, &expires, &level) && row->state != TCP_LISTEN;

	row->known |= ROW_KNOWN_TIMER;
	if (armed) {
		row->known |= ROW_KNOWN_BUCKET;
		row->expires_tick = (__u32)expires;
		row->timer_level = level;
	}
	row->timer = transmit_timer(tp->inet_conn.icsk_pending);
	if (row->timer) {
		row->timer_ms = due_ms(tp->inet_conn.icsk_retransmit_timer.expires);
	} else {
		if (!armed)
			return;
		row->timer = ROW_TIMER_KEEPALIVE;
		row->timer_ms = due_ms(expires);
	}
	row->probes_out = tp->inet_conn.icsk_probes_out;
	row->retransmits = tp->inet_conn.icsk_retransmits;
}

static __always_inline void fill_transfer(struct socket_row *row, struct tcp_sock *tp)
{
	if (row->state == TCP_LISTEN) {
		row->unsent = tp->inet_conn.icsk_inet.sk.sk_ack_backlog;
		return;
	}
	if (row->state == TCP_CLOSE || row->state == TCP_SYN_SENT)
		return;
	row->silence_ms = to_ms(silence_ticks(tp), UINT32_MAX);
	row->known |= ROW_KNOWN_SILENCE;
	row->unacked = tp->snd_nxt - tp->snd_una;
	row->unsent = tp->write_seq - tp->snd_nxt;
}

static __always_inline void fill_settings(struct socket_row *row, struct tcp_sock *tp)
{
	row->known |= ROW_KNOWN_KEEPALIVE | ROW_KNOWN_SETTINGS | ROW_KNOWN_ORIGIN |
		      ROW_KNOWN_USER_TIMEOUT;
	if (has_flag(tp, SOCK_KEEPOPEN))
		row->flags |= ROW_KEEPALIVE;
	row->time_s = (__s32)(tp->keepalive_time / tcpkeep_hz);
	row->intvl_s = (__s32)(tp->keepalive_intvl / tcpkeep_hz);
	row->probes = tp->keepalive_probes;
	row->user_timeout_ms = tp->inet_conn.icsk_user_timeout;
}

/* What is left of a connection that its program has closed: no socket, and no settings. */
static __always_inline void fill_time_wait(struct socket_row *row, struct tcp_timewait_sock *tw)
{
	row->state = tw->tw_sk.tw_substate;
	row->known |= ROW_KNOWN_TIMER;
	row->timer = ROW_TIMER_TIME_WAIT;
	row->timer_ms = due_ms(tw->tw_sk.tw_timer.expires);
	if (row->state != TCP_TIME_WAIT)
		row->flags |= ROW_ORPHAN;
}

/* What there is of a connection before its handshake has ended. */
static __always_inline void fill_request(struct socket_row *row, struct tcp_request_sock *request)
{
	row->known |= ROW_KNOWN_TIMER;
	row->timer = ROW_TIMER_SYN_ACK;
	row->timer_ms = due_ms(request->req.req.rsk_timer.expires);
	row->retransmits = request->req.req.num_retrans;
}

/*
 * A program holds the MPTCP socket, not the subflow: the owners' walk, which goes first, has given
 * it its cookie. bpf_skc_to_mptcp_sock() is refused to iterators.
 */
static __always_inline __u64 mptcp_cookie(struct tcp_sock *tp)
{
	struct mptcp_subflow_context *subflow = tp->inet_conn.icsk_ulp_data;
	struct sock_common *conn = (struct sock_common *)BPF_CORE_READ(subflow, conn);

	return (__u64)BPF_CORE_READ(conn, skc_cookie.counter);
}

static __always_inline void fill_identity(struct socket_row *row, struct tcp_sock *tp)
{
	struct socket_alloc *socket = (void *)tp->inet_conn.icsk_inet.sk.sk_socket;
	struct cgroup *cgroup = tp->inet_conn.icsk_inet.sk.sk_cgrp_data.cgroup;

	if (cgroup) {
		row->cgroup = cgroup->kn->id;
		row->known |= ROW_KNOWN_CGROUP;
	}
	/* A connection that is not accepted yet has no struct socket either, but is not dead. */
	if (has_flag(tp, SOCK_DEAD))
		row->flags |= ROW_ORPHAN;
	if (socket)
		row->inode = (__u32)BPF_CORE_READ(socket, vfs_inode.i_ino);
	row->cookie = bpf_get_socket_cookie(tp);
	if (tp->is_mptcp) {
		row->flags |= ROW_MPTCP;
		row->cookie = mptcp_cookie(tp);
	}
}

static __always_inline void fill_full(struct socket_row *row, struct tcp_sock *tp)
{
	fill_settings(row, tp);
	fill_timer(row, tp);
	fill_transfer(row, tp);
}

static __always_inline void fill_mini(struct socket_row *row, struct sock_common *skc)
{
	struct tcp_timewait_sock *tw = bpf_skc_to_tcp_timewait_sock(skc);
	struct tcp_request_sock *request = bpf_skc_to_tcp_request_sock(skc);

	if (tw)
		fill_time_wait(row, tw);
	if (request)
		fill_request(row, request);
}

/*
 * A function of its own, verified once: tcpkeep_match is read-only, so that the verifier follows
 * the one path that these selectors take, whatever their number.
 */
__noinline int tcpkeep_matches(const struct socket_row *row)
{
	const struct match_program *program = (const struct match_program *)&tcpkeep_match;

	/* Hides from the compiler that it is all zero. */
	asm("" : "+r"(program));
	return row ? match_row(program, row) : 0;
}

SEC("iter/tcp")
int tcpkeep_list_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct socket_row row = {};
	struct tcp_sock *tp;

	if (!skc)
		return 0;
	fill_addresses(&row, skc);
	row.direction = direction_of(&row);
	row.uid = ctx->uid;
	tp = bpf_skc_to_tcp_sock(skc);
	if (tp)
		fill_full(&row, tp);
	else
		fill_mini(&row, skc);
	if (tcpkeep_filtered && !tcpkeep_matches(&row))
		return 0;
	if (tp)
		fill_identity(&row, tp);
	/* A row for which the buffer has no room comes again with the next read. */
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

static __always_inline __u32 reader_level(void)
{
	if (tcpkeep_pid_depth == 0) {
		struct task_struct *reader = (struct task_struct *)bpf_get_current_task();

		tcpkeep_pid_depth = BPF_CORE_READ(reader, thread_pid, level) + 1;
	}
	return tcpkeep_pid_depth - 1;
}

/* The number of the process in the reader's PID namespace; 0: it has none any more. */
static __always_inline __u32 pid_of(struct task_struct *task)
{
	const __u32 level = reader_level();
	const char *numbers;

	if (level == 0)
		return task->tgid;
	/* One number for each level: the running kernel's struct upid is longer than ours. */
	numbers = (const char *)BPF_CORE_READ(task, group_leader, thread_pid) +
		  bpf_core_field_offset(struct pid, numbers);
	numbers += level * bpf_core_type_size(struct upid);
	return BPF_CORE_READ((struct upid *)numbers, nr);
}

/*
 * Are these the descriptors of the process? The walk comes by each thread that does not share its
 * leader's. A thread may have made itself some of its own, unshare(CLONE_FILES): what has a number
 * there has another one, or none, in /proc/PID/fd, which is the leader's, and is not told. Of a
 * leader that has ended before its threads nothing is left: theirs are told then, once.
 */
static __always_inline bool are_the_processes(struct task_struct *task)
{
	__u64 files = (__u64)task->files;
	__u64 leaders = (__u64)BPF_CORE_READ(task, group_leader, files);

	if (files == leaders || leaders)
		return files == leaders;
	if (files == tcpkeep_led_files && (__u32)task->tgid == tcpkeep_led_tgid)
		return (__u32)task->pid == tcpkeep_led_tid;
	tcpkeep_led_files = files;
	tcpkeep_led_tgid = (__u32)task->tgid;
	tcpkeep_led_tid = (__u32)task->pid;
	return true;
}

static __always_inline bool is_tcp(struct sock *sk)
{
	__u16 family = ((struct sock_common *)sk)->skc_family;
	__u16 protocol = ((struct tcp_sock *)sk)->inet_conn.icsk_inet.sk.sk_protocol;

	return (family == AF_INET || family == AF_INET6) &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

SEC("iter/task_file")
int tcpkeep_list_owners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct list_owner row = {};
	struct socket_alloc *socket;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = (void *)bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->socket.sk;
	if (!sk || !is_tcp(sk) || !are_the_processes(task))
		return 0;
	row.cookie = bpf_get_socket_cookie(sk);
	row.pid = pid_of(task);
	if (row.pid == 0)
		return 0;
	row.fd = ctx->fd;
	BPF_CORE_READ_STR_INTO(&row.comm, task, group_leader, comm);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
