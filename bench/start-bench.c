/* SPDX-License-Identifier: MIT */
/* How long a command takes from its start to its end, many times: the fastest, in microseconds. */
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/number.h"

extern char **environ;

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* start-bench TIMES COMMAND... */
int main(int argc, char **argv)
{
	uint64_t best_us = UINT64_MAX;
	int64_t times;

	if (argc < 3 || number_parse(argv[1], strlen(argv[1]), 1, 100000, &times) < 0)
		return EXIT_FAILURE;
	for (int64_t i = 0; i < times; i++) {
		uint64_t start = now_us();
		int status;
		pid_t pid;

		if (posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ) != 0 ||
		    waitpid(pid, &status, 0) != pid || status != 0)
			return EXIT_FAILURE;
		best_us = MIN(best_us, now_us() - start);
	}
	printf("%llu\n", (unsigned long long)best_us);
	return EXIT_SUCCESS;
}
