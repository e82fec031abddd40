/* SPDX-License-Identifier: MIT */
/*
 * A connection that no system call of the socket kind makes: socket(), connect() and accept() are
 * requests of io_uring, by raw system calls. Prints what the two sockets have; exits with 77 where
 * there is no io_uring.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition,  \
				errno);                                                            \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

struct ring {
	int fd;
	uint32_t *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static char *map(int fd, size_t size, off_t offset)
{
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

	MUST(at != MAP_FAILED);
	return at;
}

static struct ring make_ring(void)
{
	struct io_uring_params p = {0};
	struct ring ring;
	char *sq, *cq;

	ring.fd = (int)syscall(SYS_io_uring_setup, 8, &p);
	if (ring.fd < 0) {
		perror("io_uring_setup");
		exit(77);
	}
	sq = map(ring.fd, p.sq_off.array + p.sq_entries * sizeof(uint32_t), IORING_OFF_SQ_RING);
	cq = map(ring.fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
		 IORING_OFF_CQ_RING);
	ring.sqes =
		(void *)map(ring.fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	ring.sq_tail = (void *)(sq + p.sq_off.tail);
	ring.sq_mask = (void *)(sq + p.sq_off.ring_mask);
	ring.sq_array = (void *)(sq + p.sq_off.array);
	ring.cq_head = (void *)(cq + p.cq_off.head);
	ring.cq_tail = (void *)(cq + p.cq_off.tail);
	ring.cq_mask = (void *)(cq + p.cq_off.ring_mask);
	ring.cqes = (void *)(cq + p.cq_off.cqes);
	return ring;
}

/* One request, and its result. */
static int ask(struct ring *ring, const struct io_uring_sqe *sqe)
{
	uint32_t tail = *ring->sq_tail, at = tail & *ring->sq_mask, head;
	int result;

	ring->sqes[at] = *sqe;
	ring->sq_array[at] = at;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	MUST(syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1);
	head = *ring->cq_head;
	MUST(head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE));
	result = ring->cqes[head & *ring->cq_mask].res;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return result;
}

static int get(int fd, int level, int option)
{
	socklen_t len = sizeof(int);
	int value = -1;

	MUST(getsockopt(fd, level, option, &value, &len) == 0);
	return value;
}

static void show(const char *name, int fd)
{
	printf("%s %d %d %d %d\n", name, get(fd, SOL_SOCKET, SO_KEEPALIVE),
	       get(fd, IPPROTO_TCP, TCP_KEEPIDLE), get(fd, IPPROTO_TCP, TCP_KEEPINTVL),
	       get(fd, IPPROTO_TCP, TCP_KEEPCNT));
}

int main(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct io_uring_sqe make = {.opcode = IORING_OP_SOCKET, .fd = AF_INET, .off = SOCK_STREAM};
	struct io_uring_sqe join = {
		.opcode = IORING_OP_CONNECT, .addr = (uintptr_t)&address, .off = sizeof(address)};
	struct io_uring_sqe take = {.opcode = IORING_OP_ACCEPT};
	socklen_t len = sizeof(address);
	struct ring ring = make_ring();
	int listener, client, accepted;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	MUST(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0 &&
	     getsockname(listener, (struct sockaddr *)&address, &len) == 0);
	client = ask(&ring, &make);
	if (client == -EINVAL)
		client = socket(AF_INET, SOCK_STREAM, 0); /* before Linux 5.19 */
	MUST(client >= 0);
	join.fd = client;
	MUST(ask(&ring, &join) == 0);
	take.fd = listener;
	accepted = ask(&ring, &take);
	MUST(accepted >= 0);
	show("client", client);
	show("accepted", accepted);
	return 0;
}
