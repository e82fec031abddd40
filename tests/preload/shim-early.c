/* SPDX-License-Identifier: MIT */
/* Somebody's library: its constructor opens a listener before the constructors of preloaded
 * libraries run. */
#include <sys/socket.h>

int shim_early_listener = -1;

__attribute__((constructor(101))) static void open_early(void)
{
	shim_early_listener = socket(AF_INET, SOCK_STREAM, 0);
	listen(shim_early_listener, 8);
}
