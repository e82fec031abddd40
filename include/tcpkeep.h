/* SPDX-License-Identifier: MIT */
/*
 * libtcpkeep: TCP keepalive on Linux, right in three lines of C.
 *
 *	struct tcpkeep_settings s = TCPKEEP_SETTINGS(60, 10, 6);
 *	int r = tcpkeep_socket_apply(fd, &s, 0, NULL);
 *	if (r < 0) ...
 *
 * Conventions, the same for every function here:
 *
 *  - the result is 0 or a positive outcome that the function documents, or a negative errno;
 *  - out-parameters are named ret_* and written only on success, but for ret_error, which is
 *written only on failure; a pointer that may be NULL says so;
 *  - nothing is printed, logged, kept between calls or read from the environment; no signal handler
 *    is installed; every function may be called from any thread. Only the netns and persist
 *functions allocate, and free it before they return; entering another network namespace starts a
 *thread and waits for its end;
 *  - descriptors stay the caller's: none is closed, none is kept;
 *  - a name carries its unit: _s seconds, _ms milliseconds, _us microseconds.
 *
 * Facts are cited by the kernel file that they come from (Linux 6.12) or by RFC section.
 */
#ifndef TCPKEEP_H
#define TCPKEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TCPKEEP_VERSION "0.1.0"

/* The version of the library that is loaded, which may be newer than TCPKEEP_VERSION. Static. */
const char *tcpkeep_version(void);

/* ------------------------------------------------------------------------------------ errors */

/* Why a call failed, in words for a person: what, why, what would be accepted. */
struct tcpkeep_error {
	size_t offset;     /* where in the text that was parsed; 0 when there was none */
	size_t length;     /* how many bytes of it are wrong; 0 = the place, not a span */
	char message[240]; /* one line, no newline at the end; bytes from the text are escaped */
};

/* ---------------------------------------------------------------------------------- settings */

enum tcpkeep_field {
	TCPKEEP_ON = 1 << 0,     /* SO_KEEPALIVE */
	TCPKEEP_TIME = 1 << 1,   /* TCP_KEEPIDLE, tcp_keepalive_time */
	TCPKEEP_INTVL = 1 << 2,  /* TCP_KEEPINTVL, tcp_keepalive_intvl */
	TCPKEEP_PROBES = 1 << 3, /* TCP_KEEPCNT, tcp_keepalive_probes */
	TCPKEEP_USER_TIMEOUT =
		1 << 4, /* TCP_USER_TIMEOUT, RFC 5482 (Linux: the local option only) */
	TCPKEEP_THREE = TCPKEEP_TIME | TCPKEEP_INTVL | TCPKEEP_PROBES,
	TCPKEEP_ALL = TCPKEEP_ON | TCPKEEP_THREE | TCPKEEP_USER_TIMEOUT,
};

/* Ranges. A socket's: do_tcp_setsockopt() in net/ipv4/tcp.c, MAX_TCP_* in include/net/tcp.h. */
#define TCPKEEP_TIME_MAX_S          32767
#define TCPKEEP_INTVL_MAX_S         32767
#define TCPKEEP_PROBES_MAX          127
#define TCPKEEP_USER_TIMEOUT_MAX_MS INT32_MAX
/*
 * The sysctls': proc_dointvec_jiffies() takes up to INT_MAX/HZ seconds, here the bound of HZ=1000;
 * tcp_keepalive_probes is a u8. The kernel also takes 0 and negatives, which kill healthy
 * connections or never probe: this library refuses them.
 */
#define TCPKEEP_SYSCTL_MAX_S      2147483
#define TCPKEEP_SYSCTL_PROBES_MAX 255

/*
 * What a caller wants, or what holds. Only members whose bit is in fields count: a partial update
 * knows which values it has. The kernel's names; seconds, but for the user timeout.
 */
