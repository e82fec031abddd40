/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over files, for compilers without libFuzzer: the corpus stays a regression
 * test. TAP. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(int dir, const char *name)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ uint8_t *data = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	data = malloc((size_t)st.st_size + 1);
	if (!data || read(fd, data, (size_t)st.st_size) != st.st_size)
		return -EIO;
	return LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	unsigned n = 0, failed = 0;
	struct dirent *entry;

	if (!dir) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(dir))) {
		int r;

		if (entry->d_name[0] == '.')
			continue;
		r = run_file(dirfd(dir), entry->d_name);
		printf("%sok %u - %s\n", r < 0 ? "not " : "", ++n, entry->d_name);
		failed += r < 0;
	}
	closedir(dir);
	printf("1..%u\n", n);
	return failed || n == 0;
}
