/* SPDX-License-Identifier: MIT */
#include <tcpkeep.h>

#include "base/macro.h"

EXPORT const char *tcpkeep_version(void)
{
	return TCPKEEP_BUILD_VERSION;
}