struct tcpkeep_settings {
	uint32_t fields;     /* enum tcpkeep_field */
	bool on;             /* SO_KEEPALIVE */
	int time_s;          /* silence until the first probe */
	int intvl_s;         /* between probes, and from the last one to death */
	int probes;          /* unanswered probes until death */
	int user_timeout_ms; /* 0: none. With one, it replaces the count of probes */
};

#define TCPKEEP_SETTINGS(TIME_S, INTVL_S, PROBES)                                                  \
	{                                                                                          \
		TCPKEEP_ON | TCPKEEP_THREE, true, (TIME_S), (INTVL_S), (PROBES), 0                 \
	}

/* Which ranges and keys hold: those of a socket, or those of the three sysctls. */
enum tcpkeep_scope {
	TCPKEEP_SCOPE_SOCKET = 0,
	TCPKEEP_SCOPE_SYSCTL = 1,
};

/*
 * Parses "time=60 intvl=10 probes=6 user-timeout=2m", words joined by blanks or commas; "on" and
 * "off" are words of their own. Durations: 60, 60s, 2m, 1h30m, 1d; 500ms for the user timeout only;
 * "user-timeout=off" is 0. The spellings idle, interval, count and cnt are accepted.
 *
 * -EINVAL: not understood, or one key given two values; -ERANGE: understood and out of range;
 * -ENOKEY: a key that is not one of ours. An empty text is -EINVAL: it asks for nothing.
 */
int tcpkeep_settings_parse(const char *text, enum tcpkeep_scope scope, struct tcpkeep_settings *ret,
			   struct tcpkeep_error *ret_error);

/*
 * Parses one word of that language, len bytes, and adds it to *settings. The same errors; on
 * failure *settings is as it was. -ENOKEY lets a caller try the word as something else.
 */
int tcpkeep_settings_parse_word(const char *word, size_t len, enum tcpkeep_scope scope,
				struct tcpkeep_settings *settings, struct tcpkeep_error *ret_error);

/* Room for every text that tcpkeep_settings_format() makes, with the NUL. */
#define TCPKEEP_SETTINGS_TEXT_MAX 96

/*
 * Writes settings in the language of tcpkeep_settings_parse(), which reads it back to the same.
 * Returns the length without the NUL, or -ENOBUFS.
 */
int tcpkeep_settings_format(const struct tcpkeep_settings *settings, char *buf, size_t size);

/* -ERANGE when a value that is present is out of the scope's range; -EINVAL for a stray field. */
int tcpkeep_settings_validate(const struct tcpkeep_settings *settings, enum tcpkeep_scope scope,
			      struct tcpkeep_error *ret_error);

/* Every field that over has replaces base's. */
void tcpkeep_settings_merge(struct tcpkeep_settings *base, const struct tcpkeep_settings *over);

bool tcpkeep_settings_equal(const struct tcpkeep_settings *a, const struct tcpkeep_settings *b);

/* Legal and dangerous: what a caller should hear. A bit each. */
enum tcpkeep_warning {
	TCPKEEP_WARN_ONE_PROBE = 1 << 0, /* probes=1: one lost packet kills (RFC 9293 3.8.4) */
	TCPKEEP_WARN_USER_TIMEOUT_SHORT = 1 << 1, /* user timeout <= time+intvl: the same */
	TCPKEEP_WARN_INTVL_ZERO = 1 << 2,         /* intvl<=0 from the sysctl: a probe each tick */
	TCPKEEP_WARN_PROBES_ZERO = 1 << 3, /* probes=0 from the sysctl: dies with no probe sent */
	TCPKEEP_WARN_TIME_NEVER = 1 << 4,  /* time<=0 from the sysctl: never, or at once */
	TCPKEEP_WARN_USER_TIMEOUT_HUGE = 1 << 5, /* over a day: milliseconds meant? */
	TCPKEEP_WARN_USER_TIMEOUT_OFF = 1 << 6,  /* keepalive off: nothing for an idle socket */
	TCPKEEP_WARN_CHATTY = 1 << 7,            /* a probe period below 10 s: over 360 an hour */
	TCPKEEP_WARN_INTVL_OVER_TIME = 1 << 8, /* intvl > time: probes come each intvl, not time */
};

