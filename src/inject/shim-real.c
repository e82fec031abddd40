/* SPDX-License-Identifier: MIT */
/* The functions behind our hooks: found by dlsym(), the raw system call where there are none. */
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim.h"

/* The raw system calls, for a process that has no next definition. */
#define RAW(name, parameters, number, ...)                                                         \
	static int raw_##name parameters                                                           \
	{                                                                                          \
		return (int)syscall(number, __VA_ARGS__);                                          \
	}

RAW(socket, (int domain, int type, int protocol), SYS_socket, domain, type, protocol)
RAW(connect, (int fd, const struct sockaddr *addr, socklen_t len), SYS_connect, fd, addr, len)
RAW(listen, (int fd, int backlog), SYS_listen, fd, backlog)
RAW(accept, (int fd, struct sockaddr *addr, socklen_t *len), SYS_accept4, fd, addr, len, 0)
RAW(accept4, (int fd, struct sockaddr *addr, socklen_t *len, int flags), SYS_accept4, fd, addr, len,
    flags)
RAW(setsockopt, (int fd, int level, int name, const void *value, socklen_t len), SYS_setsockopt, fd,
    level, name, value, len)
RAW(close, (int fd), SYS_close, fd)
RAW(dup3, (int fd, int to, int flags), SYS_dup3, fd, to, flags)

/* arm64 has no dup2; dup3() refuses two equal descriptors. */
static int raw_dup2(int fd, int to)
{
	if (fd != to)
		return raw_dup3(fd, to, 0);
	return syscall(SYS_fcntl, fd, 1 /* F_GETFD */) < 0 ? -1 : to;
}

static ssize_t raw_sendto(int fd, const void *buf, size_t size, int flags,
			  const struct sockaddr *addr, socklen_t len)
{
	return syscall(SYS_sendto, fd, buf, size, flags, addr, len);
}

static ssize_t raw_sendmsg(int fd, const struct msghdr *message, int flags)
{
	return syscall(SYS_sendmsg, fd, message, flags);
}

/*
 * What the pointers hold at first. When another thread is in the middle of shim_init(), the pointer
 * may still be this one: then the system call is made, nobody waits.
 */
#define HOOK(name, parameters, arguments)                                                          \
	static int first_##name parameters                                                         \
	{                                                                                          \
		shim_init();                                                                       \
		if (shim_real.name == first_##name)                                                \
			return raw_##name arguments;                                               \
		return shim_real.name arguments;                                                   \
	}
SHIM_HOOKS(HOOK)
#undef HOOK

static ssize_t first_sendto(int fd, const void *buf, size_t size, int flags,
			    const struct sockaddr *addr, socklen_t len)
{
	shim_init();
	if (shim_real.sendto == first_sendto)
		return raw_sendto(fd, buf, size, flags, addr, len);
	return shim_real.sendto(fd, buf, size, flags, addr, len);
}

static ssize_t first_sendmsg(int fd, const struct msghdr *message, int flags)
{
	shim_init();
	if (shim_real.sendmsg == first_sendmsg)
		return raw_sendmsg(fd, message, flags);
	return shim_real.sendmsg(fd, message, flags);
}

struct shim_real shim_real = {
#define HOOK(name, parameters, arguments) .name = first_##name,
	SHIM_HOOKS(HOOK)
#undef HOOK
		.sendto = first_sendto,
	.sendmsg = first_sendmsg,
};

/* POSIX lets an object pointer from dlsym() stand for a function; ISO C wants the detour. */
#define RESOLVE(name)                                                                              \
	do {                                                                                       \
		void *found = dlsym(RTLD_NEXT, #name);                                             \
		__typeof__(shim_real.name) function = raw_##name;                                  \
		if (found)                                                                         \
			__builtin_memcpy(&function, &found, sizeof(function));                     \
		__atomic_store_n(&shim_real.name, function, __ATOMIC_RELAXED);                     \
	} while (0);

void shim_resolve(void)
{
#define HOOK(name, parameters, arguments) RESOLVE(name)
	SHIM_HOOKS(HOOK)
#undef HOOK
	RESOLVE(sendto)
	RESOLVE(sendmsg)
}

/* What src/keepalive calls in here, instead of our own hooks: see meson.build. */
int shim_real_socket(int domain, int type, int protocol);
int shim_real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int shim_real_close(int fd);

int shim_real_socket(int domain, int type, int protocol)
{
	return shim_real.socket(domain, type, protocol);
}

int shim_real_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	return shim_real.setsockopt(fd, level, name, value, len);
}

int shim_real_close(int fd)
{
	return shim_real.close(fd);
}
