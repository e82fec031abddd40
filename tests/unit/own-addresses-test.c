/* SPDX-License-Identifier: MIT */
/* Which peers are on this machine: addresses of every network namespace, and loopback. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "sockets/own-addresses.h"

static const uint32_t *address(const char *text)
{
	static uint32_t value[4];

	if (inet_pton(AF_INET6, text, value) == 1)
		return value;
	memset(value, 0, sizeof(value));
	value[2] = htonl(0xffff);
	assert_int_equal(inet_pton(AF_INET, text, &value[3]), 1);
	return value;
}

/* lo:1 of the thread's namespace gets an address. */
static void give_address(const char *text)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo:1"};
	struct sockaddr_in *at = (struct sockaddr_in *)&request.ifr_addr;

	at->sin_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, text, &at->sin_addr), 1);
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &request), 0);
}

static void addresses_of_all_namespaces(void **state)
{
	_cleanup_close_ int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int other = -1;
	struct own_addresses addresses = {0};

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		skip();
	other = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	give_address("192.0.2.77");
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	/* Before it has looked, every address may be one. */
	assert_true(own_addresses_have(&addresses, address("198.51.100.1")));
	assert_int_equal(own_addresses_read(&addresses), 0);
	if (!addresses.known)
		skip(); /* not root: namespaces of others are hidden */
	assert_true(own_addresses_have(&addresses, address("127.3.4.5")));
	assert_true(own_addresses_have(&addresses, address("::1")));
	assert_false(own_addresses_have(&addresses, address("198.51.100.1")));
	assert_false(own_addresses_have(&addresses, address("2001:db8::1")));
	own_addresses_clear(&addresses);
}

static void a_namespace_that_a_process_is_in(void **state)
{
	struct own_addresses addresses = {0};

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		skip();
	give_address("192.0.2.77");
	assert_int_equal(own_addresses_read(&addresses), 0);
	if (!addresses.known)
		skip();
	assert_true(own_addresses_have(&addresses, address("192.0.2.77")));
	assert_false(own_addresses_have(&addresses, address("192.0.2.78")));
	own_addresses_clear(&addresses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_all_namespaces),
		cmocka_unit_test(a_namespace_that_a_process_is_in),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("own-addresses", tests, NULL, NULL);
}