/* Which warnings the settings earn. Judges only fields that are present. */
uint32_t tcpkeep_settings_warnings(const struct tcpkeep_settings *settings);

/* The words for one warning, with the numbers in them. Returns the length or -ENOBUFS, -EINVAL. */
int tcpkeep_warning_format(enum tcpkeep_warning warning, const struct tcpkeep_settings *settings,
			   char *buf, size_t size);

/* -------------------------------------------------------------------------- socket options */

/* Where an effective value comes from. */
enum tcpkeep_origin {
	TCPKEEP_ORIGIN_UNKNOWN = 0, /* the socket is in another network namespace */
	TCPKEEP_ORIGIN_SOCKET,      /* set on the socket */
	TCPKEEP_ORIGIN_SYSCTL,      /* the network namespace's sysctl */
	/* Equal to the sysctl: getsockopt() cannot tell whether the socket has the same of its own.
	 */
	TCPKEEP_ORIGIN_EITHER,
};

/* "socket", "sysctl", "either", "unknown". Static. */
const char *tcpkeep_origin_name(enum tcpkeep_origin origin);

/* What the kernel will use for one socket. */
struct tcpkeep_effective {
	struct tcpkeep_settings settings; /* MPTCP: fields lacks what this kernel cannot read */
	enum tcpkeep_origin time_origin;
	enum tcpkeep_origin intvl_origin;
	enum tcpkeep_origin probes_origin;
	/* on and the user timeout can only come from the socket */
};

/*
 * Reads a TCP or MPTCP socket, whatever its state and family. Three getsockopt() of a fresh socket
 * serve as the sysctls: procfs is not needed.
 * -EBADF, -ENOTSOCK; -EPROTOTYPE: a socket, but not TCP; -EMFILE and the like.
 */
int tcpkeep_socket_read(int fd, struct tcpkeep_effective *ret);

enum tcpkeep_apply_flags {
	/*
	 * Writing TCP_KEEPIDLE to a socket that has been idle for longer probes at once and counts
	 * that probe (tcp_sock_set_keepidle_locked()). By default a socket idle that long is turned
	 * off and on around the write, which starts a full time from now. With this flag it is not.
	 */
	TCPKEEP_APPLY_PROBE_NOW = 1 << 0,
};

/* What tcpkeep_socket_apply() did. */
struct tcpkeep_applied {
	uint32_t written; /* fields that were written */
	uint32_t held;    /* fields that already had the value: not written */
	uint32_t failed; /* on failure: the one field that the kernel refused, 0 = none was tried */
	uint32_t restored; /* on failure: fields put back. The value is right; one that came from
			    * the sysctl is the socket's own now: the kernel knows no way back */
};

/*
 * Makes the settings hold on a socket: listeners (accepted sockets inherit), connected ones, IPv4,
 * IPv6, MPTCP. Reads first and writes only what differs. All or nothing: what this kernel cannot do
 * on this socket is found before the first write, and a failure half way puts back what was there.
 *
 * Returns the number of options written, 0 when all held. -EBADF, -ENOTSOCK, -EPROTOTYPE (not TCP),
 * -EOPNOTSUPP (an option that this kernel lacks on MPTCP), -ERANGE, -EINVAL; others from the
 * kernel. ret may be NULL; it is written on failure too.
 */
int tcpkeep_socket_apply(int fd, const struct tcpkeep_settings *settings, unsigned flags,
			 struct tcpkeep_applied *ret);

/* ---------------------------------------------------------------------------------- sysctls */

/* net.ipv4.tcp_keepalive_{time,intvl,probes}, for IPv6 too, as the kernel holds them: 0 and
 * negatives can stand here. One set for each network namespace since Linux 4.5. */
struct tcpkeep_sysctls {
	int time_s;
	int intvl_s;
	int probes;
};

