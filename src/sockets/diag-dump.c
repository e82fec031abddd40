/* SPDX-License-Identifier: MIT */
#include "diag-dump.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/sock_diag.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macro.h"
#include "keepalive/error.h"
#include "keepalive/visit.h"

/* The kernel fills at most 32 KiB in one go (net/netlink/af_netlink.c netlink_dump()), if offered
 * as much. */
#define RECEIVE_BYTES (32 << 10)

static int open_inside(void *userdata)
{
	int *ret_fd = userdata;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int diag_open(int netns, struct tcpkeep_error *ret_error)
{
	struct tcpkeep_error error = {0};
	int fd = -1, r;

	r = netns_visit(netns, open_inside, &fd, &error);
	if (r == 0)
		return fd;
	if (r == -EPROTONOSUPPORT && !error.message[0])
		return error_set(ret_error, -EOPNOTSUPP,
				 "sock_diag: this kernel is built without CONFIG_INET_DIAG");
	if (!error.message[0])
		return error_set(ret_error, r, "sock_diag: %s", strerror(-r));
	if (ret_error)
		*ret_error = error;
	return r;
}

static int ask(int fd, const struct diag_question *question)
{
	_Alignas(struct nlmsghdr) char buf[128] = {0};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *request;
	ssize_t n;

	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->sdiag_family = (uint8_t)question->family;
	request->idiag_ext = (uint8_t)question->extensions;
	request->idiag_states = question->states;
	/*
	 * MPTCP's number takes more than the byte that there is. A kernel before 5.9 passes over
	 * the attribute and finds protocol 0, which is nobody's: an error, not another protocol's
	 * sockets.
	 */
	if (question->protocol <= UINT8_MAX)
		request->sdiag_protocol = (uint8_t)question->protocol;
	else
		mnl_attr_put_u32(header, INET_DIAG_REQ_PROTOCOL, (uint32_t)question->protocol);
	do
		n = sendto(fd, header, header->nlmsg_len, 0, (struct sockaddr *)&kernel,
			   sizeof(kernel));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static ssize_t receive(int fd, char *buf)
{
	ssize_t n;

	do
		n = recv(fd, buf, RECEIVE_BYTES, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n > RECEIVE_BYTES ? -EMSGSIZE : n;
}

/* What ends a dump: an error, or the end, which can carry one as well. 0 or -errno. */
static int last_word(const struct nlmsghdr *header)
{
	int error = 0;

	if (mnl_nlmsg_get_payload_len(header) >= sizeof(error))
		memcpy(&error, mnl_nlmsg_get_payload(header), sizeof(error));
	return error < 0 ? error : 0;
}

static int on_attribute(const struct nlattr *attribute, void *userdata)
{
	struct diag_answer *answer = userdata;
	unsigned type = mnl_attr_get_type(attribute);

	if (type < ARRAY_SIZE(answer->attributes))
		answer->attributes[type] = attribute;
	return MNL_CB_OK;
}

static void read_attributes(const struct nlmsghdr *header, struct diag_answer *answer)
{
	memset(answer->attributes, 0, sizeof(answer->attributes));
	mnl_attr_parse(header, sizeof(struct inet_diag_msg), on_attribute, answer);
}

struct dump {
	int (*fn)(const struct diag_answer *answer, void *userdata);
	void *userdata;
	bool changed; /* the kernel's table, under the walk */
	bool done;
};

/* The messages of one read. fn's result or -errno. */
static int take(struct dump *dump, const char *buf, int n)
{
	struct diag_answer answer;

	for (const struct nlmsghdr *header = (const struct nlmsghdr *)buf; mnl_nlmsg_ok(header, n);
	     header = mnl_nlmsg_next(header, &n)) {
		int r;

		dump->changed |= (header->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
			dump->done = true;
			return last_word(header);
		}
		if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		    mnl_nlmsg_get_payload_len(header) < sizeof(*answer.message))
			continue;
		answer.message = mnl_nlmsg_get_payload(header);
		read_attributes(header, &answer);
		r = dump->fn(&answer, dump->userdata);
		if (r != 0)
			return r;
	}
	return 0;
}

int diag_dump(int fd, const struct diag_question *question,
	      int (*fn)(const struct diag_answer *answer, void *userdata), void *userdata,
	      size_t *interrupted)
{
	_Alignas(struct nlmsghdr) char buf[RECEIVE_BYTES];
	struct dump dump = {.fn = fn, .userdata = userdata};
	int r;

	r = ask(fd, question);
	while (r == 0 && !dump.done) {
		ssize_t n = receive(fd, buf);

		if (n < 0)
			return (int)n;
		r = take(&dump, buf, (int)n);
	}
	*interrupted += dump.changed;
	return r;
}
