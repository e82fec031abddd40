/* SPDX-License-Identifier: MIT */
#include "explain-socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/number.h"
#include "base/pidfd.h"
#include "cli.h"
#include "process.h"

/* include/uapi/linux/in.h, which older C libraries lack. */
#define PROTOCOL_MPTCP 262

#define TARGET_SHOWN 96

bool live_socket_is_meant(const char *word)
{
	return *word >= '0' && *word <= '9' && strchr(word, ':');
}

static int parse(const char *word, int *ret_pid, int *ret_fd)
{
	size_t len = strcspn(word, ":");
	int64_t pid, fd;
	char shown[64];

	if (number_parse(word, len, 1, INT32_MAX, &pid) < 0 ||
	    number_parse(word + len + 1, strlen(word + len + 1), 0, INT32_MAX, &fd) < 0) {
		say_error(
			"explain: '%s' is no socket; write PID:FD, two numbers, as tcpkeep list -o pid,fd shows them",
			escape_text(word, strlen(word), shown, sizeof(shown)));
		return EXIT_USAGE;
	}
	*ret_pid = (int)pid;
	*ret_fd = (int)fd;
	return EXIT_DONE;
}

static int fail_errno(int pid, int r)
{
	if (r == -ENOENT || r == -ESRCH) {
		say_error("explain: there is no process %d", pid);
		return EXIT_FAILED;
	}
	say_error(
		"explain: process %d: its descriptors may not be seen: %s; run as root, or as its user",
		pid, strerror(-r));
	return EXIT_LACKING;
}

/* Is there such a descriptor, and is it a socket? Then its inode. */
static int check_descriptor(int pid, int fd, int64_t *ret_inode)
{
	static const char prefix[] = "socket:[";
	const size_t skip = sizeof(prefix) - 1;
	char path[64], target[256], shown[TARGET_SHOWN];
	struct process process;
	ssize_t n;
	int r;

	r = process_read(pid, &process);
	if (r < 0)
		return fail_errno(pid, r);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0 && errno == ENOENT) {
		say_error("explain: process %d (%s) has no descriptor %d", pid,
			  escape_text(process.name, strlen(process.name), shown, sizeof(shown)),
			  fd);
		return EXIT_FAILED;
	}
	if (n < 0)
		return fail_errno(pid, -errno);
	if ((size_t)n > skip + 1 && memcmp(target, prefix, skip) == 0 &&
	    number_parse(target + skip, (size_t)n - skip - 1, 1, INT64_MAX, ret_inode) == 0)
		return EXIT_DONE;
	say_error("explain: %d:%d is no socket: %s", pid, fd,
		  escape_text(target, (size_t)n, shown, sizeof(shown)));
	return EXIT_FAILED;
}

/* ------------------------------------------------------------------------- why it is not there */

static const char *protocol_name(int domain, int type, int protocol)
{
	if (domain == AF_UNIX)
		return "a UNIX socket";
	if (domain == AF_NETLINK)
		return "a netlink socket";
	if (domain == AF_PACKET)
		return "a packet socket";
	if (domain != AF_INET && domain != AF_INET6)
		return "a socket of another family";
	if (type == SOCK_RAW)
		return "a raw socket";
	return protocol == IPPROTO_UDP ? "a UDP socket" : "a socket of another protocol";
}