/* The kernel's defaults, which a new network namespace gets. TCP_KEEPALIVE_* in include/net/tcp.h,
 * RFC 9293 3.8.4. */
#define TCPKEEP_SYSCTLS_DEFAULT                                                                    \
	{                                                                                          \
		7200, 75, 9                                                                        \
	}

/* Stands for the caller's own network namespace. */
#define TCPKEEP_NETNS_OWN (-1)

/*
 * Reads the three through procfs. netns: TCPKEEP_NETNS_OWN or a descriptor of a network namespace,
 * which a short-lived thread enters: the caller's thread stays where it is, and CAP_SYS_ADMIN is
 * needed. ret_error (may be NULL) tells apart: procfs not mounted, another PID namespace's, no
 * sysctl support, no IPv4.
 */
int tcpkeep_sysctls_read(int netns, struct tcpkeep_sysctls *ret, struct tcpkeep_error *ret_error);

/*
 * Writes the fields of settings (TCPKEEP_THREE only), reads each back, and puts back what was there
 * when one fails. -ERANGE and -EINVAL as tcpkeep_settings_validate() with TCPKEEP_SCOPE_SYSCTL;
 * -EROFS, -EACCES, -EPERM, -EIO: another value was read back. ret_before may be NULL.
 */
int tcpkeep_sysctls_write(int netns, const struct tcpkeep_settings *settings,
			  struct tcpkeep_sysctls *ret_before, struct tcpkeep_error *ret_error);

/* The same three as settings, with TCPKEEP_THREE in fields. */
void tcpkeep_sysctls_to_settings(const struct tcpkeep_sysctls *sysctls,
				 struct tcpkeep_settings *ret);

/* ------------------------------------------------------------------- sysctls over a reboot */

/* The file that tcpkeep_persist_write() keeps, below root. */
#define TCPKEEP_PERSIST_FILE "/etc/sysctl.d/90-tcpkeep.conf"

enum tcpkeep_persist_result {
	TCPKEEP_PERSIST_UNCHANGED = 0, /* the file already says so */
	TCPKEEP_PERSIST_WRITTEN = 1,
};

/*
 * Makes settings (TCPKEEP_THREE only) last: sets the keys in TCPKEEP_PERSIST_FILE, keeps every
 * other line, replaces the file atomically. root: "" or a directory that stands for /. ret_error
 * may be NULL. With dry_run nothing is written and the result is what would be.
 */
int tcpkeep_persist_write(const char *root, const struct tcpkeep_settings *settings, bool dry_run,
			  struct tcpkeep_error *ret_error);

/* One assignment of one of the three keys in a sysctl.d file. */
struct tcpkeep_persisted {
	const char *path;  /* without root; valid during the call only */
	unsigned line;     /* 1.. */
	uint32_t field;    /* one bit of TCPKEEP_THREE */
	const char *value; /* the text as it stands there */
	bool wins;         /* the last one for its key: what a boot makes hold */
};

/*
 * Calls fn for each such assignment, in the order in which systemd-sysctl applies them
 * (sysctl.d(5): by file name over /etc, /run, /usr/local/lib, /usr/lib; the first directory hides
 * the same name in the others). fn's non-zero result ends the walk and is returned.
 */
int tcpkeep_persist_foreach(const char *root,
			    int (*fn)(const struct tcpkeep_persisted *persisted, void *userdata),
			    void *userdata, struct tcpkeep_error *ret_error);

/* ------------------------------------------------------------------------ network namespaces */

/*
 * Opens a network namespace by its name (a file in /run/netns, see ip-netns(8)), by a path, or by
 * one of its processes. Returns a new descriptor, the caller's to close, close-on-exec.
 */
int tcpkeep_netns_open(const char *name_or_path, struct tcpkeep_error *ret_error);
int tcpkeep_netns_open_pid(int pid, struct tcpkeep_error *ret_error);

