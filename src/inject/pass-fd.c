/* SPDX-License-Identifier: MIT */
#include "pass-fd.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <unistd.h>

int pass_fd_send(int socket, const void *bytes, size_t size, int fd, int flags,
		 const struct sockaddr *to, socklen_t to_len)
{
	alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)bytes, size};
	struct msghdr message = {
		.msg_name = (void *)to,
		.msg_namelen = to_len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	ssize_t n;

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	do
		n = sendmsg(socket, &message, MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int pass_fd_receive(int socket, void *bytes, size_t size, int flags)
{
	alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {bytes, size};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = CMSG_LEN(sizeof(int)), /* not a second one, which would be lost */
	};
	struct cmsghdr *header;
	ssize_t n;
	int fd;

	do
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
		return n == 0 ? -EPIPE : -EPROTO;
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	if (n == (ssize_t)size)
		return fd;
	close(fd);
	return -EPROTO;
}
