/* SPDX-License-Identifier: MIT */
/*
 * A client that talks through io_uring: uring connect PORT makes the socket by socket(), uring
 * socket PORT in the ring, too. Says a line and prints the answer. Exit status 77: the kernel
 * offers no ring.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_RING 77

static struct io_uring ring;

/* Submits what was prepared and waits for it. */
static int result(const char *what)
{
	struct io_uring_cqe *cqe;
	int r;

	r = io_uring_submit_and_wait(&ring, 1);
	if (r >= 0)
		r = io_uring_wait_cqe(&ring, &cqe);
	if (r < 0)
		return r;
	r = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", what, strerror(-r));
	return r;
}

static int make_socket(bool in_ring)
{
	if (!in_ring)
		return socket(AF_INET, SOCK_STREAM, 0);
	io_uring_prep_socket(io_uring_get_sqe(&ring), AF_INET, SOCK_STREAM, 0, 0);
	return result("socket");
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	char line[16];
	int fd, n;

	if (argc != 3)
		return 2;
	if (io_uring_queue_init(8, &ring, 0) < 0)
		return NO_RING;
	address.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = make_socket(strcmp(argv[1], "socket") == 0);
	if (fd < 0)
		return fd == -EINVAL ? NO_RING : 1;
	io_uring_prep_connect(io_uring_get_sqe(&ring), fd, (void *)&address, sizeof(address));
	if (result("connect") < 0)
		return 1;
	io_uring_prep_send(io_uring_get_sqe(&ring), fd, "hello\n", 6, 0);
	if (result("send") != 6)
		return 1;
	io_uring_prep_recv(io_uring_get_sqe(&ring), fd, line, sizeof(line), 0);
	n = result("recv");
	if (n != 6)
		return 1;
	fwrite(line, 1, (size_t)n, stdout);
	return 0;
}