/* A network namespace of this machine. Valid during the call only. */
struct tcpkeep_netns {
	int fd;           /* for tcpkeep_sysctls_read(); -1 when it may not be opened */
	uint64_t inode;   /* what /proc/PID/ns/net shows: net:[4026531840] */
	bool own;         /* the caller's */
	const char *name; /* from /run/netns, or the path of a bind mount elsewhere; NULL = none */
	const int *pids;  /* processes in it that may be seen, ascending */
	size_t n_pids;
};

/*
 * Calls fn for every network namespace that a process, a name in /run/netns or another bind mount
 * holds, the caller's own first, then by inode. What vanishes meanwhile is left out. fn's non-zero
 * result ends the walk and is returned. ret_hidden (may be NULL): processes whose namespace could
 * not be read.
 */
int tcpkeep_netns_foreach(int (*fn)(const struct tcpkeep_netns *netns, void *userdata),
			  void *userdata, size_t *ret_hidden);

/* ---------------------------------------------------------------------------- the timeline */

#define TCPKEEP_NEVER UINT64_MAX

/* What the kernel contributes. See tcpkeep_kernel_read(). */
struct tcpkeep_kernel {
	unsigned hz;                    /* CONFIG_HZ: 100, 250, 300, 1000 */
	struct tcpkeep_sysctls sysctls; /* for what a socket has not set */
	int retries2;                   /* net.ipv4.tcp_retries2 */
	int orphan_retries;             /* net.ipv4.tcp_orphan_retries, 0 = 8 */
	unsigned rto_max_ms;            /* net.ipv4.tcp_rto_max_ms; 120000 before Linux 6.15 */
	unsigned fin_timeout_s;         /* net.ipv4.tcp_fin_timeout */
};

#define TCPKEEP_KERNEL_DEFAULT                                                                     \
	{                                                                                          \
		250, TCPKEEP_SYSCTLS_DEFAULT, 15, 0, 120000, 60                                    \
	}

/* Reads them for a network namespace; what cannot be read keeps the kernel's default and is counted
 * in the result (>= 0). HZ is the resolution of CLOCK_MONOTONIC_COARSE: a tick. */
int tcpkeep_kernel_read(int netns, struct tcpkeep_kernel *ret);

enum tcpkeep_condition {
	TCPKEEP_CONDITION_IDLE = 0,    /* nothing outstanding: keepalive's own case */
	TCPKEEP_CONDITION_IN_FLIGHT,   /* data sent and not acknowledged: retransmission's case */
	TCPKEEP_CONDITION_ZERO_WINDOW, /* data queued, window closed: the window probes' case */
	TCPKEEP_CONDITION_ORPHAN_FIN_WAIT2, /* closed by the program: the FIN timeout's case */
};

enum tcpkeep_peer {
	TCPKEEP_PEER_SILENT = 0, /* gone: nothing comes back */
	TCPKEEP_PEER_RESETS,     /* answers the first packet that reaches it with a reset */
	TCPKEEP_PEER_RETURNS,    /* silent, answers again from returns_us on */
	TCPKEEP_PEER_ANSWERS,    /* healthy */
};

/* The timer wheel makes every timer late, by up to an eighth (kernel/time/timer.c). How late
 * depends on where in its buckets a timer starts. */
enum tcpkeep_wheel {
	TCPKEEP_WHEEL_LATEST = 0, /* the worst case */
	TCPKEEP_WHEEL_EARLIEST,   /* the best case */
	TCPKEEP_WHEEL_EXACT,      /* from start_jiffies: to the tick */
};

/* A connection, and what happens to it. Zeroed, it is: idle, heard from just now, silent peer. */
struct tcpkeep_situation {
	struct tcpkeep_settings settings; /* fields that are missing: the sysctls, off, none */
	enum tcpkeep_condition condition;
	enum tcpkeep_peer peer;
	uint64_t returns_us; /* TCPKEEP_PEER_RETURNS: when, counted from the start */
	uint64_t rtt_us;     /* an answer takes so long */
	bool orphan;         /* the program has closed it: fewer retries (tcp_orphan_retries) */

