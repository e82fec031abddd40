/* SPDX-License-Identifier: MIT */
/*
 * Usage: slow-close DIRECTORY. Mounts a FUSE filesystem there: every name in it is a file, and to
 * close one waits until the standard input ends. Prints "ready", and "closing" for each that waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAITING_MAX 64

static int device;
static uint64_t waiting[WAITING_MAX];
static size_t n_waiting;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void reply(uint64_t request, int error, const void *data, size_t size)
{
	union {
		struct fuse_out_header header;
		char bytes[256];
	} out = {.header = {.len = (uint32_t)(sizeof(out.header) + size),
			    .error = error,
			    .unique = request}};

	memcpy(out.bytes + sizeof(out.header), data ? data : "", size);
	/* ENOENT: who asked is gone. */
	if (write(device, &out, out.header.len) < 0 && errno != ENOENT)
		die("slow-close: reply");
}

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node,
		.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644,
		.nlink = 1,
	};
}

static void answer(const struct fuse_in_header *in)
{
	const struct fuse_init_in *theirs = (const void *)(in + 1);
	struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION, .max_write = 4096};
	struct fuse_entry_out entry = {.nodeid = 2, .attr = attributes(2)};
	struct fuse_attr_out attr = {.attr = attributes(in->nodeid)};
	struct fuse_open_out open_out = {0};

	switch (in->opcode) {
	case FUSE_INIT:
		init.minor = theirs->minor;
		reply(in->unique, 0, &init, sizeof(init));
		puts("ready");
		break;
	case FUSE_LOOKUP:
		reply(in->unique, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		reply(in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		reply(in->unique, 0, &open_out, sizeof(open_out));
		break;
	case FUSE_FLUSH:
		if (n_waiting == WAITING_MAX) {
			reply(in->unique, 0, NULL, 0);
			break;
		}
		waiting[n_waiting++] = in->unique;
		puts("closing");
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(in->unique, in->opcode == FUSE_RELEASE ? 0 : -ENOSYS, NULL, 0);
	}
}

static void take_request(void)
{
	alignas(struct fuse_in_header) static char request[1 << 17];
	ssize_t n = read(device, request, sizeof(request));

	if (n >= (ssize_t)sizeof(struct fuse_in_header))
		answer((const void *)request);
	else if (n >= 0 || (errno != EINTR && errno != ENOENT))
		exit(0); /* ENODEV: unmounted */
}

int main(int argc, char **argv)
{
	char options[128];

	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	if (argc != 2 || device < 0 || mount("slow-close", argv[1], "fuse", 0, options) < 0)
		die("slow-close: mount");
	setlinebuf(stdout);
	for (;;) {
		struct pollfd fds[] = {{.fd = device, .events = POLLIN}, {.events = POLLIN}};

		if (poll(fds, 2, -1) < 0)
			die("slow-close: poll");
		if (fds[0].revents)
			take_request();
		if (fds[1].revents)
			break;
	}
	while (n_waiting)
		reply(waiting[--n_waiting], 0, NULL, 0);
	/* Nothing waits any more, and nothing will: the end of the device ends the filesystem. */
	return 0;
}
