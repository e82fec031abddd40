/* SPDX-License-Identifier: MIT */
/* Makes a scenario happen on its stage: the fault, the settings, what the program does, what comes
 * later. */
#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macro.h"
#include "model.h"

#define FILL_BYTES (128 << 10)
/* The window is closed by then, and no window probe can have been sent (TCP_RTO_MIN). */
#define SETTLE_MS 100

/* --------------------------------------------------------------------------------- the fault */

/* Data passes, a segment without is dropped: a socket filter starts at the TCP header. */
static struct sock_filter deaf_to_empty[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 12), /* data offset, in its upper half */
	BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
	BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 2),
	BPF_STMT(BPF_MISC | BPF_TAX, 0),
	BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
	BPF_JUMP(BPF_JMP | BPF_JGT | BPF_X, 0, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static struct sock_filter deaf[] = {
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static int attach(int fd, struct sock_filter *filter, size_t n)
{
	const struct sock_fprog program = {(unsigned short)n, filter};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											   : 0;
}

static int firewall(struct stage *stage, int netns, const char *hook, const char *verdict)
{
	struct tcpkeep_error error = {0};
	char ruleset[256];
	int r;

	snprintf(ruleset, sizeof(ruleset),
		 "table inet fault {\nchain fault {\ntype filter hook %s priority 0;\n"
		 "tcp dport %d %s\ntcp sport %d %s\n}\n}\n",
		 hook, PORT, verdict, PORT, verdict);
	r = lab_rules(netns, ruleset, &error);
	return r < 0 ? stage_trouble(stage, r, "fault: %s", error.message) : 0;
}

/* A socket in repair is closed without a word to its peer. */
static int vanish(struct stage *stage)
{
	const int on = 1;

	if (setsockopt(stage->peer, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0)
		return -errno;
	close(stage->peer);
	stage->peer = -1;
	return 0;
}

static int inflict(struct stage *stage)
{
	bool ipv6 = stage->scenario->ipv6;

	switch (stage->scenario->fault) {
	case FAULT_NONE:
		return 0;
	case FAULT_FILTER:
	case FAULT_RETURNS:
		return attach(stage->peer, deaf, ARRAY_SIZE(deaf));
	case FAULT_DEAF_TO_EMPTY:
		return attach(stage->peer, deaf_to_empty, ARRAY_SIZE(deaf_to_empty));
	case FAULT_RULE:
		return firewall(stage, stage->peer_netns, "input", "drop");
	case FAULT_GONE:
		return vanish(stage);
	case FAULT_REJECTS:
		return firewall(stage, stage->peer_netns, "input", "reject with tcp reset");
	case FAULT_UNREACHABLE:
		return firewall(stage, stage->peer_netns, "input",
				ipv6 ? "reject with icmpv6 type addr-unreachable"
				     : "reject with icmp type host-unreachable");
	case FAULT_OUTPUT:
		return firewall(stage, stage->netns, "output", "drop");
	}
	return -EINVAL;
}

/* --------------------------------------------------------------------------------- the start */

struct reading {
	int fd;
	struct tcpkeep_effective effective;
};

static int read_inside(void *userdata)
{
	struct reading *reading = userdata;

	return tcpkeep_socket_read(reading->fd, &reading->effective);
}

static bool origin_is(enum tcpkeep_origin origin, bool set, int sysctl, int value)
{
	if (!set)
		return origin == TCPKEEP_ORIGIN_SYSCTL || origin == TCPKEEP_ORIGIN_EITHER;
	return origin == (sysctl == value ? TCPKEEP_ORIGIN_EITHER : TCPKEEP_ORIGIN_SOCKET);
}

/* tcpkeep_socket_read() must show what the model is given. */
static int check_settings(struct stage *stage)
{
	struct reading reading = {.fd = stage->subject};
	const struct tcpkeep_effective *e = &reading.effective;
	const struct tcpkeep_sysctls *sysctls = &stage->kernel.sysctls;
	struct tcpkeep_settings wanted, preset;
	uint32_t set;
	int r;

	tcpkeep_sysctls_to_settings(sysctls, &wanted);
	tcpkeep_settings_merge(&wanted, &(struct tcpkeep_settings){.fields = TCPKEEP_USER_TIMEOUT});
	set = stage->settings.fields;
	if (stage->scenario->preset) {
		tcpkeep_settings_parse(stage->scenario->preset, TCPKEEP_SCOPE_SOCKET, &preset,
				       NULL);
		tcpkeep_settings_merge(&wanted, &preset);
		set |= preset.fields;
	}
	tcpkeep_settings_merge(&wanted, &stage->settings);
	/* The model is told all that the socket has of its own. */
	stage->settings = wanted;
	stage->settings.fields = set;

	r = lab_in_netns(stage->netns, read_inside, &reading);
	if (r < 0)
		return stage_trouble(stage, r, "tcpkeep_socket_read(): %s", strerror(-r));
	if (!tcpkeep_settings_equal(&e->settings, &wanted)) {
		char got[TCPKEEP_SETTINGS_TEXT_MAX] = "", want[TCPKEEP_SETTINGS_TEXT_MAX] = "";

		tcpkeep_settings_format(&e->settings, got, sizeof(got));
		tcpkeep_settings_format(&wanted, want, sizeof(want));
		return stage_trouble(stage, -EIO, "tcpkeep_socket_read() shows %s instead of %s",
				     got, want);
	}
	if (!origin_is(e->time_origin, set & TCPKEEP_TIME, sysctls->time_s, wanted.time_s) ||
	    !origin_is(e->intvl_origin, set & TCPKEEP_INTVL, sysctls->intvl_s, wanted.intvl_s) ||
	    !origin_is(e->probes_origin, set & TCPKEEP_PROBES, sysctls->probes, wanted.probes))
		return stage_trouble(stage, -EIO, "tcpkeep_socket_read() shows origins %s, %s, %s",
				     tcpkeep_origin_name(e->time_origin),
				     tcpkeep_origin_name(e->intvl_origin),
				     tcpkeep_origin_name(e->probes_origin));
	return 0;
}

/* The retransmission timeout as it is now: each acknowledged segment changes it. */
static int read_rto(struct stage *stage)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(stage->subject, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	stage->rto_ms = info.tcpi_rto / 1000;
	return 0;
}

static int do_deed(struct stage *stage)
{
	static const char zeroes[FILL_BYTES];
	ssize_t n;
	int r;

	r = read_rto(stage);
	if (r < 0)
		return r;
	switch (stage->scenario->deed) {
	case DEED_NOTHING:
		return 0;
	case DEED_SEND:
		n = send(stage->subject, zeroes, 100, MSG_NOSIGNAL);
		return n == 100 ? 0 : -errno;
	case DEED_FILL:
		n = send(stage->subject, zeroes, sizeof(zeroes), MSG_NOSIGNAL);
		return n > SMALL_BUFFER ? 0 : -errno;
	case DEED_CLOSE:
		close(stage->subject);
		stage->subject = -1;
		return 0;
	}
	return -EINVAL;
}

static int start_timers(struct stage *stage)
{
	const struct scenario *scenario = stage->scenario;
	unsigned timer;
	int r;

	stage->start_lo_ns = monotonic_ns();
	if (scenario->arming != ARMING_CONNECT) {
		r = tcpkeep_socket_apply(stage->subject, &stage->settings,
					 scenario->probe_now ? TCPKEEP_APPLY_PROBE_NOW : 0, NULL);
		if (r < 0)
			return r;
	}
	if (scenario->arming == ARMING_DIAG) {
		stage->start_lo_ns = monotonic_ns();
		r = diag_look(stage->diag, &stage->local, &stage->remote, &timer, &stage->timer_us);
		if (r < 0)
			return r;
		if (r == 0 || timer != 2)
			return stage_trouble(stage, -EIO, "sock_diag shows no keepalive timer");
	}
	stage->start_hi_ns = monotonic_ns();
	return 0;
}

int stage_start(struct stage *stage)
{
	int r;

	r = inflict(stage);
	if (r == 0)
		r = stage_drain(stage);
	if (r == 0)
		r = start_timers(stage);
	if (r == 0)
		r = check_settings(stage);
	if (r == 0) {
		bool close_it = stage->scenario->deed == DEED_CLOSE;

		if (close_it)
			stage->start_lo_ns = monotonic_ns();
		r = do_deed(stage);
		if (close_it)
			stage->start_hi_ns = monotonic_ns();
	}
	if (r < 0 && !stage->trouble[0])
		return stage_trouble(stage, r, "start: %s", strerror(-r));
	stage->started = true;
	return r;
}

/* ------------------------------------------------------------------------------- under way */

static int apply_again(struct stage *stage)
{
	const int on = 1;
	int r;

	stage->applied_again = true;
	r = tcpkeep_socket_apply(stage->subject, &stage->settings, 0, NULL);
	if (r != 0)
		return stage_trouble(stage, -EIO, "applied again: %d instead of nothing to write",
				     r);
	/* The kernel itself does not start it again either. */
	if (setsockopt(stage->subject, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0)
		return stage_trouble(stage, -errno, "SO_KEEPALIVE: %s", strerror(errno));
	return 0;
}

int stage_advance(struct stage *stage, uint64_t now_ns)
{
	const struct scenario *scenario = stage->scenario;
	uint64_t since_ms = (now_ns - stage->start_lo_ns) / NS_PER_MS;
	const int off = 0;

	if (scenario->again_ms && !stage->applied_again && since_ms >= scenario->again_ms)
		return apply_again(stage);
	if (scenario->deed == DEED_FILL && !stage->settled && since_ms >= SETTLE_MS) {
		stage->settled = true;
		return read_rto(stage);
	}
	if (scenario->fault == FAULT_RETURNS && !stage->returned &&
	    since_ms >= scenario->returns_ms) {
		stage->returned = true;
		stage->returns_lo_ns = monotonic_ns();
		if (setsockopt(stage->peer, SOL_SOCKET, SO_DETACH_FILTER, &off, sizeof(off)) < 0)
			return stage_trouble(stage, -errno, "SO_DETACH_FILTER: %s",
					     strerror(errno));
		stage->returns_hi_ns = monotonic_ns();
	}
	return 0;
}

void stage_look_for_orphan(struct stage *stage)
{
	uint64_t left_us, before = monotonic_ns();
	unsigned timer;

	if (stage->dead)
		return;
	if (diag_look(stage->diag, &stage->local, &stage->remote, &timer, &left_us) != 0) {
		stage->alive_ns = before;
		return;
	}
	stage->dead = true;
	stage->death_lo_ns = stage->alive_ns;
	stage->death_hi_ns = monotonic_ns();
}