	/* Where it stands at the start: all zero for one that heard from its peer just now. */
	uint64_t silence_us; /* since data or a valid ACK was received */
	int probes_out;      /* sent and unanswered */
	bool timer_known;    /* the timer fires in timer_us */
	uint64_t timer_us;

	/* Data in flight, zero window. 0: 200 ms, TCP_RTO_MIN, what a short path has. */
	unsigned rto_ms;           /* the retransmission timeout, before any backoff */
	unsigned first_timeout_ms; /* from the start to the first timeout; 0 = rto_ms. Longer with a
				    * tail loss probe, which restarts the timer */

	enum tcpkeep_wheel wheel;
	uint64_t start_jiffies; /* TCPKEEP_WHEEL_EXACT: the tick at the start, modulo 2^32 or not */
};

enum tcpkeep_event_kind {
	TCPKEEP_EVENT_END = 0,      /* nothing more will ever happen: TCPKEEP_NEVER */
	TCPKEEP_EVENT_PROBE,        /* a keepalive probe is sent */
	TCPKEEP_EVENT_RETRANSMIT,   /* the oldest data is sent again */
	TCPKEEP_EVENT_WINDOW_PROBE, /* a zero window probe is sent */
	TCPKEEP_EVENT_ANSWER,       /* the peer's answer is received */
	TCPKEEP_EVENT_DEATH,        /* the kernel gives up: error says with what */
	TCPKEEP_EVENT_RESET,        /* the peer's reset is received: ECONNRESET */
	TCPKEEP_EVENT_FREED,        /* an orphan goes away without an error */
};

/* "probe", "retransmit", "window-probe", "answer", "death", "reset", "freed", "end". Static. */
const char *tcpkeep_event_name(enum tcpkeep_event_kind kind);

struct tcpkeep_event {
	enum tcpkeep_event_kind kind;
	uint64_t at_us; /* from the start */
	unsigned count; /* probes or retransmissions so far, this one included */
	int error;      /* what the program gets: DEATH, RESET (in CLOSE_WAIT EPIPE) */
};

/* The model's state, on the caller's stack. Nothing in it is for the caller. */
struct tcpkeep_timeline {
	uint64_t opaque_[48];
};

/*
 * The pure model of net/ipv4/tcp_timer.c, held against the kernel by tests/net: no clock, no I/O,
 * integers only. Init, then next: each call gives the next event, in order of time. After DEATH,
 * RESET, FREED or END it keeps giving END. A connection whose peer answers goes on for ever: the
 * caller stops. next returns 1, or 0 with END.
 */
int tcpkeep_timeline_init(struct tcpkeep_timeline *timeline,
			  const struct tcpkeep_situation *situation,
			  const struct tcpkeep_kernel *kernel);
int tcpkeep_timeline_next(struct tcpkeep_timeline *timeline, struct tcpkeep_event *ret);

/* The worst case until a dead peer is noticed, in each condition; TCPKEEP_NEVER. */
struct tcpkeep_detection {
	uint64_t idle_us;
	uint64_t in_flight_us;
	uint64_t zero_window_us;
	uint64_t zero_window_answered_us; /* a healthy peer that keeps its window closed */
};

int tcpkeep_detection(const struct tcpkeep_settings *settings, const struct tcpkeep_kernel *kernel,
		      struct tcpkeep_detection *ret);

/* Between two probes on a healthy idle connection; TCPKEEP_NEVER when it is off. Above 0. */
uint64_t tcpkeep_probe_period_us(const struct tcpkeep_settings *settings,
				 const struct tcpkeep_kernel *kernel);

/* Ticks after which a timer of delay ticks, started at tick now, fires: calc_wheel_index() and
 * calc_index() in kernel/time/timer.c. */
uint64_t tcpkeep_wheel_delay(uint64_t now, uint64_t delay);

/* The same, at worst: delay plus its bucket. */
uint64_t tcpkeep_wheel_latest(uint64_t delay);

#ifdef __cplusplus
}
#endif

#endif