/* A duplicate of the descriptor tells what it is, where ptrace access allows one. */
static const char *what_it_is(int pid, int fd)
{
	_cleanup_close_ int pidfd = pidfd_of(pid, 0), copy = -1;
	int domain, type, protocol;
	socklen_t len = sizeof(int);

	if (pidfd >= 0)
		copy = pidfd_duplicate(pidfd, fd);
	if (copy < 0 || getsockopt(copy, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    getsockopt(copy, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(copy, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0)
		return "no TCP socket, or was closed meanwhile";
	if (protocol == IPPROTO_TCP || protocol == PROTOCOL_MPTCP)
		return "a TCP socket that is neither bound nor connected: nothing happens to it";
	return protocol_name(domain, type, protocol);
}

static int fail_not_found(int pid, int fd, const struct snapshot_report *report)
{
	if (report->processes_hidden && *report->missing)
		say_warning("explain: %s", report->missing);
	say_error("explain: %d:%d is %s", pid, fd, what_it_is(pid, fd));
	return EXIT_FAILED;
}

/* ------------------------------------------------------------------------------------ finding */

struct search {
	struct live_socket *found;
	int pid, fd;
	int64_t inode; /* of the socket that the descriptor stood for, before the walk */
};

/* The descriptor may have become another socket's since, or been so when the owners were read. */
static bool is_meant(const struct search *search, const struct socket_row *socket)
{
	if (socket->inode != (uint32_t)search->inode)
		return false;
	return search->found->subflows == 0 || socket->cookie == search->found->row.socket.cookie;
}

static int take(const struct snapshot_row *row, void *userdata)
{
	struct search *search = userdata;
	struct live_socket *live = search->found;

	for (size_t i = 0; is_meant(search, &row->socket) && i < row->n_owners; i++) {
		if (row->owners[i].pid != search->pid || row->owners[i].fd != search->fd)
			continue;
		if (live->subflows++ > 0)
			return 0;
		live->row = *row;
		live->netns = *row->netns;
		live->netns.name = NULL;
		live->owner = row->owners[i];
		live->row.netns = &live->netns;
		live->row.owners = &live->owner;
		live->row.n_owners = 1;
		live->row.cgroup = NULL;
	}
	return 0;
}

/* TCPKEEP_NETNS_OWN when it is ours: that one needs no privilege to look into. */
static int open_netns(int pid, int *ret)
{
	struct tcpkeep_error error;
	struct stat own, its;
	int fd = tcpkeep_netns_open_pid(pid, &error);

	if (fd < 0) {
		say_error("explain: %s", error.message);
		return fd == -ENOENT || fd == -ESRCH ? EXIT_FAILED : EXIT_LACKING;
	}
	*ret = fd;
	if (stat("/proc/thread-self/ns/net", &own) == 0 && fstat(fd, &its) == 0 &&
	    own.st_ino == its.st_ino && own.st_dev == its.st_dev) {
		close(fd);
		*ret = TCPKEEP_NETNS_OWN;
	}
	return EXIT_DONE;
}

static int search_netns(struct search *search, int netns)
{
	struct selector selector = {0};
	struct snapshot_options options = {.owners = true, .netns = netns, .selector = &selector};
	struct snapshot_report report;
	struct tcpkeep_error error = {.message = ""};
	char word[32];
	int r;

	snprintf(word, sizeof(word), "pid=%d", search->pid);
	r = selector_parse_word(&selector, word, strlen(word), &error);
	if (r == 0)
		r = snapshot_run(&options, take, search, &report, &error);
	if (r < 0) {
		say_error("explain: %s", *error.message ? error.message : strerror(-r));
		return exit_status_of(r);
	}
	if (search->found->subflows == 0)
		return fail_not_found(search->pid, search->fd, &report);
	if (!(search->found->row.effective.settings.fields & TCPKEEP_ON)) {
		say_error("explain: %d:%d: its settings cannot be read%s%s; run as root",
			  search->pid, search->fd, *report.missing ? ": " : "", report.missing);
		return EXIT_LACKING;
	}
	return EXIT_DONE;
}

int live_socket_find(const char *word, struct live_socket *ret)
{
	struct search search = {.found = ret};
	_cleanup_close_ int netns = -1;
	int status;

	*ret = (struct live_socket){0};
	status = parse(word, &search.pid, &search.fd);
	if (status == EXIT_DONE)
		status = check_descriptor(search.pid, search.fd, &search.inode);
	if (status == EXIT_DONE)
		status = open_netns(search.pid, &netns);
	if (status != EXIT_DONE)
		return status;
	return search_netns(&search, netns);
}
